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
    """Make gradients and momenta such as the fused update needs them.

    It takes momenta for all weights or for none, and a child of shared weights uses some: a weight with a gradient for
    the first time gets a momentum of zeros, with which the update is the same. And it reads all three as rows of
    numbers in the order in which they lie in memory, so that a momentum that was loaded in another layout than the
    weight's (channels-last, say) would be added to other numbers.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if (gradient := weight.grad) is None:
                continue
            if not _alike(gradient, weight):
                weight.grad = _laid_out(gradient, weight)
            if group["momentum"]:
                state = optimizer.state[weight]
                momentum = state.get("momentum_buffer")
                if momentum is None:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                elif not _alike(momentum, weight):
                    state["momentum_buffer"] = _laid_out(momentum, weight)


def _alike(one: Tensor, other: Tensor) -> bool:
    """True if the numbers of two tensors of one shape lie in one order; the stride of a single row means nothing."""
    a, b = one.stride(), other.stride()
    return a == b or all(x == y for x, y, size in zip(a, b, one.shape, strict=True) if size > 1)


def _laid_out(tensor: Tensor, like: Tensor) -> Tensor:
    """Returns the same numbers in the layout of another tensor of this shape."""
    return torch.empty_like(like).copy_(tensor)
