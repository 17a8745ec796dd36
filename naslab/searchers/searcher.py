"""What a searcher is to the rest of the house.

A *supernet searcher* owns shared weights and moves by mini-batches (`SupernetSearcher`). A *proposer*, which
evaluates nothing and speaks ask and tell, is its sibling. Either one is driven by `naslab.Search`, which knows
of runs, snapshots and steering, so that a searcher knows of none of them.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from naslab.architecture import Architecture
from naslab.errors import SpecError, unknown
from naslab.events import Event
from naslab.snapshot import State
from naslab.spaces.space import Space

Hyperparameters = TypeVar("Hyperparameters")


def read_hyperparameters(cls: type[Hyperparameters], given: Mapping[str, Any]) -> Hyperparameters:
    """The dataclass of a searcher's hyperparameters from keywords; `SpecError` for a name or value it refuses."""
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise SpecError(unknown("hyperparameter", name, known))
    try:
        return cls(**given)
    except TypeError as error:
        raise SpecError(f"{cls.__name__}: {error}; given: {dict(given)}") from None


@functools.cache
def attribute_docstrings(cls: type) -> dict[str, str]:
    """Field of a dataclass -> the string that stands below it in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


@dataclass(frozen=True, kw_only=True)
class Knob:
    """A value that may be turned while the search runs; the live view makes a slider of it."""

    value: float
    low: float
    high: float
    log: bool = True
    """Whether a slider for it should be logarithmic."""
    description: str = ""

    def check(self, name: str, value: float) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise SpecError(f"{name} must be a number from {self.low:g} to {self.high:g}, not {value!r}")
        return float(value)


class SupernetSearcher(ABC):
    """Owns shared weights and moves by mini-batches: one `advance`, one step, one event.

    The same seed, space, task and knobs give the same events bit for bit, on one machine with one
    thread count. Randomness is derived from (seed, step), never kept in a generator, so that
    `state_dict` is the whole truth.
    """

    name: ClassVar[str]
    """Key in `naslab.searchers.SEARCHERS`."""
    space: Space
    task: Any

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps finished so far."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Steps in the whole search."""

    @abstractmethod
    def advance(self) -> Event:
        """Do one step. Raises `Diverged` when something is no longer finite; the state is then not to be kept."""

    @property
    @abstractmethod
    def best(self) -> Architecture:
        """What would be derived now."""

    @property
    @abstractmethod
    def knobs(self) -> Mapping[str, Knob]:
        """What may be turned during the search, with the values now in force."""

    @abstractmethod
    def turn(self, name: str, value: float) -> None:
        """Turn a knob, from the next step on. `check_knob` has been called."""

    def check_knob(self, name: str, value: float) -> float:
        """The value as a float; `SpecError` if there is no such knob or it does not go there."""
        if name not in self.knobs:
            raise SpecError(unknown("knob", name, self.knobs))
        return self.knobs[name].check(name, value)

    def measure(self, name: str) -> float:
        """A figure too dear for every step, on request; which ones there are is the searcher's to say."""
        raise SpecError(f"{self.name} cannot measure {name!r}")

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> SupernetSearcher:
        """What `spec` described; `task` stands in for one that JSON cannot bring back."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.searchers.from_spec` makes this searcher again, as it was before its first step."""

    @abstractmethod
    def state_dict(self) -> State:
        """Everything that the next step depends on, copied."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Go on bit for bit from where `state_dict` was taken."""
