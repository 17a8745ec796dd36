"""Averaged SGD: the network is evaluated with the mean of its weights over the steps (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def averaged_weights(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Context in which the weights are their averages, if the optimizer is torch's ASGD; they are restored at exit."""
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
