"""Hyperparameters of a searcher, read from keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from naslab.errors import SpecError, unknown

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
