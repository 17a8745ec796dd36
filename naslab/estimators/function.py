"""User-defined functions as estimators. They are not stored in runs: pass them again when a run is reopened."""

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
    """A user-defined function as an estimator. It must be passed again when a run is reopened."""

    name = "function"
    space = None

    def __init__(
        self, function: Callable[..., float | Score], *, objectives: Sequence[Objective] | Objective = DEFAULT
    ) -> None:
        """
        Args:
            function: takes an architecture and returns a number or a `Score`.
            objectives: objectives of its values; a number is the value of a single objective. By default a number is
                maximised, and a `Score(values=..., objectives=...)` defines its own objectives.
        """
        self._function = function
        self.objectives = as_objectives(objectives)
        self._called = getattr(function, "__qualname__", type(function).__qualname__)

    def __call__(self, architecture: Architecture) -> float | Score:
        return self._score(self._function(architecture))

    def _score(self, found: Any) -> Any:
        """Returns the function's result as a score with the objectives."""
        if self.objectives == DEFAULT or isinstance(found, Score):
            return found
        if len(self.objectives) == 1:
            found = {self.objectives[0].name: found}
        return Score(values=found, objectives=self.objectives)

    def spec(self) -> dict[str, Any]:
        named = {} if self.objectives == DEFAULT else {"objectives": [list(each) for each in self.objectives]}
        return {"estimator": self.name, "called": self._called, **named}

    def fingerprint(self) -> str:
        """Returns a hash of the function's name; its behaviour cannot be identified."""
        return hashlib.sha256(self._called.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Function:
        raise SpecError(
            f"the estimator is a function, {spec.get('called')!r}, which cannot be kept in a run; pass it again as "
            "estimator=..., for instance Search.open(path, estimator=function)"
        )


class FunctionOfEpochs(Function):
    """A user-defined function of (architecture, epochs), for multi-fidelity searchers, which train briefly first.

    It is called with the keyword `epochs`: the total number, earlier requests included. The function itself must keep
    what it has trained so far. If the searcher sets no fidelity, `epochs` is omitted if it has a default, else None.
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
        """See `naslab.estimators.Trainable`. Accepts any length: the function must raise an error for invalid ones."""


def function_as_estimator(function: Callable[..., float | Score]) -> Function:
    """Returns a `FunctionOfEpochs` if the function has a parameter `epochs`, else a `Function`."""
    try:
        parameters: Collection[str] = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin has no signature
        parameters = ()
    return FunctionOfEpochs(function) if "epochs" in parameters else Function(function)
