"""The geo example: hundreds of packages and the scientific Python libraries, doing their work."""

from __future__ import annotations

import struct

import pytest

from envbox import lock as locks

pytestmark = pytest.mark.real


@pytest.fixture(params=["geo", "geo_plain"])
def world(request):
    return request.getfixturevalue(request.param)


def test_the_example_reads_fits_draws_and_calls_every_tool(world):
    output = world.run("python3", "analysis.py")
    told = dict(line.split(": ", 1) for line in output.splitlines())
    assert told["lapse rate"].endswith("degrees per km")
    assert -8 < float(told["lapse rate"].split()[0]) < -4
    assert float(told["fit"].removeprefix("R2 = ")) > 0.9
    assert told["raster"].startswith("AAIGrid 6 x 4") or told["raster"].startswith("GTiff 6 x 4")
    assert told["git"].startswith("git version 2.")
    assert told["font"] == "Noto Sans"
    assert told["thumbnail"] == "PNG 64 x 64"
    mean = sum(float(line.split(",")[4]) for line in _rows(world)) / len(_rows(world))
    assert float(told["mean by C"]) == pytest.approx(mean, abs=0.001)


def _rows(world):
    return (world.folder / "data.csv").read_text().splitlines()[1:]


def test_the_plot_is_a_picture_with_more_than_one_colour(world):
    world.run("python3", "analysis.py", "pictures")
    picture = world.folder / "pictures" / "plot.png"
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (640, 480)
    assert int(world.run("identify", "-format", "%k", "pictures/plot.png")) > 10
    assert picture.stat().st_uid == world.person.uid


def test_the_plain_user_built_what_the_other_locked(geo, geo_plain):
    assert geo_plain.lock.read_bytes() == geo.lock.read_bytes()
    assert geo_plain.layers() <= geo.layers()
    lock = locks.load(str(geo.lock))
    promised = {d.hex for group in lock.groups for d in (group.unpacked, group.configured) if d}
    promised |= {libraries.layer.hex for libraries in lock.libraries if libraries.layer}
    assert len(geo_plain.layers() - promised) == 1, "the session's own"
    assert promised <= geo_plain.layers()


def test_every_library_is_compiled_and_no_more_than_asked_for(geo):
    script = (
        "import glob, importlib.metadata as m;"
        "print(len(glob.glob('/opt/envbox/python/lib/python3*/site-packages/sklearn/**/*.pyc', recursive=True)) > 100);"
        "print(sorted(d.name for d in m.distributions() if 'opt/envbox' in str(d.locate_file(''))))"
    )
    compiled, names = geo.run("python3", "-c", script).splitlines()
    assert compiled == "True"
    lock = locks.load(str(geo.lock))
    assert names == str(sorted(artifact.name for artifact in lock.libraries[0].artifacts))


def test_a_warm_run_of_a_large_environment_needs_no_network(geo, only_root):
    geo.execute(["unshare", "--net", *geo.command("run", "--", "python3", "-c", "import numpy, pandas, sklearn")])
