"""What crosses between processes as text comes back unchanged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envbox.sandbox.failure import LaunchError
from envbox.sandbox.owners import format_owner, parse_owners
from envbox.sandbox.spec import Mount, SandboxSpec

TEXT = st.text(max_size=12)
IDS = st.integers(min_value=0, max_value=2**32 - 2)
PATHS = st.binary(min_size=1, max_size=12).filter(lambda path: b"\0" not in path)
MOUNTS = st.builds(Mount, kind=TEXT, target=TEXT, source=TEXT, access=TEXT, mode=IDS, optional=st.booleans())
SPECS = st.builds(
    SandboxSpec,
    layers=st.lists(TEXT).map(tuple),
    upper=TEXT,
    work=TEXT,
    root=TEXT,
    mounts=st.lists(MOUNTS, max_size=3).map(tuple),
    uid=IDS,
    gid=IDS,
    hostname=TEXT,
    network=TEXT,
    environment=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    directory=TEXT,
    argv=st.lists(TEXT, max_size=3).map(tuple),
    umask=IDS,
    fake_root=st.booleans(),
    owners=TEXT,
)


@given(SPECS)
def test_a_spec_survives_json(spec: SandboxSpec) -> None:
    assert SandboxSpec.from_json(spec.to_json()) == spec


@given(st.dictionaries(PATHS, st.tuples(IDS, IDS), max_size=4))
def test_every_path_survives_the_owners_file(owners: dict[bytes, tuple[int, int]]) -> None:
    data = b"".join(format_owner(path, *owner) for path, owner in owners.items())
    found = {path.encode("utf-8", "surrogateescape"): owner for path, owner in parse_owners(data).items()}
    assert found == owners


@given(TEXT.filter(lambda text: "\0" not in text), st.integers(0, 130), st.text())
def test_a_failure_survives_the_pipe(stage: str, number: int, detail: str) -> None:
    error = LaunchError.decode(LaunchError(stage, number, detail).encode())
    assert (error.stage, error.errno, error.detail) == (stage, number, detail)
