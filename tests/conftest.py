"""Where CI is set, a test that is skipped has failed: everything that a test needs is installed there."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

ALLOWED_SKIPS = {
    "root may read everything": "the other case has a test of its own, as a plain user",
    "this dpkg-deb cannot write zstd": "Debian's dpkg-deb before 1.21.18",
    "Python has zstd of its own": "from Python 3.14 on",
    "has parts of /proc covered": "as a plain user, whose /proc is not, the same test runs",
}
"""Reasons for which a test may be skipped in CI, and why each is no loss."""

# What is started by `nohup` hands on that this signal is ignored, and no shell can trap it then.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {reason}"
    return report
