import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbox import session as subject
from envbox.errors import CommandNotStarted
from envbox.fingerprint import fingerprint
from envbox.session import Session, find_project, load_record, parse_json
from envbox.store import gc
from envbox.store.store import Store

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_records_are_read_as_json_reads_them(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "[1,", "nonsense"])
def test_broken_records_are_refused(text):
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)


def test_the_nearest_project_above_is_found(tmp_path):
    (tmp_path / "envbox.toml").write_text("")
    (tmp_path / "a/b").mkdir(parents=True)
    assert find_project(str(tmp_path / "a/b")) == os.path.realpath(tmp_path)
    (tmp_path / "a/envbox.toml").write_text("")
    assert find_project(str(tmp_path / "a/b")) == os.path.realpath(tmp_path / "a")


@pytest.fixture
def record(tmp_path):
    project, store = tmp_path / "project", tmp_path / "store"
    project.mkdir()
    (project / "envbox.toml").write_text("spec")
    (project / "envbox.lock").write_text("lock")
    (project / "requirements.txt").write_text("numpy")
    (project / "scripts").mkdir()
    (project / "scripts/install.sh").write_text("true")
    layer = store / "layers-v1/x/tree"
    layer.mkdir(parents=True)
    place = subject.record_path(str(store), subject.identity_of(str(project), b"spec", b"lock"))
    os.makedirs(os.path.dirname(place))
    value = {
        "identity": os.path.basename(os.path.dirname(place)),
        "version": subject.RECORD_VERSION,
        "name": "climate",
        "sources": [["requirements.txt", subject.sha256_of(b"numpy")]],
        "inputs": [["scripts", fingerprint(str(project / "scripts"))]],
        "layers": [str(layer)],
        "home": str(store / "homes/x"),
        "path": ["/opt/envbox/python/bin"],
        "variables": {"PROJ_NETWORK": "OFF"},
        "shell": "bash",
        "volumes": [{"source": "/data", "target": "/data", "access": "read"}],
    }
    with open(place, "w") as file:
        json.dump(value, file)
    return str(store), str(project), value


def test_a_record_is_found_while_nothing_changed(record):
    store, project, value = record
    assert load_record(store, project) == value


@pytest.mark.parametrize("change", ["envbox.toml", "envbox.lock", "requirements.txt", "scripts/install.sh"])
def test_a_record_no_longer_holds_when_a_source_changes(record, change):
    store, project, _ = record
    with open(os.path.join(project, change), "a") as file:
        file.write(" ")
    assert load_record(store, project) is None


@pytest.mark.parametrize("change", ["envbox.lock", "requirements.txt"])
def test_a_record_no_longer_holds_when_a_source_is_gone(record, change):
    store, project, _ = record
    os.unlink(os.path.join(project, change))
    assert load_record(store, project) is None


def test_a_record_no_longer_holds_when_a_layer_is_gone(record):
    store, project, value = record
    os.rmdir(value["layers"][0])
    assert load_record(store, project) is None


def test_no_variable_of_the_host_enters_but_those_of_the_terminal(record, monkeypatch):
    store, project, value = record
    for name in list(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SECRET_TOKEN", "x")
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    monkeypatch.setenv("TERM", "xterm")
    variables = Session(store, project, value).environment()
    assert set(variables) == {
        "TERM", "PATH", "LANG", "HOME", "USER", "LOGNAME", "SHELL", "ENVBOX", "PROJ_NETWORK",
    }  # fmt: skip
    assert variables["PATH"].startswith("/opt/envbox/python/bin:")
    assert variables["HOME"] == "/home/dev"
    assert Session(store, project, value, root=True).environment()["HOME"] == "/root"


def test_the_working_directory_is_kept_inside_the_project_only(record):
    store, project, value = record
    session = Session(store, project, value)
    assert session.sandbox("/w", ["true"], f"{project}/sub")["directory"] == f"{project}/sub"
    assert session.sandbox("/w", ["true"], "/somewhere")["directory"] == project
    assert session.sandbox("/w", ["true"], f"{project}-other")["directory"] == project


def test_the_plain_form_is_that_of_a_sandbox_spec(record):
    from envbox.sandbox.spec import SandboxSpec

    store, project, value = record
    plain = Session(store, project, value).sandbox("/w", ["true"], project)
    plain["environment"] = [list(pair) for pair in plain["environment"]]
    assert json.loads(SandboxSpec.from_json(json.dumps(plain)).to_json()) == plain


def test_the_store_is_hidden_where_the_project_or_a_volume_would_show_it(record):
    store, project, value = record
    above = os.path.dirname(store)
    value["volumes"].append({"source": above, "target": "/everything", "access": "write"})
    covered = [m["target"] for m in Session(store, above, value).sandbox("/w", ["true"], above)["mounts"][-2:]]
    assert covered == [store, "/everything/store"]
    assert not Session(store, project, {**value, "volumes": []})._covers()


def test_a_session_tells_which_environment_it_uses_as_long_as_it_runs(record):
    store, project, value = record
    os.mkdir(os.path.join(store, "tmp"))
    with Session(store, project, value).work():
        assert gc.sessions(Store(store)) == [gc.Session(os.getpid(), value["identity"])]
    assert gc.sessions(Store(store)) == []


def test_a_session_whose_record_vanished_before_it_told_of_itself_does_not_begin(record):
    store, project, value = record
    os.mkdir(os.path.join(store, "tmp"))
    os.unlink(subject.record_path(store, value["identity"]))
    with pytest.raises(CommandNotStarted, match="removed from the store"), Session(store, project, value).work():
        pass
    assert os.listdir(os.path.join(store, "tmp")) == []


def test_a_work_folder_is_gone_at_its_end_and_leaves_no_descriptor(record):
    store, project, value = record
    os.mkdir(os.path.join(store, "tmp"))
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with Session(store, project, value).work() as folder:
            hosts = os.path.join(folder, "upper/etc/hosts")
            with open(hosts) as file:
                assert file.read().endswith("127.0.1.1 climate\n")
    assert os.listdir(os.path.join(store, "tmp")) == []
    assert len(os.listdir("/proc/self/fd")) == len(before)
