"""What can be built: one file, one search space."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from naslab.errors import SpecError, unknown
from naslab.spaces.darts_cell import DartsCell
from naslab.spaces.nasbench201 import NASBench201
from naslab.spaces.nasbench_macro import NASBenchMacro
from naslab.spaces.space import Shaped, Space, Supernet, SupernetSpace

SPACES: dict[str, type[Space]] = {space.name: space for space in (DartsCell, NASBench201, NASBenchMacro)}

__all__ = [
    "SPACES",
    "DartsCell",
    "NASBench201",
    "NASBenchMacro",
    "Shaped",
    "Space",
    "Supernet",
    "SupernetSpace",
    "from_spec",
]


def from_spec(spec: Mapping[str, Any]) -> Space:
    """The space that `space.spec()` describes; a parameter that is left out has its default.

    Raises `SpecError`, and nothing else, on anything else.
    """
    if not isinstance(spec, Mapping) or "space" not in spec:
        raise SpecError(f"expected an object with the key 'space', one of {', '.join(SPACES)}; got {spec!r:.200}")
    name = spec["space"]
    if not isinstance(name, str) or name not in SPACES:
        raise SpecError(unknown("space", name, SPACES))
    parameters = {key: value for key, value in spec.items() if key != "space"}
    known = [field.name for field in dataclasses.fields(SPACES[name])]  # type: ignore[arg-type]
    for key in parameters:
        if key not in known:
            raise SpecError(f"{name}: {unknown('parameter', key, known)}")
    return SPACES[name](**parameters)
