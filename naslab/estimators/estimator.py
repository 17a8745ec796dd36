"""What scores an architecture: a function from architectures to numbers, more is better, that can be written down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.spaces.space import Space


class Score(NamedTuple):
    """A fitness, and what else was found on the way."""

    fitness: float
    figures: Mapping[str, float] = MappingProxyType({})
    """Finite numbers by name: "parameters", "flops", "latency", "seconds", ..."""


@runtime_checkable
class Estimator(Protocol):
    """Scores architectures, one at a time."""

    @property
    def space(self) -> Space | None:
        """Whose architectures it scores; None if it does not matter."""
        ...

    def __call__(self, architecture: Architecture) -> float | Score:
        """The fitness. Any exception, and a fitness that is not finite, says that this candidate has failed."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.estimators.from_spec` makes this estimator again, if it can."""
        ...

    def fingerprint(self) -> str:
        """Hex checksum: the same for estimators that give the same fitness."""
        ...


class Function:
    """A function of the user's own as an estimator. A run that is opened again must be given it again."""

    name = "function"
    space = None

    def __init__(self, function: Callable[[Architecture], float | Score]) -> None:
        self._function = function
        self._called = getattr(function, "__qualname__", type(function).__qualname__)

    def __call__(self, architecture: Architecture) -> float | Score:
        return self._function(architecture)

    def spec(self) -> dict[str, Any]:
        return {"estimator": self.name, "called": self._called}

    def fingerprint(self) -> str:
        """Of its name: what it does cannot be told."""
        return hashlib.sha256(self._called.encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Function:
        raise SpecError(
            f"the estimator is a function, {spec.get('called')!r}, which cannot be kept in a run; pass it again as "
            "estimator=..., for instance Search.open(path, estimator=function)"
        )
