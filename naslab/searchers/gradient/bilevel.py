"""Gradients of the architecture through one step of the weights (Liu et al. 2019, Eq. 5 to 8).

The bilevel problem is

    min over alpha of  L_val(w*(alpha), alpha)    with  w*(alpha) = argmin over w of L_train(w, alpha)

and w* is replaced by a single step of SGD,  w' = w - xi (m + grad_w L_train(w, alpha) + wd w),  with m the
momentum. Differentiating through that step gives

    d L_val / d alpha  =  grad_alpha L_val(w', alpha)  -  xi * grad^2_{alpha,w} L_train(w, alpha) v,
    v = grad_w' L_val(w', alpha).

The mixed product with v comes in two kinds, and they are not the same thing on a real network:

- `finite_difference_product`, the paper's Eq. 8: two more gradients with respect to alpha, at w +- e v with
  e = radius / |v|. Exact where L_train is quadratic in w; on a supernet of ReLUs and max-pools, whose
  gradient jumps within the radius, it can be off by several times its own size.
- `exact_product`: double backward, exact wherever the loss is differentiable; costs memory for the graph.

Losses are passed as functions of nothing that read the parameters when they are called.

Weights that two modules share, such as an embedding that is also the output layer, are one tensor among the weights,
and move with the others in the inner step and in the finite differences. In the authors' code for recurrent cells they
stay where they are: the moved copy is overwritten when it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from naslab.networks.frozen import frozen

Loss = Callable[[], Tensor]
Product = Callable[[Loss, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True, kw_only=True)
class InnerStep:
    """The step of SGD that stands for training to the end: w' = w - xi (m + grad + weight_decay w)."""

    xi: float
    """Learning rate of the weights."""
    weight_decay: float
    momentum: Sequence[Tensor | None]
    """For each weight, the momentum coefficient times its buffer; None before the first step."""
    clip: float = math.inf
    """Gradients of the weights are scaled down to this norm, both that of the step and v. How much the former is, is
    taken for a constant of the architecture: the mixed product is scaled by the same number."""

    def clipped(self, gradients: Sequence[Tensor]) -> tuple[list[Tensor], float]:
        """The gradients, scaled down to the norm that they may have; and by how much."""
        if self.clip == math.inf:
            return list(gradients), 1.0
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        share = min(1.0, self.clip / (float(norm) + 1e-6))
        return (list(gradients), 1.0) if share == 1 else ([share * gradient for gradient in gradients], share)

    def move(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """The moved weights w', by gradients that are clipped already; the given weights are left alone."""
        moved = []
        for w, gradient, m in zip(weights, gradients, self.momentum, strict=True):
            direction = gradient + self.weight_decay * w
            moved.append(w - self.xi * (direction if m is None else direction + m))
        return moved


@contextmanager
def standing_at(weights: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the weights hold these values; afterwards their own again, to the last bit."""
    own = [w.detach().clone() for w in weights]
    _put(weights, values)
    try:
        yield
    finally:
        _put(weights, own)


def _put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for w, value in zip(weights, values, strict=True):
            w.copy_(value)


def gradients(loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """d loss / d inputs, zeros where the loss does not depend on one (an operation left out, say) or on any at all.

    The latter happens to a sampled cell in which nothing leads from the input to the output.
    """
    if not loss.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(loss, list(inputs), allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def finite_difference_product(radius: float = 0.01) -> Product:
    """The paper's Eq. 8 with e = radius / |v|: (grad_alpha L(w + e v) - grad_alpha L(w - e v)) / 2e."""

    def product(loss: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor], v: Sequence[Tensor]) -> list[Tensor]:
        norm = torch.sqrt(sum((x.pow(2).sum() for x in v), start=torch.zeros((), dtype=v[0].dtype, device=v[0].device)))
        if norm == 0:
            return [torch.zeros_like(a) for a in alphas]
        epsilon = radius / norm
        sides = []
        with frozen(weights):
            for sign in (1, -1):
                with standing_at(weights, [w.detach() + sign * epsilon * x for w, x in zip(weights, v, strict=True)]):
                    sides.append(gradients(loss(), alphas))
        return [(plus - minus) / (2 * epsilon) for plus, minus in zip(*sides, strict=True)]

    return product


def exact_product(loss: Loss, weights: Sequence[Tensor], alphas: Sequence[Tensor], v: Sequence[Tensor]) -> list[Tensor]:
    """grad_alpha (grad_w L . v), by differentiating the gradient once more."""
    first = torch.autograd.grad(loss(), list(weights), create_graph=True, allow_unused=True)
    dot = sum(((g * x).sum() for g, x in zip(first, v, strict=True) if g is not None), start=alphas[0].sum() * 0)
    return gradients(dot, alphas)


PRODUCTS: Mapping[str, Callable[[float], Product]] = {
    "finite_difference": finite_difference_product,
    "exact": lambda radius: exact_product,
}
"""Name -> the product for a radius (which only the finite difference needs)."""


@dataclass(frozen=True)
class Unrolled:
    """What `unrolled_gradients` found."""

    gradients: list[Tensor]
    """d L_val(w'(alpha), alpha) / d alpha, one for each alpha."""
    moved: list[Tensor]
    """The weights w' that the validation loss was read at."""


def unrolled_gradients(
    *,
    train_loss: Loss,
    valid_loss: Loss,
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    step: InnerStep,
    product: Product,
) -> Unrolled:
    """Second-order gradient of the architecture (Liu et al. 2019, Eq. 7). The weights are left as they were."""
    downhill, share = step.clipped(gradients(train_loss(), weights))
    moved = [w.detach() for w in step.move(weights, downhill)]
    with standing_at(weights, moved):
        both = gradients(valid_loss(), [*alphas, *weights])
    direct, (v, _) = both[: len(alphas)], step.clipped(both[len(alphas) :])
    mixed = product(train_loss, weights, alphas, v)
    return Unrolled([d - step.xi * share * m for d, m in zip(direct, mixed, strict=True)], moved)
