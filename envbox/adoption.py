"""Layers that a lock promises, taken from other stores on this host instead of being built."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from envbox.sources import stores
from envbox.store.layers import Layers
from envbox.store.other_store import Refused, adopt
from envbox.store.work import exclusive, work_folder
from envbox.values import visible

if TYPE_CHECKING:
    from envbox.plan import Plan, Step
    from envbox.workshop import Workshop


def adopt_layers(todo: Plan, workshop: Workshop) -> int:
    """Have what other stores have of the layers to build; returns how many. What is wrong there is told, and left."""
    return sum(_adopt(step, workshop) for step in todo.to_build if step.recorded)


def _adopt(step: Step, workshop: Workshop) -> bool:
    found = stores(workshop.sources)
    if not found:
        return False
    with exclusive(workshop.store, step.key[:32], lambda: None):
        return any(_adopt_from(other, step, workshop) for other in found)


def _adopt_from(other: str, step: Step, workshop: Workshop) -> bool:
    assert step.recorded, "only what is promised can be adopted"
    layers = Layers(workshop.store)
    try:
        with work_folder(workshop.store, "adoption") as work:
            adopted = adopt(other, step.recorded, layers, os.path.join(work, "layer"))
    except Refused as refused:
        lines = "".join(f"\n  {visible(line)}" for line in refused.lines)
        text = f"The layer {step.title!r} in {other} was refused: it is not {step.recorded.short}, as which it is kept"
        workshop.reporter.note(f"{text}{lines}")
        return False
    if adopted:
        # Not remembered by its key: that it is what the inputs give, this lock alone says.
        workshop.reporter.note(f"Copied {step.title} from {other}")
    return adopted
