import contextlib
import os
import shutil
import tempfile

import pytest

from envbox import api
from envbox.errors import LockInvalid, SpecInvalid

NOBODY = 65534


@pytest.fixture
def project():
    folder = tempfile.mkdtemp(dir="/var/tmp")
    os.chmod(folder, 0o755)
    with open(os.path.join(folder, "envbox.toml"), "w") as file:
        file.write('base = "debian:13"\n')
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def somebody():
    """Without the privilege to read every file."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def close(path):
    with open(path, "a"):
        os.chmod(path, 0)


def test_a_spec_that_may_not_be_read_is_an_error_in_words(project):
    close(os.path.join(project, "envbox.toml"))
    with somebody(), pytest.raises(SpecInvalid, match="cannot be read"):
        api.load(project)


def test_a_lock_that_may_not_be_read_is_an_error_in_words(project):
    close(os.path.join(project, "envbox.lock"))
    loaded = api.load(project)
    with somebody(), pytest.raises(LockInvalid, match="cannot be read"):
        loaded.read_lock()
