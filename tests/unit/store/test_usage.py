import os
import subprocess

from envbox.store.usage import Ledger, freed


def du(path):
    return int(subprocess.run(["du", "-s", "--block-size=1", path], capture_output=True, check=True).stdout.split()[0])


def tree(folder, name, size):
    (folder / name).mkdir()
    (folder / name / "data").write_bytes(os.urandom(size))
    return folder / name


def test_a_file_with_two_names_counts_once_and_for_each_owner(tmp_path):
    first, second = tree(tmp_path, "first", 200_000), tree(tmp_path, "second", 100_000)
    os.link(first / "data", second / "shared")
    ledger = Ledger()
    added, alone = ledger.book(str(first), 1)
    assert added == alone == du(first)
    added, alone = ledger.book(str(second), 2)
    assert alone == du(second)
    assert added == du(tmp_path / "second") - os.lstat(first / "data").st_blocks * 512
    sums = ledger.by_owners()
    assert sums[3] == os.lstat(first / "data").st_blocks * 512
    assert sum(sums.values()) + os.lstat(tmp_path).st_blocks * 512 == du(tmp_path)


def test_what_has_a_name_elsewhere_frees_nothing_until_that_goes_too(tmp_path):
    first, second = tree(tmp_path, "first", 200_000), tree(tmp_path, "second", 100_000)
    os.link(first / "data", second / "shared")
    shared = os.lstat(first / "data").st_blocks * 512
    assert freed(str(first)) == du(first) - shared
    assert freed(str(first), str(second)) == du(first) + du(second) - shared


def test_what_is_not_there_counts_nothing(tmp_path):
    assert Ledger().book(str(tmp_path / "gone")) == (0, 0)
    assert freed(str(tmp_path / "gone")) == 0
