import hashlib
import subprocess

import pytest

from envbox.managers.apt import database
from envbox.managers.apt.configured import script
from envbox.managers.apt.package_tree import PackageTree, add_tree, merged_path
from envbox.managers.apt.preinst import preinst_order
from envbox.store.manifest import Entry
from envbox.store.store import Store
from envbox.values import Digest
from tests.support.archive import DebRecipe


def package(name, version="1", *, triggers=(), conffiles=(), scripts=(), entries=(), fields=""):
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\n{fields}Description: x\n"
    tree = PackageTree("/nowhere", control, conffiles, triggers, scripts)
    tree.__dict__["diverts"] = False
    tree.__dict__["entries"] = [Entry(path, "file", 0o644, 0, 0, 0) for path in entries]
    return tree


def test_the_status_says_unpacked_and_keeps_what_was_installed():
    lower = {"var/lib/dpkg/status": "Package: old\nStatus: install ok installed\n\n"}
    status = database.seed([package("new")], [], lower)["var/lib/dpkg/status"]
    assert status == (
        "Package: old\nStatus: install ok installed\n\n"
        "Package: new\nStatus: install ok unpacked\nVersion: 1\nArchitecture: all\nDescription: x\n\n"
    )


def test_conffiles_stand_with_their_hash_so_that_dpkg_keeps_them():
    files = database.seed(
        [package("a", conffiles=(("/etc/a", "0" * 32, False), ("/etc/b", "newconffile", True)))], [], {}
    )
    assert (
        "Conffiles:\n /etc/a " + "0" * 32 + "\n /etc/b newconffile remove-on-upgrade\n" in files["var/lib/dpkg/status"]
    )


def test_interests_are_registered_by_name_and_by_file():
    triggers = (("interest-noawait", "/usr/share/man"), ("interest", "ldconfig"), ("activate", "other"))
    files = database.seed([package("a", triggers=triggers)], [], {"var/lib/dpkg/triggers/File": "/x old\n"})
    assert files["var/lib/dpkg/triggers/File"] == "/x old\n/usr/share/man a/noawait\n"
    assert files["var/lib/dpkg/triggers/ldconfig"] == "a\n"
    assert "var/lib/dpkg/triggers/other" not in files


def test_file_triggers_fire_for_files_below_them_only():
    interests = "/usr/share/man man-db/noawait\n/lib/udev udev\n"
    hit = package("a", entries=["usr/share/man/man1/a.1.gz", "usr/lib/udev/rules"])
    miss = package("b", entries=["usr/share/manual/x"])
    assert database.file_triggers(interests, [miss, hit]) == [("/lib/udev", "a"), ("/usr/share/man", "a")]
    assert database.file_triggers(interests, [miss]) == []


def test_marks_of_automatic_packages_are_appended():
    lower = {"var/lib/apt/extended_states": "Package: x\nArchitecture: amd64\nAuto-Installed: 1\n\n"}
    states = database.seed([package("a")], [("a", "all")], lower)["var/lib/apt/extended_states"]
    assert states.count("Auto-Installed: 1") == 2


def test_diversions_are_read_with_their_keeper():
    text = "/usr/bin/a\n/usr/bin/a.distrib\npkg\n/usr/bin/b\n/usr/bin/b.real\n:\n"
    assert database.parse_diversions(text) == {
        "usr/bin/a": ("usr/bin/a.distrib", "pkg"),
        "usr/bin/b": ("usr/bin/b.real", ":"),
    }


def test_preinst_scripts_run_after_those_of_what_they_pre_depend_on():
    packages = [
        package("a", fields="Pre-Depends: c | x, b (>= 1)\n"),
        package("b", fields="Pre-Depends: a\n"),
        package("c"),
    ]
    names = [found.name for found in preinst_order(packages)]
    assert names.index("c") < names.index("a")
    assert sorted(names) == ["a", "b", "c"]


def test_the_script_is_one_that_sh_understands():
    package_ = package("a'b", scripts=("preinst",))
    text = script([package_], {"usr/x y": "/run/p/it's"}, [("/usr/share/man", "a")], ["/etc/a b", "/etc/it's"])
    subprocess.run(["sh", "-n"], input=text.encode(), check=True)


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("bin/sh", "file", "usr/bin/sh"),
        ("bin", "directory", "usr/bin"),
        ("bin", "symlink", "bin"),
        ("usr/bin/sh", "file", "usr/bin/sh"),
        ("binary/x", "file", "binary/x"),
        ("lib64/ld.so", "file", "usr/lib64/ld.so"),
    ],
)
def test_paths_are_merged_into_usr(path, kind, expected):
    assert merged_path(path, kind) == expected


def test_a_package_is_unpacked_once_with_what_dpkg_keeps_of_it(tmp_path):
    store = Store(str(tmp_path / "store")).prepare()
    recipe = DebRecipe(
        "demo", "1.0", files={"bin/demo": b"#!/bin/sh\n", "etc/demo.conf": b"x=1\n"},
        conffiles=("/etc/demo.conf",), scripts={"postinst": "#!/bin/sh\n"}, fields={"Multi-Arch": "same"}, architecture="amd64",
    )  # fmt: skip
    tree = add_tree(store, Digest("1" * 64), recipe.build(), store.path("tmp"))
    paths = {entry.path for entry in tree.entries}
    assert {"usr/bin/demo", "var/lib/dpkg/info/demo:amd64.list", "var/lib/dpkg/info/demo:amd64.postinst"} <= paths
    assert tree.conffiles == (("/etc/demo.conf", hashlib.md5(b"x=1\n").hexdigest(), False),)
    with open(tree.tree + "/var/lib/dpkg/info/demo:amd64.list") as file:
        assert "/bin/demo\n" in file.read()
    assert add_tree(store, Digest("1" * 64), b"not read again", store.path("tmp")).folder == tree.folder
