"""A session pays for nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SLOW = {
    "argparse", "collections", "contextlib", "ctypes", "dataclasses", "enum", "functools", "hashlib", "json",
    "pathlib", "re", "select", "signal", "socket", "struct", "subprocess", "typing",
}  # fmt: skip


def test_the_native_back_end_imports_no_slow_module() -> None:
    package = str(Path(__file__).resolve().parents[3])
    code = (
        f"import sys; sys.path.insert(0, {package!r}); before = set(sys.modules);"
        "import envbox.sandbox.native; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert "envbox.sandbox.native" in done.stdout.split()
    assert SLOW & set(done.stdout.split()) == set()
