"""Gradients of the architecture through one SGD step of the weights (Liu et al. 2019, Eq. 5 to 8).

The bilevel problem is

    min over alpha of  L_val(w*(alpha), alpha)    with  w*(alpha) = argmin over w of L_train(w, alpha)

and w* is replaced by a single step of SGD,  w' = w - xi (m + grad_w L_train(w, alpha) + wd w),  with m the
momentum. Differentiating through that step gives

    d L_val / d alpha  =  grad_alpha L_val(w', alpha)  -  xi * grad^2_{alpha,w} L_train(w, alpha) v,
    v = grad_w' L_val(w', alpha).

The mixed second derivative times v can be computed in two ways, whose results differ on a real network:

- `finite_difference_product`, the paper's Eq. 8: two more gradients with respect to alpha, at w +- e v with
  e = radius / |v|. It is exact where L_train is quadratic in w. On a supernet of ReLUs and max-pools, whose gradient is
  discontinuous within the radius, its error can be several times its own size.
- `exact_product`: double backward, exact wherever the loss is differentiable; it needs memory for the graph of the
  first gradient.

Losses are functions without arguments, which read the parameters when they are called.

Weights that two modules share, such as an embedding that is also the output layer, are one tensor among the weights.
They move with the others in the inner step and in the finite differences. In the authors' code for recurrent cells they
do not move: the moved copy is overwritten when the weights are loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from naslab.networks.frozen import frozen
from naslab.networks.step_memory import Beyond
from naslab.operations import foreach

Loss = Callable[[], Tensor]
Product = Callable[[Loss, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class InnerStep:
    """The single step of SGD that approximates training to the end: w' = w - xi (m + grad + weight_decay w)."""

    xi: float
    """Learning rate of the weights."""
    weight_decay: float
    momentum: Sequence[Tensor | None]
    """For each weight, the momentum coefficient times its buffer; None before the first step."""
    clip: float = math.inf
    """Largest norm of the gradients of the weights: that of the step, and v. The factor by which the former is scaled
    depends on the architecture; here it is treated as a constant, so that the mixed product is scaled by it."""

    def clipped(self, gradients: Sequence[Tensor]) -> tuple[list[Tensor], float]:
        """Returns the gradients, scaled down to the largest norm allowed, and the factor, in (0, 1]."""
        if self.clip == math.inf:
            return list(gradients), 1.0
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        share = min(
            1.0, self.clip / (float(norm) + 1e-6)
        )  # 1e-6 as in torch's clip_grad_norm_, which moves the weights
        return (list(gradients), 1.0) if share == 1 else ([share * gradient for gradient in gradients], share)

    def move(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """Returns the moved weights w'; the given ones are not changed. The gradients are clipped already."""
        direction = foreach.added(gradients, foreach.scaled(self.weight_decay, weights))
        moving = {number: m for number, m in enumerate(self.momentum) if m is not None}
        if moving:
            summed = foreach.added([direction[number] for number in moving], list(moving.values()))
            for number, moved in zip(moving, summed, strict=True):
                direction[number] = moved
        return foreach.subtracted(weights, foreach.scaled(self.xi, direction))


@contextmanager
def weights_at(weights: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Give the weights other values inside the `with` block; afterwards they have their own, to the last bit.

    Copies, rather than adding and subtracting a step: the latter would leave rounding errors in the weights.
    """
    own = [w.detach().clone() for w in weights]
    foreach.assign(weights, values)
    try:
        yield
    finally:
        foreach.assign(weights, own)


def gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Returns d loss / d inputs; zeros for an input that the loss does not depend on, such as a skipped operation.

    The loss may depend on none of them: in a sampled cell, no path of operations may lead from input to output.
    """
    if not loss.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(loss, list(inputs), allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def finite_difference_product(radius: float = 0.01) -> Product:
    """Returns the product of the paper's Eq. 8: (grad_alpha L(w + e v) - grad_alpha L(w - e v)) / 2e, e = radius / |v|.

    Dividing by |v| makes the displacement in weight space as long as `radius` whatever the size of v: a fixed e would
    drown in rounding where v is small, and leave the region where L is nearly quadratic where v is large.
    """

    def product(loss: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor], v: Sequence[Tensor]) -> list[Tensor]:
        norm = torch.sqrt(sum((x.pow(2).sum() for x in v), start=torch.zeros((), dtype=v[0].dtype, device=v[0].device)))
        # Without a direction e would be infinite. Any number does: both sides are then equal, and the product is zero.
        # That it is zero is not read, since the host would wait for the device.
        epsilon = radius / torch.where(norm == 0, torch.ones_like(norm), norm)
        sides = []
        with frozen(weights):  # only gradients with respect to alpha are asked for
            for sign in (1, -1):
                side = foreach.added([w.detach() for w in weights], foreach.scaled(sign * epsilon, v))
                with weights_at(weights, side):
                    sides.append(gradients(loss(), alphas))
        return [(plus - minus) / (2 * epsilon) for plus, minus in zip(*sides, strict=True)]

    return product


def exact_product(loss: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor], v: Sequence[Tensor]) -> list[Tensor]:
    """Returns grad_alpha (grad_w L . v), by differentiating the gradient once more."""
    first = torch.autograd.grad(loss(), list(weights), create_graph=True, allow_unused=True)
    # the start ties the sum to the alphas, so that it can be differentiated where no weight has a gradient
    dot = sum(((g * x).sum() for g, x in zip(first, v, strict=True) if g is not None), start=alphas[0].sum() * 0)
    return gradients(dot, alphas)


PRODUCTS: Mapping[str, Callable[[float], Product]] = {
    "finite_difference": finite_difference_product,
    "exact": lambda radius: exact_product,
}
"""Name of `hessian_product` -> function of the radius (which only the finite difference needs) -> the product."""
MEMORY: Mapping[str, Beyond] = {
    "finite_difference": Beyond(weight_copies=6.0),  # w, w', w + e v or w - e v, v, two gradients
    "exact": Beyond(activations=2.5),  # the graph of the gradient, too; measured: 2.3 to 3.3 times
}
"""Name of `hessian_product` -> memory of a second-order step beyond one of first order."""


@dataclass(frozen=True)
class Unrolled:
    """Gradients of the architecture, and the weights at which the outer loss was taken."""

    gradients: list[Tensor]
    """d L_val(w'(alpha), alpha) / d alpha, one for each alpha."""
    moved: list[Tensor]
    """The weights w' at which the outer loss was taken; empty for first order, where w' = w."""


def unrolled_gradients(
    *,
    train_loss: Loss,
    valid_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    step: InnerStep,
    product: Product,
    reuses_memory: bool = False,
) -> Unrolled:
    """Returns the second-order gradient of the architecture (Liu et al. 2019, Eq. 7). The weights are not changed.

    Args:
        train_loss: L_train at the current weights.
        valid_loss: L_val at the current weights.
        weights: w.
        alphas: tensors of the architecture.
        step: the inner step.
        product: computes the mixed second derivative times v.
        reuses_memory: whether a pass overwrites the gradients of the weights of the pass before it.
    """
    # w' = w - xi grad_w L_train(w, alpha), the inner step of Eq. 6
    downhill, share = step.clipped(gradients(train_loss(), weights))
    moved = [w.detach() for w in step.move(weights, downhill)]
    # One backward pass at w' gives the direct term grad_alpha L_val(w', alpha) and v = grad_w' L_val(w', alpha).
    with weights_at(weights, moved):
        both = gradients(valid_loss(), [*alphas, *weights])
    direct, (v, _) = both[: len(alphas)], step.clipped(both[len(alphas) :])
    if reuses_memory:
        v = [x.clone() for x in v]
    # The mixed product is taken back at w, not at w'. `share` is d(clipped gradient) / d(gradient) of the inner step.
    mixed = product(train_loss, weights, alphas, v)
    return Unrolled([d - step.xi * share * m for d, m in zip(direct, mixed, strict=True)], moved)
