"""Weight inheritance (Real et al. 2017, https://arxiv.org/abs/1703.01041, Sec. 3.5): a child begins with those of its
parent's weights that still fit, and so need not learn everything again.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def inherit(network: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Copy every tensor of `state` that the network has by the same name and shape; the others stay as they are.

    Args:
        network: the child, its weights drawn.
        state: the parent's `state_dict()`.

    Returns:
        Names of what was inherited.
    """
    own = network.state_dict()
    fitting = [name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape]
    for name in fitting:
        own[name].copy_(state[name])
    return fitting
