"""Conversion of the numbers in a frozen dataclass, of whichever library, to Python's own types."""

from __future__ import annotations

import dataclasses
from typing import Any

from naslab.errors import SpecError, plain, real, whole

NUMBERS = {"int", "float", "None"}


def settle(one: Any) -> None:
    """Converts each number in the fields to a Python `int`, `float` or `bool`; the first line of a `__post_init__`.

    The annotation of a field says which it may hold: "int", "float", "bool", also with "| None". Fields of other types
    keep their value, but the numbers in tuples, lists and one-dimensional arrays are converted.

    Raises:
        SpecError: a field that is annotated as a number holds something else (True and NaN are no numbers), or one
            that is annotated as a bool does.
    """
    for field in dataclasses.fields(one):
        given = getattr(one, field.name)
        settled = _settled(field.name, str(getattr(field.type, "__name__", field.type)), given)
        if settled is not given:
            object.__setattr__(one, field.name, settled)  # the dataclass is frozen


def _settled(name: str, annotation: str, given: Any) -> Any:
    kinds = set(annotation.replace(" ", "").split("|"))
    if given is None:
        return None
    if kinds == {"bool"}:
        if not isinstance(value := plain(given), bool):
            raise SpecError(f"{name} is True or False, not {given!r:.200}")
        return value
    if kinds <= {"int", "None"}:
        return whole(name, given, None)
    if kinds <= NUMBERS:
        number = real(name, given)
        value = plain(given)
        return value if type(value) in (int, float) else number
    if isinstance(given, tuple | list):
        values = [plain(value) for value in given]
        same = all(new is old for new, old in zip(values, given, strict=True))
        return given if same else type(given)(values) if type(given) in (tuple, list) else given
    if getattr(given, "ndim", None) == 1 and callable(getattr(given, "tolist", None)):
        return tuple(given.tolist())
    return plain(given)
