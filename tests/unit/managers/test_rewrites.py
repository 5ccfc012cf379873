"""Rewritten scripts do to a root what the originals do; scripts that say something else are left alone."""

import os
import subprocess

import pytest

from envbox.managers.apt.rewrites import REWRITES, rewritten

ADD, FINISH = REWRITES[0].pieces[0][0], REWRITES[0].pieces[1][0]
CERTIFICATES = f"""#!/bin/sh -e
ETCCERTSDIR=$1 TEMPBUNDLE=$1/bundle ADDED=$2/added
: > "$ADDED"
cleanup() {{
  rm -f "$ADDED"
}}
trap cleanup 0
{ADD}
find "$3" -name '*.crt' | LC_ALL=C sort | while read -r crt; do add "$crt"; done
{FINISH}
echo "$ADDED_CNT added"
cat "$ADDED"
find "$ETCCERTSDIR" -type l ! -exec test -e {{}} \\; -print
"""
CONFIG = """#!/bin/sh
CERTS_DISABLED=$1 CERTS_TRUST=$2
for crt in $3; do
   if (echo "$CERTS_DISABLED" | grep -F -q -x "$crt") > /dev/null 2>&1; then
     echo "$crt is disabled"
   elif (echo "$CERTS_TRUST" | grep -F -q -x "$crt") > /dev/null 2>&1; then
     echo "$crt is trusted"
   else
     echo "$crt is new"
   fi
done
"""


def rewrite(path, text):
    ((found, new),) = rewritten(lambda wanted: text if wanted == path else "")
    assert found == path
    return new


def tree(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        full = folder / name
        found[name] = os.readlink(full) if full.is_symlink() else full.read_bytes()
    return found


def certificates(script, tmp_path, name):
    (tmp_path / name).mkdir()
    target, scratch, source = tmp_path / name / "certs", tmp_path / name / "scratch", tmp_path / "source"
    target.mkdir(), scratch.mkdir()
    os.symlink(source / "right.crt", target / "right.pem")
    os.symlink("/elsewhere", target / "stale.pem")
    os.symlink("/nowhere", target / "orphan.pem")
    (target / "occupied.pem").write_text("a file")
    runs = [
        subprocess.run(["sh", "-ec", script, "sh", target, scratch, source], capture_output=True, check=True)
        for _ in range(2)
    ]
    output = b"--\n".join(done.stdout for done in runs).replace(os.fsencode(target), b"CERTS")
    return output, tree(target), os.listdir(scratch)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in {
        "plain": "one\n",
        "no newline": "two",
        "many,commas (and) more": "three\n\n",
        "Főtanúsítvány": "four\r\n",
        "twice.crt": "five\n",
        "right": "six\n",
        "stale": "seven\n",
        "occupied": "eight\n",
        "empty": "",
    }.items():
        (folder / f"{name}.crt").write_text(text)
    return folder


@pytest.mark.usefixtures("source")
def test_the_rewritten_update_of_certificates_leaves_the_same_files(tmp_path):
    new = rewrite("usr/sbin/update-ca-certificates", CERTIFICATES)
    before = certificates(CERTIFICATES, tmp_path, "before")
    after = certificates(new, tmp_path, "after")
    assert b"8 added" in before[0]
    assert b"0 added" in before[0]
    assert after == before  # and nothing is left in the scratch folder
    assert "basename" not in new


def test_without_certificates_no_bundle_appears(tmp_path):
    (tmp_path / "source").mkdir()
    new = rewrite("usr/sbin/update-ca-certificates", CERTIFICATES)
    _, files, _ = certificates(new, tmp_path, "after")
    assert "bundle" not in files


@pytest.mark.parametrize(
    ("disabled", "trusted"),
    [("", ""), ("a.crt", "b.crt"), ("a.crt\nb.crt\nc.crt", ""), ("x", "c.crt\na.crt"), ("a*", ".")],
)
def test_the_rewritten_questions_about_certificates_give_the_same_answers(disabled, trusted):
    new = rewrite("var/lib/dpkg/info/ca-certificates.config", CONFIG)
    outputs = [
        subprocess.run(
            ["sh", "-ec", text, "sh", disabled, trusted, "a.crt b.crt c.crt aXcrt a"], capture_output=True, check=True
        )
        for text in (CONFIG, new)
    ]
    assert outputs[0].stdout == outputs[1].stdout
    assert "grep" not in new


def test_a_script_that_says_something_else_is_left_alone():
    changed = CERTIFICATES.replace("ln -sf", "ln -s").replace("-exec test -e", "-exec test -f")
    assert list(rewritten(lambda _: changed)) == []
    assert list(rewritten(lambda _: "")) == []


def test_what_goes_together_is_rewritten_together_or_not_at_all():
    new = rewrite("usr/sbin/update-ca-certificates", CERTIFICATES + FINISH)
    assert ADD in new
    assert "-xtype l" in new
