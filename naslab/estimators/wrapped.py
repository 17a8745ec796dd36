"""Base class of estimators that wrap another: they change the score, and leave training and data to the one inside."""

from __future__ import annotations

import copy
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.estimators.estimator import (
    HOOKS,
    CheckpointRef,
    Estimator,
    Learning,
    with_current_names,
    without_fidelities,
)
from naslab.estimators.score import Score, objectives_of
from naslab.lazy import keep_old_hooks
from naslab.quantities import Objective
from naslab.spaces.space import Space


class Wrapped(ABC):
    """An estimator that changes the scores of another one (`judge`)."""

    name: ClassVar[str]
    own_fitness: ClassVar[bool] = False
    """True if it computes a new fitness from that of the estimator inside."""
    keeps_fitness_as: ClassVar[str | None] = None
    """Name of the metric under which the innermost fitness is kept; None if it is not."""
    decides: ClassVar[bool] = False
    """True if it compares a candidate with the fitness of earlier ones, which must be the fitness the searcher sees."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)

    def __init__(self, inside: Estimator) -> None:
        if not isinstance(inside, Estimator) or isinstance(inside, type):
            raise SpecError(
                f"{self.name} goes around an estimator, for instance nl.estimators.Training(space, task), or "
                f"nl.estimators.as_estimator(...) of a benchmark or a function; not {inside!r:.200}"
            )
        for layer in layers(inside):
            if self.own_fitness and layer.decides:
                raise SpecError(
                    f"{layer.name!r} compares candidates by their fitness so far, and {self.name!r} around it changes "
                    f"that fitness; put it outside: {type(layer).__name__}({type(self).__name__}(...), ...)"
                )
        self.inside = with_current_names(inside)

    def admit(self, architecture: Architecture) -> None:
        """Raises an exception if a candidate must not be scored at all; called before it is trained."""
        return

    @abstractmethod
    def judge(self, architecture: Architecture, score: Score) -> Score:
        """Returns the score of this estimator, from the score of the estimator inside."""

    def innermost(self, score: Score) -> float:
        """Returns the original fitness in a score of the estimator inside, before any layer changed it."""
        for layer in layers(self.inside):
            if (name := layer.keeps_fitness_as) is not None and name in score.metrics:
                return score.metrics[name]
        return score.fitness

    @property
    def space(self) -> Space | None:
        return self.inside.space

    @property
    def task(self) -> Any:
        """Task of the estimator inside; None if it has none."""
        return getattr(self.inside, "task", None)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Objectives of the estimator inside; the new fitness alone if this estimator computes one."""
        return (Objective(self.name, "max"),) if self.own_fitness else objectives_of(self.inside)

    @property
    def keeps_weights(self) -> bool:
        return bool(getattr(self.inside, "keeps_weights", False))

    def __call__(self, architecture: Architecture) -> Score:
        self.admit(architecture)
        found = self.inside(architecture)
        return self.judge(architecture, found if isinstance(found, Score) else Score(found))

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """See `naslab.estimators.Trainable`."""
        train = getattr(self.inside, "train", None)
        if train is None:
            raise without_fidelities(self.inside)
        self.admit(architecture)
        return self.judge(architecture, train(architecture, fidelity=fidelity, begin=begin, keep=keep))

    @property
    def fidelities(self) -> Collection[float] | None:
        """Training lengths of the estimator inside, in epochs; None if any whole number of epochs is possible."""
        return getattr(self.inside, "fidelities", None)

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`."""
        if not hasattr(self.inside, "train"):
            raise without_fidelities(self.inside)
        if (check := getattr(self.inside, "check_fidelity", None)) is not None:
            check(fidelity)

    # Every `Wrapped` is a `Learning`, whether or not the estimator inside learns.
    def update(self, metrics: Mapping[str, float]) -> Wrapped:
        """See `naslab.estimators.estimator.Learning`: updates the estimator inside, if it learns."""
        return self._around(self.inside.update(metrics) if isinstance(self.inside, Learning) else self.inside)

    def state_dict(self) -> Any:
        return self.inside.state_dict() if isinstance(self.inside, Learning) else ()

    def with_state(self, state: Any) -> Wrapped:
        return self._around(self.inside.with_state(state) if isinstance(self.inside, Learning) else self.inside)

    def _around(self, inside: Estimator) -> Wrapped:
        """Returns a copy around another estimator; itself if that is the same."""
        if inside is self.inside:
            return self
        other = copy.copy(self)
        other.inside = inside
        return other

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> Wrapped:
        """Returns the estimator that `spec` describes.

        By default the entries of the spec are keyword arguments of the class; a class for which they are not overrides
        this method.

        Args:
            spec: what `spec()` returned.
            inside: estimator inside, already made.
            task: stands in for data that the spec cannot load.
        """
        return cls(inside, **{name: value for name, value in spec.items() if name not in ("estimator", "inside")})

    def fingerprint(self) -> str:
        described = json.dumps([self.inside.fingerprint(), self.options()], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Returns its arguments other than `inside`, as JSON."""

    def spec(self) -> dict[str, Any]:
        return {"estimator": self.name, "inside": self.inside.spec(), **self.options()}


keep_old_hooks(Wrapped, HOOKS)  # `__init_subclass__` does not run for the class itself


def layers(estimator: Estimator) -> Iterator[Wrapped]:
    """Yields the wrapping estimators, from the outside in."""
    while isinstance(estimator, Wrapped):
        yield estimator
        estimator = estimator.inside
