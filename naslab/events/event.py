"""The base class of events, and their serialisation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import save as save_arrays

from naslab.architecture import Architecture
from naslab.immutable import SCALARS, FrozenDict

_JSON = json.JSONEncoder(sort_keys=True)
"""Encoder with sorted keys, made once: `json.dumps` would make one for each event."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """Something that happened at a step. Equality is by value, arrays included, bit for bit."""

    kind: ClassVar[str]
    step: int
    """Number of search steps finished once this has happened; the first step is 1."""

    def to_record(self) -> tuple[str, bytes]:
        """Returns JSON of the plain fields, and safetensors bytes of the arrays (empty without arrays)."""
        plain: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is None or type(value) in SCALARS:  # the common case first: events are written by the million
                plain[each.name] = value
            elif isinstance(value, Architecture):
                plain[each.name] = {"space": value.space, "choices": list(value.choices)}
            elif isinstance(value, Mapping) and any(isinstance(v, np.ndarray) for v in value.values()):
                arrays.update({f"{each.name}/{key}": np.ascontiguousarray(v) for key, v in value.items()})
            elif isinstance(value, Mapping):
                plain[each.name] = dict(value)
            else:
                plain[each.name] = value
        return _JSON.encode(plain), save_arrays(arrays) if arrays else b""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_record() == other.to_record()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.kind, self.step))


_NOTHING: FrozenDict[str, Any] = FrozenDict()


def frozen_dict(items: Mapping[str, Any]) -> FrozenDict[str, Any]:
    """Returns an immutable copy; all empty mappings share one object, because most events have some."""
    return FrozenDict(items) if items else _NOTHING


def read_only(arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Returns the arrays as read-only float32 copies, so that nobody can change an event."""
    if not arrays:
        return _NOTHING
    frozen = {}
    for key, value in arrays.items():
        frozen[key] = array = np.array(value, dtype=np.float32)
        array.setflags(write=False)
    return FrozenDict(frozen)
