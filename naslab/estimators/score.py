"""Result of an estimator for an architecture: one fitness to maximise, or the values of several objectives.

Score(0.93, {"parameters": 1e5})                              a fitness, more is better, and other metrics
Score(values={"error": 0.07, "latency": 0.02},                values as measured, each objective in its
      objectives=[Objective("error", "min"),                  own direction; the first is the fitness
                  Objective("latency", "min", "s")])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError, real
from naslab.immutable import FrozenDict
from naslab.lazy import warn_of_old_name
from naslab.quantities import FITNESS, Objective, as_objectives

DEFAULT = (FITNESS,)
"""Objectives of an estimator that declares none."""


@dataclass(frozen=True, init=False, repr=False)
class Score:
    """Fitness and metrics of an architecture.

    Args:
        fitness: more is better.
        metrics: other measured values by name, finite numbers: "parameters", "flops", "latency", "seconds", ...
        values: instead of both, values by name as they were measured, at least one for each objective.
        objectives: names and directions of the objectives among `values`. The fitness is the value of the first,
            negated if less is better; all other values become metrics.
        figures: `metrics`, by their earlier name.

    Raises:
        SpecError: arguments of both kinds are given, or an objective has no value.
    """

    fitness: float
    metrics: Mapping[str, float]
    objectives: tuple[Objective, ...]
    """Objectives as given; empty for a bare fitness, whose objective the estimator declares."""

    def __init__(
        self,
        fitness: Any = None,
        metrics: Mapping[str, float] = FrozenDict({}),
        *,
        values: Mapping[str, float] | None = None,
        objectives: Sequence[Objective] = (),
        figures: Mapping[str, float] | None = None,
    ) -> None:
        if figures is not None:
            warn_of_old_name("Score(figures=...)", "Score(metrics=...)")
            metrics = figures
        if values is None:
            if objectives:
                raise SpecError("objectives=... belong to values=...; a bare fitness has none")
            self._set(fitness, metrics, ())
            return
        if fitness is not None or metrics:
            raise SpecError("a score has a fitness and metrics, or values=... with objectives=..., not both")
        if not isinstance(values, Mapping):
            raise SpecError(f"values are numbers by name, for instance {{'error': 0.07}}, not {values!r:.200}")
        if not objectives and FITNESS.name not in values:
            raise SpecError(
                f"the directions of {', '.join(map(str, values)) or 'no values'} are not known; give "
                f"objectives=[nl.estimators.Objective({next(iter(values), 'error')!r}, 'min')], or 'max'"
            )
        wanted = as_objectives(objectives or DEFAULT)
        if missing := [objective.name for objective in wanted if objective.name not in values]:
            known = ", ".join(map(str, values)) or "none"
            raise SpecError(f"the values lack that of the objective {missing[0]!r}; there are: {known}")
        first = wanted[0]
        rest = {name: value for name, value in values.items() if name != first.name}
        self._set(first.sign * _number(first.name, values[first.name]), rest, wanted)

    def _set(self, *fields: Any) -> None:
        # A frozen dataclass can be filled only past its own `__setattr__`.
        for name, value in zip(("fitness", "metrics", "objectives"), fields, strict=True):
            object.__setattr__(self, name, value)

    @property
    def values(self) -> Mapping[str, float]:
        """All measured values by name: the objectives and the other metrics, each in its own direction."""
        first = (self.objectives or DEFAULT)[0]
        return {first.name: first.sign * self.fitness, **self.metrics}

    @property
    def figures(self) -> Mapping[str, float]:
        """The earlier name of `metrics`."""
        warn_of_old_name("Score.figures", "Score.metrics")
        return self.metrics

    def but(
        self,
        fitness: float | None = None,
        metrics: Mapping[str, float] | None = None,
        *,
        figures: Mapping[str, float] | None = None,
    ) -> Score:
        """Returns a score of the same objectives with another fitness, or with other metrics beside the objectives.

        Args:
            fitness: None keeps it.
            metrics: replace all but the objectives; None keeps them.
            figures: `metrics`, by their earlier name.
        """
        if figures is not None:
            warn_of_old_name("Score.but(figures=...)", "Score.but(metrics=...)")
            metrics = figures
        other = Score.__new__(Score)
        kept = {each.name: self.metrics[each.name] for each in self.objectives[1:]}
        new = self.metrics if metrics is None else {**kept, **metrics}
        other._set(self.fitness if fitness is None else fitness, new, self.objectives)
        return other

    def __iter__(self) -> Iterator[Any]:
        """Yields fitness and metrics, for `fitness, metrics = score`."""
        yield self.fitness
        yield self.metrics

    def __hash__(self) -> int:
        return hash((self.fitness, tuple(sorted(self.metrics)), self.objectives))

    def __repr__(self) -> str:
        if not self.objectives:
            return f"Score(fitness={self.fitness!r}, metrics={dict(self.metrics)!r})"
        return f"Score(values={dict(self.values)!r}, objectives={list(self.objectives)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _score, (self.fitness, self.metrics, self.objectives)


def _score(*fields: Any) -> Score:
    score = Score.__new__(Score)
    score._set(*fields)
    return score


def _number(name: str, value: Any) -> float:
    """Returns a value as a float. NaN is kept here and later makes the candidate a failed one."""
    if isinstance(value, float):
        return value
    return real(f"the value of {name!r}", value)


def objectives_of(estimator: Any) -> tuple[Objective, ...]:
    """Returns the objectives that an estimator declares, the first that of its fitness; `DEFAULT` if it has none."""
    named = getattr(estimator, "objectives", None)
    if type(named) is tuple and {*map(type, named)} == {Objective}:
        return named  # the fast path: this is called for each candidate
    return as_objectives(named) if named else DEFAULT
