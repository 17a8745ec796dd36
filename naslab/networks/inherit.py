"""Weight inheritance (Real et al. 2017, https://arxiv.org/abs/1703.01041, Sec. 3.5): a child starts from those of its
parent's trained weights that still fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def inherit(network: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Copy every tensor of `state` whose name and shape the network has; all others keep their initial values.

    Args:
        network: the child.
        state: the parent's `state_dict()`.

    Returns:
        Names of the tensors that were copied.
    """
    own = network.state_dict()
    fitting = [name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape]
    for name in fitting:
        own[name].copy_(state[name])
    return fitting
