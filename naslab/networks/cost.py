"""What a network costs: its parameters, and the multiply-adds of one example through it: of an image, or of a text.

Multiply-adds (MACs) are what the field calls "FLOPs": those of convolutions, linear layers and other matrix products,
without biases, normalisation, activations and pooling. Nothing is computed: the network is traced on the meta device.
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
    """Parameters of a network and multiply-adds for one input."""

    parameters: int
    multiply_adds: int


def parameters(network: nn.Module) -> int:
    """Number of learnt scalars; what does not need a gradient counts too."""
    return sum(parameter.numel() for parameter in network.parameters())


def one_input(data: Any) -> Any:
    """What a network is called with for one example, on the meta device.

    Args:
        data: a task; or the shape of an input that is one float32 tensor, for instance (C, H, W); or the inputs.
    """
    if isinstance(data, Task):
        return moved(data.inputs(data.example(1)), "meta")
    if isinstance(data, Sequence) and data and all(isinstance(size, int) for size in data):
        return torch.empty(1, *data, device="meta")
    return moved(data, "meta")


@default_torch_state()
def cost(network: nn.Module, data: Any) -> Cost:
    """Cost of one example of a task, of one input of a shape such as (C, H, W), or of inputs as they are given, in
    evaluation mode. The network is left as it is.
    """
    from torch.utils.flop_counter import FlopCounterMode  # loads triton where there is one

    shadow = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(one_input(data))
    return Cost(parameters(network), counter.get_total_flops() // 2)
