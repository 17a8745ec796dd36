"""Whether a repeated step is the logged one but for rounding, where a device does not compute the same bits twice.

Rounding errors grow from step to step, slowly at first. As long as no figure of a step has moved by more than
`TOLERANCE`, the repeated state stands for the logged steps. Beyond that, or where another candidate was drawn, it is
the state of other steps, and to go on from it would let the journal tell of a search that was not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import device

from naslab.events import Event
from naslab.numerics import Numerics
from naslab.runs import environment
from naslab.searchers import Stepper

TOLERANCE = 0.05
"""Largest difference between a logged and a repeated number x, relative to max(1, |x|)."""
DERIVED = "best"
"""The field of an event that follows from its probabilities by a maximum, and jumps where two are nearly equal."""
OF_DERIVED = ("count/", "discretisation_gap")
"""Beginnings of the names of metrics that describe that architecture."""


def deviation(logged: Event, repeated: Event) -> float:
    """Returns the largest difference between numbers of two events, relative to max(1, |x|); infinite where they differ
    in something else than a number.

    The derived architecture and its metrics are left out where it jumped.
    """
    one, other = _fields(logged), _fields(repeated)
    if one.pop(DERIVED, None) != other.pop(DERIVED, None):
        for fields in (one, other):
            metrics = fields.get("metrics", {})
            fields["metrics"] = {name: value for name, value in metrics.items() if not name.startswith(OF_DERIVED)}
    return _between(one, other)


def why_not_exact(searcher: Stepper) -> str:
    """Returns a sentence about why a repeated step may differ in its last bits; "" where it is the same bit for bit."""
    numerics: Numerics | None = getattr(searcher, "numerics", None)
    where = getattr(searcher, "device", None) if numerics is None else numerics.device
    if not isinstance(where, device) or where.type == "cpu":
        return ""
    told = "" if numerics is None else f", with deterministic={numerics.deterministic!r}"
    return f"{environment.device_in_words(where)} need not compute the same bits twice{told}"


def _fields(event: Event) -> dict[str, Any]:
    found = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return {"kind": event.kind, **found}


def _between(one: Any, other: Any) -> float:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape:
            return np.inf
        return _between(one.ravel().tolist(), other.ravel().tolist())
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return np.inf
        return max((_between(one[name], other[name]) for name in one), default=0.0)
    if isinstance(one, list | tuple) and isinstance(other, Sequence):
        if len(one) != len(other):
            return np.inf
        return max((_between(x, y) for x, y in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, float) and isinstance(other, float):
        if one == other or (one != one and other != other):
            return 0.0
        found = abs(one - other) / max(1.0, abs(one), abs(other))
        return np.inf if found != found else found
    return 0.0 if one == other else np.inf
