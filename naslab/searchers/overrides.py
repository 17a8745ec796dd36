"""What of a search by mini-batches may be changed on the way, though earlier searches could not.

    batch_size          examples in a mini-batch, from the next epoch on
    freeze/weights      these do not move, and neither does anything that their optimizer keeps; so with alphas
    ...                 and whatever else a searcher names

Nothing of this is in the events or in the state of a search in which nobody has changed it.
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
    """The slider of a weight decay, which may be 0."""
    return Slider(value=value, low=0.0, high=max(10 * value, 0.01), log=False, description=description)


def freezing(what: str) -> Switch:
    """The switch that has something stand still."""
    return Switch(value=False, description=f"Whether the {what} stand still, and with them all that Adam or SGD keeps.")


class Overrides:
    """The values of such settings.

    Args:
        batches: the size of the mini-batches.
        settings: name -> each of the others, as it is at the beginning.
    """

    def __init__(self, batches: BatchSize, settings: Mapping[str, Setting]) -> None:
        self.batches = batches
        self._start = dict(settings)
        self._values: dict[str, Any] = {}
        """The settings that were ever put into force."""

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else self._start[name].value

    def __contains__(self, name: Any) -> bool:
        return name == BATCH_SIZE or name in self._start

    def settings(self, done: int) -> dict[str, Setting]:
        """All of them, when so many mini-batches are done."""
        others = {name: dataclasses.replace(one, value=self[name]) for name, one in self._start.items()}
        return {BATCH_SIZE: self.batches.setting(done), **others}

    def check(self, name: str, value: Any, done: int) -> Any:
        """The value as JSON; `SpecError` for one that it cannot have now."""
        value = self.settings(done)[name].check(name, value)
        return self.batches.check(value, done) if name == BATCH_SIZE else value

    def put(self, name: str, value: Any, done: int) -> None:
        if name == BATCH_SIZE:
            self.batches.put(value, done)
        else:
            self._values[name] = value

    def in_force(self, place: int) -> dict[str, Any]:
        """What an event of a mini-batch, counted from 0, says of them: those that were ever changed."""
        size = {BATCH_SIZE: self.batches.now(place)} if self.batches.changed else {}
        return {**size, **self._values}

    def state(self) -> State:
        """Without the sizes of the mini-batches, which their feeds keep."""
        return {"turned": json.dumps(self._values)} if self._values else {}

    def load(self, state: Mapping[str, Any]) -> None:
        self._values = json.loads(str(state.get("turned", "{}")))
