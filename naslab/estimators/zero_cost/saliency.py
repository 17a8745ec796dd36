"""Saliencies of one backward pass from the loss, summed over the network (Abdelfattah, Mehrotra, Dudziak & Lane 2021,
https://arxiv.org/abs/2101.08134, Sec. 3.2). Weights are those of convolutions and linear layers.

Convention: weights that no gradient reaches count 0.
"""

from __future__ import annotations

from naslab.estimators.zero_cost.passes import Seen
from naslab.transfer import numbers


def grad_norm(seen: Seen) -> float:
    """Returns the sum over layers of the Euclidean norm of the gradient of the layer's weights."""
    return sum(numbers(gradient.norm() for _, gradient in seen.gradients))


def snip(seen: Seen) -> float:
    """Returns the sum of |w dL/dw| (Lee, Ajanthan & Torr 2019, https://arxiv.org/abs/1810.02340, Eq. 5): the change of
    the loss, to first order, if the weight is removed. The published code multiplies each weight by a mask of ones and
    takes the gradient of the mask, which is the same number."""
    return sum(numbers((weight.detach() * gradient).abs().sum() for weight, gradient in seen.gradients))


def fisher(seen: Seen) -> float:
    """Returns the summed Fisher information of the output channels (Theis et al. 2018, https://arxiv.org/abs/1801.05787;
    Turner et al. 2020, https://arxiv.org/abs/1906.04113, Eq. 4): with g = sum over pixels of a dL/da, half the mean of
    g^2 over the mini-batch. As published, a channel counts once for each of its weights."""
    squares = numbers(g.pow(2).sum() for g, _ in seen.channels)
    return sum(fan_in * one / (2 * seen.rows) for one, (_, fan_in) in zip(squares, seen.channels, strict=True))
