"""Immutable dictionaries and lists, for the fields of frozen records.

They are subclasses of `dict` and `list`, so that `json`, `pickle`, `copy.deepcopy`, `dataclasses.asdict` and pandas
accept them. None of these accepts a `types.MappingProxyType`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np

from naslab.errors import SpecError, plain

K = TypeVar("K")
V = TypeVar("V")
SCALARS = (float, int, str)
"""Types that need no freezing. They are tested first, for events are made by the million."""


def _refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
    kind = "dict" if isinstance(self, dict) else "list"
    raise TypeError(f"a record cannot be changed; change a copy of your own: {kind}(...)")


class FrozenDict(dict[K, V]):
    """A dictionary that refuses every change. Arrays in it are read-only, lists and dictionaries are frozen as well."""

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        super().__init__(items)
        for key, value in self.items():
            if type(value) not in SCALARS:
                super().__setitem__(key, frozen(value))

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        """Compares by value, arrays included; NaN equals NaN."""
        return _equal(dict(self), dict(other)) if isinstance(other, dict) else NotImplemented

    def __ne__(self, other: object) -> bool:
        """Needed because `dict` defines its own, which fails on arrays."""
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenDict[K, V]:
        return FrozenDict({key: copy.deepcopy(value, memo) for key, value in self.items()})

    def __copy__(self) -> FrozenDict[K, V]:
        return self


class FrozenList(list[V]):
    """A list that refuses every change."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = remove = reverse = (
        sort
    ) = (  # type: ignore[assignment]
        _refuse
    )

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenList[V]:
        return FrozenList(copy.deepcopy(list(self), memo))

    def __copy__(self) -> FrozenList[V]:
        return self


class Record:
    """Base of frozen dataclasses that hold results: equality by value, arrays included. Declare them with `eq=False`.

    NaN stands for a missing value and equals NaN, so that a record equals its copies.
    """

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        compared = [field.name for field in dataclasses.fields(self) if field.compare]  # type: ignore[arg-type]
        return all(_equal(getattr(self, name), getattr(other, name)) for name in compared)

    def __hash__(self) -> int:
        """Hashes the fields whose hash follows from equality: no numbers that may be NaN, no arrays."""
        values = [getattr(self, field.name) for field in dataclasses.fields(self) if field.compare]  # type: ignore[arg-type]
        return hash((type(self), *(value for value in values if isinstance(value, str | int))))


def frozen(value: Any) -> Any:
    """Returns the value if it is immutable, else an equal frozen one; of an array, a read-only view."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.setflags(write=False)
        return view
    if isinstance(value, dict):
        return value if isinstance(value, FrozenDict) else FrozenDict(value)
    if isinstance(value, list):
        return value if isinstance(value, FrozenList) else FrozenList(map(frozen, value))
    return value


def frozen_json(name: str, value: Any) -> Any:
    """Returns the value as it would come back from JSON, deeply frozen: a tuple is a list, a number Python's own.

    Raises `SpecError` for what JSON cannot hold.
    """
    if isinstance(value, dict):  # the common case, the settings of an event, first
        if all(map(_scalar_entry, value.items())):
            return FrozenDict(value)
        return FrozenDict({_word(name, key): frozen_json(key, part) for key, part in value.items()})
    if type(value) in SCALARS or value is None or isinstance(value, bool):
        return value
    if isinstance(value := plain(value), str | int | float):
        return value
    if isinstance(value, Mapping):
        return frozen_json(name, dict(value))
    if isinstance(value, list | tuple):
        return FrozenList(frozen_json(name, part) for part in value)
    raise SpecError(
        f"{name} must be what JSON can hold (numbers, words, lists, dictionaries), not {value!r:.100} "
        f"({type(value).__name__})"
    )


def _scalar_entry(entry: tuple[Any, Any]) -> bool:
    return type(entry[1]) in SCALARS and type(entry[0]) is str


def _word(name: str, key: Any) -> str:
    if not isinstance(key, str):
        raise SpecError(f"the keys of {name} must be words, as JSON has them, not {key!r:.100}")
    return key


def _equal(one: Any, other: Any) -> bool:
    """True if the values are equal; NaN, which stands for "not measured", equals itself."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return _same_array(np.asarray(one), np.asarray(other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        alike = isinstance(one, tuple) == isinstance(other, tuple) and len(one) == len(other)
        return alike and all(map(_equal, one, other))
    return bool(one == other)


def _same_array(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
