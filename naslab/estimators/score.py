"""What an estimator says of an architecture: one fitness that a searcher climbs, or the values of several objectives.

Score(0.93, {"parameters": 1e5})                              a fitness, more is better, and other figures
Score(values={"error": 0.07, "latency": 0.02},                values as they are measured, each objective in its
      objectives=[Objective("error", "min"),                  own direction; the first is the fitness
                  Objective("latency", "min", "s")])
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError, real
from naslab.immutable import FrozenDict
from naslab.quantities import FITNESS, Objective, as_objectives

DEFAULT = (FITNESS,)
"""Objectives of an estimator that names none."""


@dataclass(frozen=True, init=False, repr=False)
class Score:
    """What an architecture is worth.

    Args:
        fitness: more is better.
        figures: finite numbers by name that were found on the way: "parameters", "flops", "latency", "seconds", ...
        values: instead of both, numbers by name as they were measured; at least one for each objective.
        objectives: what is wanted of the values. The fitness is the value of the first, its sign turned where less is
            better; the others are among the figures.
    """

    fitness: float
    figures: Mapping[str, float]
    objectives: tuple[Objective, ...]
    """Those that were given; empty for a bare fitness, whose objective is the one of the estimator."""

    def __init__(
        self,
        fitness: Any = None,
        figures: Mapping[str, float] = FrozenDict({}),
        *,
        values: Mapping[str, float] | None = None,
        objectives: Sequence[Objective] = (),
    ) -> None:
        if values is None:
            if objectives:
                raise SpecError("objectives=... say what is wanted of values=...; a bare fitness has none")
            self._set(fitness, figures, ())
            return
        if fitness is not None or figures:
            raise SpecError("a score has a fitness and figures, or values=... with objectives=..., not both")
        if not isinstance(values, Mapping):
            raise SpecError(f"values are numbers by name, for instance {{'error': 0.07}}, not {values!r:.200}")
        if not objectives and FITNESS.name not in values:
            raise SpecError(
                f"of {', '.join(map(str, values)) or 'no values'} it is not known what is wanted; say it: "
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
        for name, value in zip(("fitness", "figures", "objectives"), fields, strict=True):
            object.__setattr__(self, name, value)

    @property
    def values(self) -> Mapping[str, float]:
        """Everything by its name, as it was measured: the objectives, and the figures."""
        first = (self.objectives or DEFAULT)[0]
        return {first.name: first.sign * self.fitness, **self.figures}

    def but(self, fitness: float | None = None, figures: Mapping[str, float] | None = None) -> Score:
        """The same objectives with another fitness or other figures, among which those of the objectives stay."""
        other = Score.__new__(Score)
        kept = {each.name: self.figures[each.name] for each in self.objectives[1:]}
        new = self.figures if figures is None else {**kept, **figures}
        other._set(self.fitness if fitness is None else fitness, new, self.objectives)
        return other

    def __iter__(self) -> Iterator[Any]:
        """Fitness and figures, as `fitness, figures = score` takes them."""
        yield self.fitness
        yield self.figures

    def __hash__(self) -> int:
        return hash((self.fitness, tuple(sorted(self.figures)), self.objectives))

    def __repr__(self) -> str:
        if not self.objectives:
            return f"Score(fitness={self.fitness!r}, figures={dict(self.figures)!r})"
        return f"Score(values={dict(self.values)!r}, objectives={list(self.objectives)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _score, (self.fitness, self.figures, self.objectives)


def _score(*fields: Any) -> Score:
    score = Score.__new__(Score)
    score._set(*fields)
    return score


def _number(name: str, value: Any) -> float:
    """A value as a number; NaN is kept, and counts later as a failed candidate."""
    if isinstance(value, float):
        return value
    return real(f"the value of {name!r}", value)


def objectives_of(estimator: Any) -> tuple[Objective, ...]:
    """The objectives that an estimator names, the first that of its fitness; `FITNESS` alone if it names none."""
    named = getattr(estimator, "objectives", None)
    if type(named) is tuple and {*map(type, named)} == {Objective}:
        return named  # each candidate asks
    return as_objectives(named) if named else DEFAULT
