"""What the cases have in common: the abstract case, errors that are expected, and comparisons that say what differs."""

from __future__ import annotations

import functools
import re
import unittest
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor

from naslab.errors import NaslabError, SpecError
from naslab.events import Event

Check = TypeVar("Check", bound=Callable[..., None])


class Case(ABC):
    """Checks of one kind of thing. A subclass says in `make` what is checked.

    Nothing here needs a test runner: each method whose name begins with `test_` is a check that raises
    `AssertionError`, or `unittest.SkipTest` where it does not apply. pytest collects a subclass whose name begins with
    `Test`, and gives each check a fresh instance.
    """

    @abstractmethod
    def make(self) -> Any:
        """A fresh object to be checked."""

    @property
    def subject(self) -> Any:
        """What `needs` looks at."""
        return self.make()


def needs(kind: type) -> Callable[[Check], Check]:
    """Decorates a check that makes sense only where the object is of that class, or keeps that protocol.

    The check has the attribute `needs`, by which a suite can select the objects that it is run with.
    """

    def wrap(check: Check) -> Check:
        @functools.wraps(check)
        def checked(self: Case) -> None:
            if not isinstance(self.subject, kind):
                skip(f"{type(self.subject).__name__} is no {kind.__name__}")
            check(self)

        checked.needs = kind  # type: ignore[attr-defined]
        return checked  # type: ignore[return-value]

    return wrap


def skip(why: str) -> NoReturn:
    """End a check that does not apply."""
    raise unittest.SkipTest(why)


@contextmanager
def refused(what: str, said: str = "", *, error: type[Exception] = SpecError) -> Iterator[None]:
    """What stands inside must raise the error.

    Args:
        what: is refused, for the message.
        said: regular expression that the text of the error must match.
        error: class of the error.
    """
    try:
        yield
    except error as came:
        if not re.search(said, str(came), re.DOTALL):
            raise AssertionError(f"{what} is refused with the words {str(came)!r:.500}; expected {said!r}") from came
        return
    except Exception as came:
        raise AssertionError(
            f"{what} raises {type(came).__name__}: {came!s:.300}; expected {error.__name__}, which says what was "
            "expected, what came and what to do"
        ) from came
    raise AssertionError(f"{what} is accepted; expected {error.__name__}: refuse it where it is first seen")


def why_not(check: Callable[[], Any]) -> str:
    """The words with which something is refused; empty if it is accepted."""
    try:
        check()
    except NaslabError as error:
        return str(error)
    return ""


# --- comparisons ---------------------------------------------------------------------------------------------


def comparable(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state with the bytes of its tensors, so that two can be compared bit for bit."""
    return {name: _bytes_of(value) if _has_bytes(value) else value for name, value in state.items()}


def _bytes_of(value: Tensor) -> bytes:
    """Returns the numbers of a tensor row by row, whatever its layout in memory."""
    dense = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return dense.view(torch.uint8).numpy().tobytes()


def _has_bytes(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0


def check_states(came: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> None:
    """Two states are equal bit for bit; the error names the entries that differ."""
    one, other = comparable(came), comparable(expected)
    missing, more = sorted(other.keys() - one.keys()), sorted(one.keys() - other.keys())
    assert not missing, f"{what}: the state lacks {missing}"
    assert not more, f"{what}: the state has {more}, which was not there before"
    changed = [name for name in one if not _same(one[name], other[name])]
    assert not changed, f"{what}: the entries {changed[:8]} of the state differ" + "".join(
        f"; {name} is {came[name]!r:.200}, expected {expected[name]!r:.200}" for name in changed[:2]
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other


def check_events(came: Sequence[Event], expected: Sequence[Event], what: str) -> None:
    """Two lists of events are equal bit for bit; the error names the first step that differs, and its fields."""
    for one, other in zip(came, expected, strict=False):
        assert one == other, f"{what}: step {other.step} differs: {_difference(one, other)}"
    assert len(came) == len(expected), f"{what}: {len(came)} events came, expected {len(expected)}"


def _difference(one: Event, other: Event) -> str:
    if type(one) is not type(other):
        return f"{one!r:.300} came, expected {other!r:.300}"
    fields = [name for name in vars(other) if repr(vars(one).get(name)) != repr(vars(other)[name])]
    return "; ".join(
        f"{name} is {vars(one).get(name)!r:.200}, expected {vars(other)[name]!r:.200}" for name in fields[:4]
    )
