"""Runs inside: tells where it is, and uses a package of Debian and a library of PyPI."""

import platform
import subprocess

import numpy as np

release = platform.freedesktop_os_release()["PRETTY_NAME"]
picture = subprocess.run(["dot", "-Tsvg"], input=b"digraph { host -> envbox }", capture_output=True, check=True).stdout
solution = np.linalg.solve([[2, 1], [1, 3]], [3, 5])

print(f"Hello from {release}, Python {platform.python_version()}")
print(f"numpy {np.__version__} solved the equations: {solution.round(3)}")
print(f"dot drew a picture of {len(picture)} bytes")
