"""GraSP: effect of removing a weight on the gradient flow (Wang, Zhang & Grosse 2020,
https://arxiv.org/abs/2002.07376, Eq. 8), summed over the network (Abdelfattah et al. 2021,
https://arxiv.org/abs/2101.08134, who found that the sum ranks networks with this sign).

    g <- gradient of the loss with respect to the weights
    score <- - sum of w * (H g),   H the Hessian of the loss

Difference from the published code: H g is the gradient of g' stop(g), with both g from one forward pass instead of two.

Convention: weights that no gradient reaches count 0.
"""

from __future__ import annotations

import torch

from naslab.estimators.zero_cost.passes import Seen, batch_statistics, outputs, weights
from naslab.transfer import numbers


def grasp(seen: Seen) -> float:
    """Returns - sum of w * (H g), for the loss of the mini-batch."""
    learnt = weights(seen.network)
    with batch_statistics(seen.network), torch.enable_grad():
        loss = seen.loss(outputs(seen.network, seen.x), seen.y)
        gradients = torch.autograd.grad(loss, learnt, create_graph=True, allow_unused=True)
        reached = [g for g in gradients if g is not None and g.requires_grad]
        if not reached:
            return 0.0
        flow = torch.stack([(g * g.detach()).sum() for g in reached]).sum()
        products = torch.autograd.grad(flow, learnt, allow_unused=True)
    pairs = zip(learnt, products, strict=True)
    return 0.0 - sum(numbers((weight.detach() * product).sum() for weight, product in pairs if product is not None))
