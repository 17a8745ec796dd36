"""Where the channels-last memory layout pays, and where PyTorch computes wrongly in it."""

from __future__ import annotations

import torch
from torch import nn

from naslab.operations import kernels
from naslab.operations.norms import BatchNorm2d


def strided_pointwise(network: nn.Module) -> bool:
    """Returns True if a network has a 1 x 1 convolution with a stride, whose backward pass in torch 2.14 writes out of
    bounds in channels-last layout on a CPU."""
    return any(
        isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.stride != (1, 1)
        for layer in network.modules()
    )


def channels_last_pays(network: nn.Module, device: torch.device) -> bool:
    """Returns True if a network is trained faster in channels-last layout, and as exactly.

    On a CPU, a step of the networks of naslab's spaces takes half of the time to all of it. The network must normalise
    by the module of `norms.py`, and that have its compiled kernel, because PyTorch's is less accurate in this layout.
    """
    norms = {type(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
    return device.type == "cpu" and norms == {BatchNorm2d} and kernels.available() and not strided_pointwise(network)
