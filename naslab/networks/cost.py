"""Costs of a network: its number of parameters, and the multiply-adds of a forward pass of one example.

Multiply-adds (MACs) are what papers on NAS call "FLOPs": those of convolutions, linear layers and other matrix
products, without biases, normalisation, activations and pooling. They are counted on the meta device, where tensors
have shapes but no numbers, so that nothing is computed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state
from naslab.trees import moved


@dataclass(frozen=True)
class Cost:
    """Costs of a network."""

    parameters: int
    """Number of learnt scalars."""
    multiply_adds: int
    """Multiply-adds of one example."""


def parameters(network: nn.Module) -> int:
    """Returns the number of scalars in all parameters, also in those that need no gradient."""
    return sum(parameter.numel() for parameter in network.parameters())


def one_input(data: Any) -> Any:
    """Returns the inputs of a network for one example, on the meta device.

    Args:
        data: a task; or the shape of one float32 tensor, for instance (C, H, W); or the inputs themselves.
    """
    if isinstance(data, Task):
        return moved(data.inputs(data.example(1)), "meta")
    if isinstance(data, Sequence) and data and all(isinstance(size, int) for size in data):
        return torch.empty(1, *data, device="meta")
    return moved(data, "meta")


@default_torch_state()
def cost(network: nn.Module, data: Any) -> Cost:
    """Returns the cost of a network for one example in evaluation mode, without changing the network.

    Args:
        network: the network.
        data: see `one_input`.
    """
    from torch.utils.flop_counter import FlopCounterMode  # here, because it imports triton where that is installed

    shadow = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(one_input(data))
    return Cost(parameters(network), counter.get_total_flops() // 2)  # torch counts a multiply-add as two operations
