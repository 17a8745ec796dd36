"""What a network costs: its parameters, and the multiply-adds of one image through it.

Multiply-adds (MACs) are what the field calls "FLOPs": those of convolutions and linear layers, without biases,
normalisation, activations and pooling. Nothing is computed: the network is traced on the meta device.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from naslab.torch_state import default_torch_state


@dataclass(frozen=True)
class Cost:
    """Parameters of a network and multiply-adds for one input."""

    parameters: int
    multiply_adds: int


def parameters(network: nn.Module) -> int:
    """Number of learnt scalars; what does not need a gradient counts too."""
    return sum(parameter.numel() for parameter in network.parameters())


@default_torch_state()
def cost(network: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Cost of one input of this shape, for instance (C, H, W), in evaluation mode. The network is left as it is."""
    shadow = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(torch.empty(1, *input_shape, device="meta"))
    return Cost(parameters(network), counter.get_total_flops() // 2)
