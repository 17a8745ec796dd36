"""Numbers in the fields of a frozen dataclass: whatever library they come from, Python's own stand there afterwards."""

from __future__ import annotations

import dataclasses
from typing import Any

from naslab.errors import SpecError, plain, real, whole

NUMBERS = {"int", "float", "None"}


def settle(one: Any) -> None:
    """To begin a `__post_init__` with: each number in the fields becomes an `int`, `float` or `bool` of Python's.

    What a field is annotated with says which of them it may hold: "int", "float", "bool", also with "| None". Fields of
    other kinds keep their value; in tuples and lists, and in arrays of one axis, each number becomes one of Python's.

    Raises:
        SpecError: a field that is annotated as a number holds something else (True and NaN are no numbers), or one
            that is annotated as a bool does.
    """
    for field in dataclasses.fields(one):
        given = getattr(one, field.name)
        settled = _settled(field.name, str(getattr(field.type, "__name__", field.type)), given)
        if settled is not given:
            object.__setattr__(one, field.name, settled)


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
