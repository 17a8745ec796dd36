"""The proxies by name, and the function that computes several of them with shared passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from naslab.errors import SpecError, among, unknown
from naslab.estimators.zero_cost.grasp import grasp
from naslab.estimators.zero_cost.jacob_cov import jacob_cov
from naslab.estimators.zero_cost.naswot import naswot
from naslab.estimators.zero_cost.passes import Loss, Need, Seen, look, rows
from naslab.estimators.zero_cost.saliency import fisher, grad_norm, snip
from naslab.estimators.zero_cost.synflow import synflow
from naslab.networks.cost import cost
from naslab.networks.cost import parameters as learnt
from naslab.torch_state import default_torch_state


def parameters(seen: Seen) -> float:
    """Returns the number of trainable parameters."""
    return float(learnt(seen.network))


def flops(seen: Seen) -> float:
    """Returns the multiply-adds for one input, which papers call FLOPs."""
    one = seen.x[:1] if isinstance(seen.x, Tensor) else seen.x
    return float(cost(seen.network, one).multiply_adds / rows(one))


PROXIES: dict[str, Callable[[Seen], float]] = {
    "naswot": naswot,
    "synflow": synflow,
    "jacob_cov": jacob_cov,
    "snip": snip,
    "grad_norm": grad_norm,
    "fisher": fisher,
    "grasp": grasp,
    "parameters": parameters,
    "flops": flops,
}
"""Name -> proxy."""

NEEDS: dict[str, Need] = {
    "naswot": Need.CODES,
    "jacob_cov": Need.JACOBIAN,
    "snip": Need.GRADIENTS,
    "grad_norm": Need.GRADIENTS,
    "fisher": Need.CHANNELS,
}
"""Proxy -> result of the shared passes that it needs; the others compute their own passes."""


@default_torch_state()
def scores(
    network: nn.Module, x: Any, y: Any, proxies: Sequence[str] = tuple(PROXIES), *, loss: Loss = F.cross_entropy
) -> dict[str, float]:
    """Returns proxy -> score of the network, all finite. The network is left unchanged.

    Args:
        network: untrained, on the device of x.
        x: one mini-batch of inputs, for instance [B, C, H, W].
        y: targets of the loss, for instance labels [B].
        proxies: names in `PROXIES`; all by default. GraSP takes as long as all others together.
        loss: (outputs, y) -> mean loss. For the loss of a task, y is the task's mini-batch.
    """
    if isinstance(proxies, str) or not proxies:
        raise SpecError(f"proxies are a list of names, for instance ['naswot'], not {proxies!r}")
    for name in proxies:
        if not among(name, PROXIES):
            raise SpecError(unknown("proxy", name, PROXIES))
    seen = look(network, x, y, loss, {NEEDS[name] for name in proxies if name in NEEDS})
    found = {name: PROXIES[name](seen) for name in proxies}
    for name, score in found.items():
        if not math.isfinite(score):
            raise SpecError(
                f"{name} of this network is {score}: its gradients are too large to be added up; look at its "
                "initialisation, or use network.double()"
            )
    return found
