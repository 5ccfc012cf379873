"""Reproducible environments from one TOML file."""
