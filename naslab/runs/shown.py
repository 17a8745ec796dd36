"""What of a task stands beside the numbers of a search wherever they are shown, also by those who only have the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from naslab.errors import SpecError
from naslab.quantities import Objective, as_objectives
from naslab.tasks.task import Task


class Shown(NamedTuple):
    """Said by a task, for people."""

    objective: Objective | None = None
    """What shared weights are judged by; None where there is no task, or a candidate is judged by an estimator."""
    units: str = "examples"
    """What the data are counted in, in the plural: "images", "tokens"."""
    notes: tuple[str, ...] = ()
    """What should be said wherever a result is shown."""

    @classmethod
    def of(cls, stepper: Any) -> Self:
        """What a search algorithm learns, or its estimator trains candidates on; nothing if neither says."""
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
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """What `to_json` gave; `SpecError` for anything else."""
        given = told.get("objective")
        units, notes = told.get("units", "examples"), told.get("notes", [])
        if not isinstance(units, str) or not isinstance(notes, list) or not all(isinstance(n, str) for n in notes):
            raise SpecError(f"units are a text and notes a list of texts, not {units!r:.50} and {notes!r:.100}")
        return cls(None if given is None else as_objectives([given])[0], units, tuple(notes))


IMAGES = Shown(Objective("accuracy", "max", "%"), "images")
"""Of runs that said nothing, all of whose shared weights were of image classification."""
