"""Rebuilds events from their records, in the current format or an earlier one."""

from __future__ import annotations

import json
from typing import Any

from safetensors.numpy import load as load_arrays

from naslab.architecture import Architecture
from naslab.errors import SpecError, unknown
from naslab.events.asides import Acted, Changed, Measured, Phase, Ranked, Recovered, Saved
from naslab.events.event import Event
from naslab.events.steps import ChildTrained, Evaluated, Raced, SupernetStep

EVENTS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        SupernetStep,
        ChildTrained,
        Evaluated,
        Changed,
        Acted,
        Phase,
        Measured,
        Raced,
        Ranked,
        Saved,
        Recovered,
    )
}
"""Kind in a record -> event class."""

_METRICS_OF_FORMAT_1 = {
    "train_loss": "train/loss",
    "train_accuracy": "train/accuracy",
    "valid_loss": "valid/loss",
    "valid_accuracy": "valid/accuracy",
    "entropy": "entropy",
    "skip_count": "count/skip_connect",
    "discretisation_gap": "discretisation_gap",
}
"""Field of a record in format 1 -> name of the metric that replaced it."""
_FIELDS_OF_FORMAT_1 = {
    "supernet_step": {*_METRICS_OF_FORMAT_1, "rates"},
    "child_trained": {"train_loss", "train_accuracy", "knobs"},
    "evaluated": {"knobs"},
}
"""Kind -> fields that only format 1 has. Every record of format 1 has all of them, which is how it is recognised."""


def _from_format_1(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields under their current names if the record is in format 1, otherwise unchanged."""
    earlier = _FIELDS_OF_FORMAT_1.get(kind, set())
    if not earlier or not earlier <= fields.keys() or fields.keys() & {"metrics", "settings"}:
        return fields
    today = {name: value for name, value in fields.items() if name not in earlier}
    today["settings"] = fields["rates" if "rates" in earlier else "knobs"]
    if metrics := {_METRICS_OF_FORMAT_1[name]: fields[name] for name in earlier & _METRICS_OF_FORMAT_1.keys()}:
        today["metrics"] = metrics
    return today


def in_this_format(kind: str, text: str) -> str:
    """Returns the JSON of a record converted to the current format. The format of the arrays never changed.

    Raises `SpecError` if the text is not a JSON object.
    """
    if kind not in _FIELDS_OF_FORMAT_1:
        return text
    try:
        return json.dumps(_from_format_1(kind, dict(json.loads(text))), sort_keys=True)
    except (ValueError, TypeError) as error:
        raise SpecError(f"not a record of the event {kind!r}: {error}") from None


def from_record(kind: str, text: str, blob: bytes) -> Event:
    """Returns the event that `to_record` serialised, in any format so far. Raises `SpecError` on anything else."""
    if kind not in EVENTS:
        raise SpecError(unknown("event", kind, EVENTS))
    event = EVENTS[kind]
    try:
        fields: dict[str, Any] = _from_format_1(kind, json.loads(text))
        for name, array in (load_arrays(blob) if blob else {}).items():
            field, _, key = name.partition("/")
            fields.setdefault(field, {})[key] = array
        for name in ("best", "architecture"):
            if fields.get(name) is not None:
                fields[name] = Architecture.from_record(fields[name])
        return event(**fields)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(f"not a record of the event {kind!r}: {error}") from None
