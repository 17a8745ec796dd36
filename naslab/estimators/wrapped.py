"""An estimator around another: changes the score, and leaves training, weights and data to the one inside."""

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
from naslab.estimators.estimator import CheckpointRef, Estimator, Learning, cannot_be_told
from naslab.estimators.score import Score, objectives_of
from naslab.quantities import Objective
from naslab.spaces.space import Space


class Wrapped(ABC):
    """Scores as the estimator inside does, and then says what it thinks of that (`judge`)."""

    name: ClassVar[str]
    own_fitness: ClassVar[bool] = False
    """Whether its fitness is another than that of the one inside."""
    keeps_fitness_as: ClassVar[str | None] = None
    """The figure that the innermost fitness becomes, which it makes another of; None if it is not kept."""
    decides: ClassVar[bool] = False
    """Whether it decides by the fitness of the candidates so far, which must then be what the searcher is told."""

    def __init__(self, inside: Estimator) -> None:
        if not isinstance(inside, Estimator) or isinstance(inside, type):
            raise SpecError(
                f"{self.name} goes around an estimator, for instance nl.estimators.Training(space, task), or "
                f"nl.estimators.as_estimator(...) of a benchmark or a function; not {inside!r:.200}"
            )
        for layer in layers(inside):
            if self.own_fitness and layer.decides:
                raise SpecError(
                    f"{layer.name!r} decides by the fitness of the candidates so far, and {self.name!r} around it "
                    f"makes another of it; put it outside: {type(layer).__name__}({type(self).__name__}(...), ...)"
                )
        self.inside = inside

    def admit(self, architecture: Architecture) -> None:
        """Raise what keeps a candidate from being scored at all, before anything is spent on it."""
        return

    @abstractmethod
    def judge(self, architecture: Architecture, score: Score) -> Score:
        """The score that this estimator gives instead."""

    def innermost(self, score: Score) -> float:
        """The fitness in a score of the one inside, as it was before any layer made another of it."""
        for layer in layers(self.inside):
            if (name := layer.keeps_fitness_as) is not None and name in score.figures:
                return score.figures[name]
        return score.fitness

    @property
    def space(self) -> Space | None:
        return self.inside.space

    @property
    def task(self) -> Any:
        """What the one inside trains on."""
        return getattr(self.inside, "task", None)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Those of the one inside; one that makes another fitness of it has that as its only objective."""
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
            raise cannot_be_told(self.inside)
        self.admit(architecture)
        return self.judge(architecture, train(architecture, fidelity=fidelity, begin=begin, keep=keep))

    @property
    def fidelities(self) -> Collection[float] | None:
        """Epochs that the one inside can be asked for, where these are few."""
        return getattr(self.inside, "fidelities", None)

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`."""
        if not hasattr(self.inside, "train"):
            raise cannot_be_told(self.inside)
        if (check := getattr(self.inside, "check_fidelity", None)) is not None:
            check(fidelity)

    def hear(self, figures: Mapping[str, float]) -> Wrapped:
        """See `naslab.estimators.estimator.Learning`: the one inside hears it, if it learns."""
        return self._around(self.inside.hear(figures) if isinstance(self.inside, Learning) else self.inside)

    def memory(self) -> Any:
        return self.inside.memory() if isinstance(self.inside, Learning) else ()

    def remember(self, memory: Any) -> Wrapped:
        return self._around(self.inside.remember(memory) if isinstance(self.inside, Learning) else self.inside)

    def _around(self, inside: Estimator) -> Wrapped:
        """The same around another."""
        if inside is self.inside:
            return self
        other = copy.copy(self)
        other.inside = inside
        return other

    @classmethod
    def from_parts(cls, spec: Mapping[str, Any], inside: Estimator, task: Any) -> Wrapped:
        """What `spec` described, around the estimator that it describes inside. By default its options are keyword
        arguments of the class; a class whose options are not says what it makes of them.
        """
        return cls(inside, **{name: value for name, value in spec.items() if name not in ("estimator", "inside")})

    def fingerprint(self) -> str:
        told = json.dumps([self.inside.fingerprint(), self.options()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """JSON of what it was made with besides."""

    def spec(self) -> dict[str, Any]:
        return {"estimator": self.name, "inside": self.inside.spec(), **self.options()}


def layers(estimator: Estimator) -> Iterator[Wrapped]:
    """Those that go around another, from the outside in."""
    while isinstance(estimator, Wrapped):
        yield estimator
        estimator = estimator.inside
