"""What strangers name reaches no terminal as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from envbox import adoption
from envbox.api import LayerDiff
from envbox.diff import FileChange
from envbox.frontends.cli.diff import _layer_lines
from envbox.store.store import Store
from envbox.values import Digest

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = Digest("a" * 64)


def test_the_files_of_a_layer_are_listed_without_control_characters() -> None:
    file = FileChange("a\x1b[2J", "leads to \x07, not b", "")
    *_, line = _layer_lines(LayerDiff("base", DIGEST, Digest("b" * 64), (file,)), None)
    assert line == r"  /a\x1b[2J: leads to \x07, not b"


def test_a_refusal_is_told_without_control_characters(tmp_path: Path) -> None:
    notes: list[str] = []
    store = Store(str(tmp_path / "own")).prepare()
    folder = tmp_path / "other/layers-v1" / DIGEST.hex
    folder.mkdir(parents=True)
    rows = '["", "directory", 493, 0, 0, 0, 0, "", "", []]\n["\\u001b[2J", "file", 420, 0, 0, 0, 0, "", "", []]\n'
    (folder / "manifest").write_text(rows)
    step: Any = SimpleNamespace(recorded=DIGEST, title="base", key="k")
    workshop: Any = SimpleNamespace(store=store, reporter=SimpleNamespace(note=notes.append))
    assert not adoption._adopt_from(str(tmp_path / "other"), step, workshop)
    assert r"/\x1b[2J: missing" in notes[0]
    assert "\x1b" not in notes[0]
