"""Events as a table: a flat dictionary an event, for pandas, a spreadsheet or a database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from naslab.analysis.decisions import option_names
from naslab.architecture import Architecture, Option
from naslab.events import Evaluated, Event, SupernetStep
from naslab.spaces.space import Space

Scalar = str | int | float | bool | None


def flat(events: Iterable[Event], space: Space) -> list[dict[str, Scalar]]:
    """One dictionary an event, in order: its `kind`, its `step` and its other fields, each value a plain scalar.

    The number of a mapping or a sequence stands under `field/key`, that of an array under the names of its axes:

    - `alpha/normal/3/skip_connect`: softmax(alpha) of an operation, on the edge of that row of the cell;
    - `probabilities/<choice>/<option>`: with what probability a policy would take the option;
    - `values/test_loss`: what was measured of an objective, in its own direction (`fitness` is the negative of what is
      minimised);
    - `metrics/valid/loss`, `settings/w_lr`, `figures/parameters`, `parents/0`, ...

    An architecture is the text that its space writes (`space.format`), or else its choices as a JSON list.
    """
    listed = list(events)
    policies = [event for event in listed if isinstance(event, Evaluated) and event.probabilities]
    options = option_names(policies, space)
    return [dict(_row(event, space, options)) for event in listed]


def _row(event: Event, space: Space, options: Mapping[str, Sequence[Option]]) -> Iterator[tuple[str, Scalar]]:
    yield "kind", event.kind
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name == "objectives":  # no numbers; `Search.objectives` has them
            continue
        if field.name == "probabilities" and isinstance(event, SupernetStep):
            operations = [str(name) for name in getattr(space, "operations", ())]
            for part, array in value.items():
                for edge, row in enumerate(array):
                    yield from _named(f"alpha/{part}/{edge}", row, operations)
        elif field.name == "probabilities":
            for choice, row in value.items():
                yield from _named(f"probabilities/{choice}", row, options.get(choice, ()))
        elif isinstance(value, Architecture):
            yield field.name, architecture_text(value, space)
        else:
            yield from _scalars(field.name, value)


def _named(name: str, row: np.ndarray, options: Sequence[Option]) -> Iterator[tuple[str, Scalar]]:
    """The numbers [O] of the options of one choice; an option without a name is numbered."""
    for number, value in enumerate(row.tolist()):
        yield f"{name}/{options[number] if number < len(options) else number}", value


def _scalars(name: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _scalars(f"{name}/{key}", part)
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from _scalars(f"{name}/{place}", part)
    else:
        yield name, value


def architecture_text(architecture: Architecture, space: Space) -> str:
    """An architecture in one line, as `flat` tells it."""
    written = getattr(space, "format", None)
    return str(written(architecture)) if written else json.dumps(list(architecture.choices))


def known(value: float) -> float | None:
    """A number of Python's; None for NaN, which says that there is none."""
    return None if value != value else float(value)
