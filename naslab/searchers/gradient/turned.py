"""What else of a search by gradients may be changed on the way, beside its schedules and masks.

    batch_size                          examples in a mini-batch, from the next epoch on
    w_weight_decay, alpha_weight_decay  how far weights and architecture are drawn to 0
    order                               1 or 2, where the method has an order
    freeze/alphas, freeze/weights       these do not move, and neither does anything that their optimiser keeps

Nothing of this is in the events or in the state of a search in which nobody has changed it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from naslab.searchers.batch_size import BATCH_SIZE, BatchSize
from naslab.searchers.gradient.level import Ordered
from naslab.searchers.gradient.parts import Parts
from naslab.searchers.gradient.training import Training
from naslab.searchers.settings import Select, Setting, Slider, Switch
from naslab.searchers.signatures import attribute_docstrings
from naslab.snapshot import State

ORDER, ALPHAS, WEIGHTS = "order", "freeze/alphas", "freeze/weights"
DECAYS = ("w_weight_decay", "alpha_weight_decay")


class Turned:
    """The values of such settings.

    Args:
        hyper: what the search was told at the beginning.
        parts: what it is made of.
        batches: the size of its mini-batches.
    """

    def __init__(self, hyper: Training, parts: Parts, batches: BatchSize) -> None:
        self._parts, self.batches = parts, batches
        self._start: dict[str, Any] = {
            **{name: getattr(hyper, name) for name in DECAYS},
            **({ORDER: parts.level.order} if isinstance(parts.level, Ordered) else {}),
            ALPHAS: False,
            WEIGHTS: False,
        }
        """Name -> the value at the beginning."""
        self._values: dict[str, Any] = {}
        """Of those that were ever put into force."""

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name, self._start[name])

    def __contains__(self, name: Any) -> bool:
        return name == BATCH_SIZE or name in self._start

    @property
    def parts(self) -> Parts:
        """What the search is made of now."""
        return self._of_order(self._values[ORDER]) if ORDER in self._values else self._parts

    def _of_order(self, order: int) -> Parts:
        return replace(self._parts, level=replace(self._parts.level, order=order))  # type: ignore[call-arg]

    def settings(self, step: int) -> dict[str, Setting]:
        """All of them, when so many steps are done."""
        about = attribute_docstrings(Training)
        found: dict[str, Setting] = {BATCH_SIZE: self.batches.setting(step)}
        for name in DECAYS:
            most = max(10 * self._start[name], 0.01, self[name])
            found[name] = Slider(value=self[name], low=0.0, high=most, log=False, description=about[name])
        if ORDER in self._start:
            described = "1 takes the weights as they are; 2 looks through one step of them, at four times the cost."
            found[ORDER] = Select(value=self[ORDER], options=(1, 2), description=described)
        frozen = "Whether the {} stand still, and with them all that their optimiser keeps."
        found[ALPHAS] = Switch(value=self[ALPHAS], description=frozen.format("alphas"))
        found[WEIGHTS] = Switch(value=self[WEIGHTS], description=frozen.format("weights"))
        return found

    def check(self, name: str, value: Any, step: int) -> Any:
        """The value as JSON; `SpecError` for one that it cannot have now."""
        value = self.settings(step)[name].check(name, value)
        if name == ORDER:
            self._of_order(value)
        return self.batches.check(value, step) if name == BATCH_SIZE else value

    def put(self, name: str, value: Any, step: int) -> None:
        if name == BATCH_SIZE:
            self.batches.put(value, step)
        else:
            self._values[name] = value

    def in_force(self, step: int) -> dict[str, Any]:
        """What an event of a step, counted from 0, says of them: those that were ever changed."""
        size = {BATCH_SIZE: self.batches.now(step)} if self.batches.turned else {}
        return {**size, **self._values}

    def state(self) -> State:
        return {"turned": json.dumps(self._values)} if self._values else {}

    def load(self, state: Mapping[str, Any]) -> None:
        self._values = json.loads(str(state.get("turned", "{}")))
