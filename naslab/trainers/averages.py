"""Averaged SGD: the mean of the weights over the steps is what is evaluated (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def averaged_weights(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Inside, the weights are their averages, if the optimizer is torch's ASGD; afterwards they are as they were."""
    averages: dict[Tensor, Tensor] = {}
    if isinstance(optimizer, torch.optim.ASGD):
        averages = {weight: state["ax"] for weight, state in optimizer.state.items() if "ax" in state}
    before = {weight: weight.detach().clone() for weight in averages}
    try:
        _put(averages)
        yield
    finally:
        _put(before)


@torch.no_grad()
def _put(values: dict[Tensor, Tensor]) -> None:
    for weight, value in values.items():
        weight.copy_(value)
