"""Downloads pip's wheel from PyPI into a folder and prints its path: `python WHEEL/pip install ...` works as it is.

For a Python without pip and ensurepip. Standard library only.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import sys
import urllib.parse
import urllib.request

_INDEX = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"


def main(folder: str) -> str:
    """Returns the path of the newest release's wheel, whose sha256 is the one that the index tells."""
    with urllib.request.urlopen(_INDEX, timeout=60) as answer:
        page = answer.read().decode()
    found = re.findall(r'href="([^"#]*/(pip-([0-9.]+)-py3-none-any\.whl))#sha256=([0-9a-f]{64})"', page)
    releases = [
        (tuple(int(part) for part in version.split(".")), link, name, digest) for link, name, version, digest in found
    ]
    if not releases:
        sys.exit(f"error: {_INDEX} lists no wheel of pip")
    _, link, name, digest = max(releases)
    with urllib.request.urlopen(urllib.parse.urljoin(_INDEX, html.unescape(link)), timeout=60) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != digest:
        sys.exit(f"error: {name} is not what {_INDEX} promises")
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(wheel)
    return path


if __name__ == "__main__":
    print(main(sys.argv[1]))
