from __future__ import annotations

from envbox.spec.checker import nearest, shown

BASES = {
    "debian": {
        **dict.fromkeys(("11", "bullseye"), "11"),
        **dict.fromkeys(("12", "bookworm"), "12"),
        **dict.fromkeys(("13", "trixie"), "13"),
        **dict.fromkeys(("14", "forky"), "forky"),
        **dict.fromkeys(("sid", "unstable"), "sid"),
    },
}
"""Distribution -> spelling of a release -> its canonical one."""

_MOVING = {("debian", "oldstable"): "12", ("debian", "stable"): "13", ("debian", "testing"): "forky"}
"""Names that mean another release every other year, and which one they mean now."""


def release(text: str) -> tuple[str, str]:
    """Split `distro:release`, and make the release canonical. Raises ValueError, which says why not."""
    distro, _, spelling = text.partition(":")
    releases = BASES.get(distro)
    if releases is None:
        spellings = [f"{known}:{alias}" for known, aliases in BASES.items() for alias in aliases]
        hint = nearest(text, spellings) or nearest(distro, BASES)
        raise ValueError(f"{shown(distro)} is not a known distribution; there is {', '.join(BASES)}{hint}")
    known = ", ".join(dict.fromkeys(releases.values()))
    if (distro, spelling) in _MOVING:
        raise ValueError(f'{shown(text)} means another release in time; write "{distro}:{_MOVING[distro, spelling]}"')
    if not spelling:
        raise ValueError(f"names no release of {distro}; there are {known}")
    if spelling not in releases:
        hint = nearest(spelling, releases)
        raise ValueError(f"{distro} has no release {shown(spelling)}; there are {known}{hint}")
    return distro, releases[spelling]
