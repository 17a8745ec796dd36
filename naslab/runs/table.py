"""Events as a table: one flat dictionary for each event, for pandas, a spreadsheet or a database."""

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
    """Returns one dictionary for each event, in order: its `kind`, `step` and other fields, each value a plain scalar.

    Entries of mappings and sequences are named `field/key`, entries of arrays by their axes:

    - `alpha/normal/3/skip_connect`: softmax(alpha) of an operation on the edge of that row of the cell;
    - `probabilities/<choice>/<option>`: probability with which a policy would take the option;
    - `values/test_loss`: value of an objective in its own direction (`fitness` is negated if less is better);
    - `metrics/valid/loss`, `settings/w_lr`, `figures/parameters`, `parents/0`, ...

    An architecture is written as its space writes it (`space.format`), or else as a JSON list of its choices.
    """
    listed = list(events)
    policies = [event for event in listed if isinstance(event, Evaluated) and event.probabilities]
    options = option_names(policies, space)
    return [dict(_row(event, space, options)) for event in listed]


def _row(event: Event, space: Space, options: Mapping[str, Sequence[Option]]) -> Iterator[tuple[str, Scalar]]:
    yield "kind", event.kind
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name == "objectives":  # names and not values; see `Search.objectives`
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
    """Yields the values of one choice, `row` being [options]; an option without a name is numbered."""
    for number, value in enumerate(row.tolist()):
        yield f"{name}/{options[number] if number < len(options) else number}", value


def _scalars(name: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    """Yields the scalars of nested mappings, sequences and arrays, with their paths."""
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
    """Returns an architecture in one line, as in the tables of `flat`."""
    written = getattr(space, "format", None)
    return str(written(architecture)) if written else json.dumps(list(architecture.choices))


def known(value: float) -> float | None:
    """Returns a Python float; None for NaN, which stands for a missing value."""
    return None if value != value else float(value)
