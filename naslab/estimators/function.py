"""Functions of the user's own: what any of them scores, it scores, and a run that is opened again is given it again."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.estimators.estimator import CheckpointRef
from naslab.estimators.score import DEFAULT, Score
from naslab.quantities import Objective, as_objectives


class Function:
    """A function of the user's own as an estimator. A run that is opened again must be given it again."""

    name = "function"
    space = None

    def __init__(
        self, function: Callable[..., float | Score], *, objectives: Sequence[Objective] | Objective = DEFAULT
    ) -> None:
        """
        Args:
            function: from an architecture to a number, or a `Score`.
            objectives: what is wanted of what it gives. A number is the value of the only objective. Left out, more of
                the number is better, and a `Score(values=..., objectives=...)` has objectives of its own.
        """
        self._function = function
        self.objectives = as_objectives(objectives)
        self._called = getattr(function, "__qualname__", type(function).__qualname__)

    def __call__(self, architecture: Architecture) -> float | Score:
        return self._score(self._function(architecture))

    def _score(self, found: Any) -> Any:
        """What the function gave, as a score of the objectives."""
        if self.objectives == DEFAULT or isinstance(found, Score):
            return found
        if len(self.objectives) == 1:
            found = {self.objectives[0].name: found}
        return Score(values=found, objectives=self.objectives)

    def spec(self) -> dict[str, Any]:
        named = {} if self.objectives == DEFAULT else {"objectives": [list(each) for each in self.objectives]}
        return {"estimator": self.name, "called": self._called, **named}

    def fingerprint(self) -> str:
        """Of its name: what it does cannot be told."""
        return hashlib.sha256(self._called.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Function:
        raise SpecError(
            f"the estimator is a function, {spec.get('called')!r}, which cannot be kept in a run; pass it again as "
            "estimator=..., for instance Search.open(path, estimator=function)"
        )


class FunctionOfEpochs(Function):
    """A function of the user's own of (architecture, epochs): a searcher that stops early can ask it for less.

    It is called with `epochs` by keyword: how many in all, those it was asked for before included; what it has trained
    is its own to remember. Where the searcher does not care, `epochs` is left out if it has a default, else None.
    """

    keeps_weights = False

    def __init__(
        self, function: Callable[..., float | Score], *, objectives: Sequence[Objective] | Objective = DEFAULT
    ) -> None:
        super().__init__(function, objectives=objectives)
        default = inspect.signature(function).parameters["epochs"].default
        self._whole = {"epochs": None} if default is inspect.Parameter.empty else {}

    def __call__(self, architecture: Architecture) -> float | Score:
        return self._score(self._function(architecture, **self._whole))

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """See `naslab.estimators.Trainable`."""
        found = self(architecture) if fidelity is None else self._score(self._function(architecture, epochs=fidelity))
        return found if isinstance(found, Score) else Score(found)

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`; whether it can be trained so long is the function's to say."""


def function_as_estimator(function: Callable[..., float | Score]) -> Function:
    """A `FunctionOfEpochs` if it has a parameter of that name, else a `Function`."""
    try:
        parameters: Collection[str] = inspect.signature(function).parameters
    except (TypeError, ValueError):  # one that is not written in Python
        parameters = ()
    return FunctionOfEpochs(function) if "epochs" in parameters else Function(function)
