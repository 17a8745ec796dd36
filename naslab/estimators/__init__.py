"""Estimators: functions that score an architecture. One module for each method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError
from naslab.estimators.estimator import (
    CheckpointRef,
    Estimator,
    Learning,
    Trainable,
    UnknownFidelity,
    WrongSetup,
    with_current_names,
)
from naslab.estimators.function import Function, FunctionOfEpochs, function_as_estimator
from naslab.estimators.job import Job
from naslab.estimators.learning_curve import LearningCurve
from naslab.estimators.objectives import Constrained, LatencyReward, Penalised, TooMuch, Weighted, WithMetrics
from naslab.estimators.resources import Resources
from naslab.estimators.score import Score, objectives_of
from naslab.estimators.table import Table
from naslab.estimators.training import Training
from naslab.estimators.workers import Crashed, TimedOut, Workers
from naslab.estimators.wrapped import Wrapped
from naslab.estimators.zero_cost import ZeroCost
from naslab.lazy import attach
from naslab.quantities import Objective
from naslab.registry import described, named

ESTIMATORS: dict[str, Any] = {
    Table.name: Table,
    Training.name: Training,
    Function.name: Function,
    ZeroCost.name: ZeroCost,
    Resources.name: Resources,
    WithMetrics.name: WithMetrics,
    Constrained.name: Constrained,
    Penalised.name: Penalised,
    Weighted.name: Weighted,
    LatencyReward.name: LatencyReward,
    LearningCurve.name: LearningCurve,
}
"""Name in a run folder -> class of the estimator."""

__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "Kept": "CheckpointRef",
        "WithFigures": "WithMetrics",
    },
)

__all__ = [
    "ESTIMATORS",
    "CheckpointRef",
    "Constrained",
    "Crashed",
    "Estimator",
    "Function",
    "FunctionOfEpochs",
    "Job",
    "LatencyReward",
    "Learning",
    "LearningCurve",
    "Objective",
    "Penalised",
    "Resources",
    "Score",
    "Table",
    "TimedOut",
    "TooMuch",
    "Trainable",
    "Training",
    "UnknownFidelity",
    "Weighted",
    "WithMetrics",
    "Workers",
    "WrongSetup",
    "ZeroCost",
    "as_estimator",
    "class_of",
    "from_spec",
    "objectives_of",
]


def as_estimator(given: Benchmark | Estimator | Callable[[Architecture], float | Score]) -> Estimator:
    """Returns an estimator: the one given, a `Table` of the objective of a benchmark, or a `Function` of a function,
    which is a `FunctionOfEpochs` if it has a parameter `epochs`.

    Raises:
        SpecError: it is none of these.
    """
    if isinstance(given, Benchmark):
        return Table(given)
    if isinstance(given, Estimator):
        return with_current_names(given)
    if callable(given) and not isinstance(given, type):
        return function_as_estimator(given)
    raise SpecError(
        "an estimator is a benchmark, one of nl.estimators, or a function from an architecture to a number; "
        f"got {given!r:.200}"
    )


def class_of(name: object) -> Any:
    """Returns the class of an estimator by its name, naslab's or the user's; `SpecError` if there is none."""
    advice = ", or pass the estimator itself as estimator=..., for instance Search.open(path, estimator=estimator)"
    return named("estimator", name, ESTIMATORS, object, suits=_is_estimator, otherwise=advice)


def _is_estimator(cls: type) -> bool:
    made = "from_parts" if issubclass(cls, Wrapped) else "from_spec"
    return all(callable(getattr(cls, method, None)) for method in (made, "spec", "fingerprint")) and any(
        "__call__" in vars(each) for each in cls.__mro__
    )


@described("an estimator")
def from_spec(spec: dict[str, Any], task: Any = None) -> Estimator:
    """Returns the estimator that `estimator.spec()` describes; `task` stands in for data that a spec cannot load."""
    if not isinstance(spec, dict) or "estimator" not in spec:
        raise SpecError(f"expected an object with the key 'estimator', got {spec!r:.200}")
    estimator = class_of(spec["estimator"])
    if issubclass(estimator, Wrapped):
        return estimator.from_parts(spec, from_spec(spec["inside"], task), task)
    return estimator.from_spec(spec, task)
