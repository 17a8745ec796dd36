"""Settings of supernet searchers that override a hyperparameter or freeze parameters.

    batch_size          examples in a mini-batch, from the next epoch on
    freeze/weights      neither the weights nor the state of their optimizer change; "freeze/alphas" likewise
    ...                 and others that a searcher adds, such as weight decays

Events and state name such a setting only once it has been changed, so that those of other searches are what they were
before the settings existed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from naslab.searchers.batch_size import BATCH_SIZE, BatchSize
from naslab.searchers.settings import Setting, Slider, Switch
from naslab.snapshot import State

ALPHAS, WEIGHTS, CONTROLLER = "freeze/alphas", "freeze/weights", "freeze/controller"


def decay(value: float, description: str) -> Slider:
    """Returns the slider of a weight decay, which may be 0 and so is not logarithmic."""
    return Slider(value=value, low=0.0, high=max(10 * value, 0.01), log=False, description=description)


def freezing(what: str) -> Switch:
    """Returns the switch that freezes parameters, named `what` in its description."""
    return Switch(
        value=False, description=f"Whether the {what} are frozen, and with them the state of their optimizer."
    )


class Overrides:
    """The values of these settings.

    Args:
        batches: the batch size.
        settings: name -> initial setting, for all others.
    """

    def __init__(self, batches: BatchSize, settings: Mapping[str, Setting]) -> None:
        self.batches = batches
        self._start = dict(settings)
        self._values: dict[str, Any] = {}
        """Values of the settings that were ever changed."""

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._start[name].value

    def __contains__(self, name: Any) -> bool:
        return name == BATCH_SIZE or name in self._start

    def settings(self, done: int) -> dict[str, Setting]:
        """Returns all settings after `done` mini-batches."""
        others = {name: dataclasses.replace(one, value=self[name]) for name, one in self._start.items()}
        return {BATCH_SIZE: self.batches.setting(done), **others}

    def check(self, name: str, value: Any, done: int) -> Any:
        """Returns the value as JSON. Raises `SpecError` for one that the setting cannot have now."""
        value = self.settings(done)[name].check(name, value)
        return self.batches.check(value, done) if name == BATCH_SIZE else value

    def put(self, name: str, value: Any, done: int) -> None:
        if name == BATCH_SIZE:
            self.batches.put(value, done)
        else:
            self._values[name] = value

    def in_force(self, place: int) -> dict[str, Any]:
        """Returns the values for the event of a mini-batch, counted from 0: those that were ever changed."""
        size = {BATCH_SIZE: self.batches.now(place)} if self.batches.changed else {}
        return {**size, **self._values}

    def state(self) -> State:
        """Returns the changed values; not the batch size, which the feeds keep."""
        # "turned" is the key in the run folders of earlier versions
        return {"turned": json.dumps(self._values)} if self._values else {}

    def load(self, state: Mapping[str, Any]) -> None:
        self._values = json.loads(str(state.get("turned", "{}")))
