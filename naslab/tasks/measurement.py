"""The states of several metrics during a pass over data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from naslab.errors import NaslabError
from naslab.tasks.metrics import MISTAKES, Every, Metric, NoNumber, WrongTask, expected_number, one_number, settled
from naslab.trees import described

MOST_WAITING = 1000
"""Largest number of mini-batches whose numbers wait on a device to be read."""


class Measurement:
    """States of several metrics during a pass, or a part of it.

    Args:
        metrics: metrics by name.
        every: "batch" for only those that are defined for a single mini-batch, "pass" for all.
    """

    def __init__(self, metrics: Mapping[str, Metric], every: Every = "pass") -> None:
        self._metrics = {name: one for name, one in metrics.items() if every == "pass" or one.every == "batch"}
        self._states: dict[str, Any] = {}
        self._waiting = 0
        """Mini-batches since the last numbers were read from a device."""

    @property
    def states(self) -> dict[str, Any]:
        """State of each metric by name, after all that is still to be read from a device has been read, in one copy."""
        self._states, self._waiting = settled(self._states), 0
        return self._states

    def update(self, outputs: Any, batch: Any) -> None:
        for name, metric in self._metrics.items():
            try:
                self._states[name] = metric.update(self._states.get(name), outputs, batch)
            except (NaslabError, torch.OutOfMemoryError):
                raise
            except NoNumber as error:
                raise expected_number(name, error) from error
            except MISTAKES as error:
                raise WrongTask(
                    f"the metric {name!r} cannot be computed from the outputs of the network, {described(outputs)}: "
                    f"{type(error).__name__}: {error!s:.300}"
                ) from error
        self._waiting += 1
        if self._waiting == MOST_WAITING:
            _ = self.states

    def merge(self, others: Iterable[Mapping[str, Any]]) -> None:
        """Replaces the states by the joint states of all processes, with this one among them."""
        others = list(others)
        for name, metric in self._metrics.items():
            if seen := [states[name] for states in others if name in states]:
                self._states[name] = metric.merge(seen)

    def compute(self) -> dict[str, float]:
        """Returns the value of each metric for all mini-batches so far."""
        found, states = {}, self.states
        for name, metric in self._metrics.items():
            if name in states:
                try:
                    found[name] = one_number(metric.compute(states[name]))
                except NoNumber as error:
                    raise expected_number(name, error) from error
        return found
