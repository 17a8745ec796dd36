"""Exceptions, and checks of arguments. A message says what was expected, what was given, and what to do."""

from __future__ import annotations

import decimal
import difflib
import numbers
import operator
from collections.abc import Container, Iterable
from contextlib import suppress
from typing import Any, TypeGuard

MOST_NAMES = 200
"""Largest number of names that a message lists."""


class NaslabError(Exception):
    """Root of every error that naslab raises on purpose."""


class SpecError(NaslabError, ValueError):
    """A description (architecture, genotype, JSON, hyperparameter) does not make sense."""


class DataError(NaslabError, ValueError):
    """The data cannot be learnt from as given."""


class MetricMissing(NaslabError, AttributeError):
    """A step does not have the requested metric: its task may have no accuracy, for instance."""


class Diverged(NaslabError, ArithmeticError):
    """A loss, gradient or architecture weight is no longer finite; the step was not kept."""


class OutOfMemory(NaslabError, RuntimeError):
    """There was too little memory for a step or a training; the step was not kept. What it held has been freed."""

    batch_size: int | None = None
    """Largest batch size that is expected to fit; None if that could not be told."""


class RunError(NaslabError, RuntimeError):
    """A run folder cannot be used as asked."""


class SnapshotDamaged(RunError):
    """A snapshot is not what was written, or was written by another version: it is not used."""


class RunPaused(NaslabError, RuntimeError):
    """The run could not be written (the disk is full, say), or no worker is left to evaluate candidates. Nothing is
    lost: remove the cause and go on with `next`.
    """


class Cancelled(NaslabError, RuntimeError):
    """An operation was cancelled on request; everything is as it was before."""


class NaslabDeprecationWarning(FutureWarning):
    """A name or argument of naslab was renamed; the old one works for one more version.

    A `FutureWarning`, because Python hides a `DeprecationWarning` outside of `__main__`.
    """


def unknown(what: str, came: object, known: Iterable[object]) -> str:
    """Returns a sentence about an unknown name, with the nearest known one and the list of all."""
    names = [_brief(str(name)) for name in known]
    said = _brief(repr(came))
    if not names:
        return f"unknown {what} {said}; there is none"
    near = difflib.get_close_matches(_brief(str(came)), names[:MOST_NAMES], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"unknown {what} {said}{hint} known: {', '.join(names[:MOST_NAMES])}{more}"


def _brief(text: str) -> str:
    """Returns a name, shortened in the middle if it is long: it may be the header of a user's table."""
    return text if len(text) <= 120 else f"{text[:80]}…{text[-39:]}"


def among(value: object, known: Container[Any]) -> bool:
    """True if the value is one of the known ones; False for values without a hash or equality, as lists and arrays."""
    try:
        hash(value)
        return value in known
    except (TypeError, ValueError, RuntimeError):
        return False


def plain(value: Any) -> Any:
    """Returns a scalar of NumPy, pandas or torch, or an array without axes, as a Python scalar; others unchanged."""
    if getattr(value, "ndim", None) == 0 and callable(item := getattr(value, "item", None)):
        with suppress(TypeError, ValueError, RuntimeError, NotImplementedError):
            return item()
    return value


def listed(value: Any) -> TypeGuard[Any]:
    """True for a collection: a list, a generator, an array with axes. False for a string, and for an array without
    axes, which is a scalar although its class is iterable.
    """
    return isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) != 0


def whole(
    name: str, value: Any, low: int | None = 0, high: int | None = None, *, error: type[NaslabError] = SpecError
) -> int:
    """Returns the value as an `int` if it is an integer of Python, NumPy or torch in [low, high]; else raises `error`.

    True and 3.0 are not accepted.
    """
    number, given = None, plain(value)
    if not isinstance(given, bool):
        with suppress(TypeError, ValueError, RuntimeError):
            number = operator.index(given)
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        within = "" if low is None else f" from {low} {'up' if high is None else f'to {high:,}'}"
        raise error(f"{name} must be a whole number{within}, not {value!r:.200}")
    return number


def real(name: str, value: Any, *, error: type[NaslabError] = SpecError) -> float:
    """Returns the value as a `float` if it is a number of Python, NumPy or torch; else raises `error`.

    True and NaN are not accepted.
    """
    number = None
    if isinstance(given := plain(value), numbers.Real | decimal.Decimal) and not isinstance(given, bool):
        with suppress(OverflowError):
            number = float(given)
    if number is None or number != number:
        raise error(f"{name} must be a number, not {value!r:.200}")
    return number
