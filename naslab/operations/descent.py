"""Stochastic gradient descent, updating each weight in one pass over memory.

PyTorch's default on a CPU is an operation for each of decay, momentum and step: with the hundreds of small tensors of a
supernet it takes three to four times as long. The fused update rounds once where the default rounds twice, so that the
last bit of a weight differs; it is the same in every run, because each number is updated by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sgd(weights: Sequence[Tensor], **settings: Any) -> torch.optim.SGD:
    """Returns PyTorch's SGD for these weights with its settings: fused if all weights are real numbers on the CPU, else
    as PyTorch decides."""
    fused = all(weight.device.type == "cpu" and weight.is_floating_point() for weight in weights)
    optimizer = torch.optim.SGD(weights, fused=fused or None, **settings)
    if fused:
        optimizer.register_step_pre_hook(_begin)
    return optimizer


def _begin(optimizer: torch.optim.Optimizer, *given: object) -> None:
    """Give weights that have a gradient for the first time a momentum of zeros, with which the update is the same.

    The fused update of PyTorch takes momenta for all weights or for none, and a child of shared weights uses some.
    """
    for group in optimizer.param_groups:
        if group["momentum"]:
            for weight in group["params"]:
                if weight.grad is not None and optimizer.state[weight].get("momentum_buffer") is None:
                    optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
