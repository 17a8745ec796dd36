"""SynFlow: product of absolute weights, summed over all paths from input to output (Tanaka, Kunin, Yamins & Ganguli
2020, https://arxiv.org/abs/2006.05467, Eq. 2), summed over the network (Abdelfattah et al. 2021,
https://arxiv.org/abs/2101.08134).

    every parameter <- its absolute value;  normalisation layers <- nothing
    R <- sum of the outputs for an input of ones
    score <- sum of |w dR/dw| over the weights of convolutions and linear layers

No data is used. The computation is in float64, as published, since R is a product over layers and easily exceeds 1e38,
the limit of float32, in a deep network.

Difference from the published code: layer, group and instance normalisation are removed like batch normalisation.

Convention: 0 where nothing flows. A score that overflows float64 raises an error.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from naslab.errors import SpecError
from naslab.estimators.zero_cost.passes import Seen, check_real, total, weights
from naslab.transfer import numbers
from naslab.trees import tree_map

NORMALISATION = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm)


def synflow(seen: Seen) -> float:
    """Returns the score, computed on a copy of the network; only the shape of `seen.x` is used."""
    check_real(seen.x, "synflow sends ones in place of the input")
    device = "cpu" if seen.device.type == "mps" else seen.device  # a Mac's GPU has no float64
    network = copy.deepcopy(seen.network).to(device, torch.float64).eval()
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.abs_()
    for module in network.modules():
        if isinstance(module, NORMALISATION):
            module.forward = _unchanged  # type: ignore[method-assign]
    learnt = weights(network)
    with torch.enable_grad():
        ones = tree_map(lambda x: torch.ones_like(x[:1], dtype=torch.float64, device=device), seen.x)
        flow = total(network(ones))
        if not flow.requires_grad:
            return 0.0
        gradients = torch.autograd.grad(flow, learnt, allow_unused=True)
    pairs = zip(learnt, gradients, strict=True)
    score = sum(numbers((weight.detach() * g).abs().sum() for weight, g in pairs if g is not None))
    if not math.isfinite(score):
        raise SpecError("synflow's flow is larger than float64 can hold; use a network of fewer or narrower layers")
    return score


def _unchanged(x: torch.Tensor) -> torch.Tensor:
    return x
