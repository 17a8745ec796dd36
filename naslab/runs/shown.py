"""What a task says to be displayed beside the metrics of a search, kept in the run for those without the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from naslab.errors import SpecError
from naslab.quantities import Objective, as_objectives
from naslab.tasks.task import Task


class Shown(NamedTuple):
    """Information from a task for display."""

    objective: Objective | None = None
    """Objective of the shared weights; None without a task, or if an estimator scores the candidates."""
    units: str = "examples"
    """Unit in which the data are counted, in the plural: "images", "tokens"."""
    notes: tuple[str, ...] = ()
    """Remarks that belong beside every result."""

    @classmethod
    def of(cls, stepper: Any) -> Self:
        """Returns that of the searcher's task, or of the task that its estimator trains on; empty without a task."""
        for judge in (stepper, getattr(stepper, "estimator", None)):
            if isinstance(task := getattr(judge, "task", None), Task):
                quantity = task.quantities[task.objective]
                objective = Objective(task.objective, quantity.direction or "max", quantity.unit)
                return cls(objective if judge is stepper else None, task.units, tuple(task.notes))
        return cls()

    def to_json(self) -> dict[str, Any]:
        objective = None if self.objective is None else list(self.objective)
        return {"objective": objective, "units": self.units, "notes": list(self.notes)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Rebuilds what `to_json` returned; `SpecError` for anything else."""
        given = record.get("objective")
        units, notes = record.get("units", "examples"), record.get("notes", [])
        if not isinstance(units, str) or not isinstance(notes, list) or not all(isinstance(n, str) for n in notes):
            raise SpecError(f"units are a text and notes a list of texts, not {units!r:.50} and {notes!r:.100}")
        return cls(None if given is None else as_objectives([given])[0], units, tuple(notes))


IMAGES = Shown(Objective("accuracy", "max", "%"), "images")
"""For runs of format 1, which do not record it; their shared weights were all of image classification."""
