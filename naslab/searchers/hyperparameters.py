"""Hyperparameters of a searcher: read from keyword arguments, written to and read from a run folder.

The dataclass may say which of its fields had another name once, as `RENAMED = {"old": "new"}`. A keyword with the old
name works for one version, with a warning. Run folders keep the old name forever, because names in them never change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from naslab.errors import SpecError, unknown
from naslab.lazy import warn_of_old_name

Hyperparameters = TypeVar("Hyperparameters")


def read_hyperparameters(cls: type[Hyperparameters], given: Mapping[str, Any]) -> Hyperparameters:
    """Returns the dataclass of a searcher's hyperparameters, made from keyword arguments.

    Raises:
        SpecError: a name is unknown or given twice, or the dataclass refuses a value.
    """
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    renamed: Mapping[str, str] = getattr(cls, "RENAMED", {})
    found: dict[str, Any] = {}
    for name, value in given.items():
        current = renamed.get(name, name)
        if current not in known:
            raise SpecError(unknown("hyperparameter", name, known))
        if current in found:
            raise SpecError(f"{name}= and {current}= are the same hyperparameter; give {current}= alone")
        if current != name:
            warn_of_old_name(f"{cls.__name__}.{name}", current, stacklevel=4)
        found[current] = value
    try:
        return cls(**found)
    except TypeError as error:
        raise SpecError(f"{cls.__name__}: {error}; given: {dict(given)}") from None


def hyperparameters_to_spec(
    hyperparameters: Any, convert: Callable[[Any], Any] = lambda value: value
) -> dict[str, Any]:
    """Returns name -> value as they stand in a run folder.

    Args:
        hyperparameters: an instance of the dataclass.
        convert: makes JSON of a value.
    """
    recorded = {new: old for old, new in getattr(hyperparameters, "RENAMED", {}).items()}
    values = {field.name: getattr(hyperparameters, field.name) for field in dataclasses.fields(hyperparameters)}
    return {recorded.get(name, name): convert(value) for name, value in values.items()}


def hyperparameters_from_spec(cls: type, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns keyword arguments with the current names, from what `hyperparameters_to_spec` wrote."""
    renamed: Mapping[str, str] = getattr(cls, "RENAMED", {})
    return {renamed.get(name, name): value for name, value in recorded.items()}
