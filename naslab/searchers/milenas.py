"""MiLeNAS: mixed-level search (He, Ye, Shen & Zhang 2020, https://arxiv.org/abs/2003.12238, Eq. 4 and 5).

    repeat, a mini-batch of each half of the training data at a time:
        alpha <- alpha - Adam(grad_alpha L_train(w, alpha) + lambda grad_alpha L_val(w, alpha))
        w <- w - SGD(grad_w L_train(w, alpha))
    after each epoch: remember the cell, if its mixture has the best validation accuracy of all cells of its size;
        stop when none has been better for some epochs

Second order takes both gradients through one step of the weights. lambda is 1, all else as in DARTS.

Differences from the authors' code (https://github.com/chaoyanghe/MiLeNAS, search_algorithm): it has a weight for the
training gradient, too, and its step of first order uses that one alone: grad L_val + lambda grad L_train, where the
paper and this have lambda with L_val. In its second order the alphas are parameters of the model like any other, so
that they, too, take the inner step and are moved by the finite differences, and that step never has momentum; here, as
in the paper, the inner step is that of the weights alone, with their momentum. Its early stop, off by default, waits
for six convolutions in the normal cell and none in the reduction cell; `patience` is ours. It clips the gradients of
the alphas, where they move nothing, and not those of the weights. The size of a cell is the number of parameters of the
network that the space builds of it, where theirs is its number of convolutions; validation accuracy is the mean over an
epoch's mini-batches.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import GradientSearcher, MixedLevel, Parts, SizeTracking, Training


@dataclass(frozen=True, kw_only=True)
class MiLeNASHyperparameters(Training):
    """Defaults are those of the paper, which takes over those of DARTS."""

    order: int = 1
    """Order of the gradient. 1: the weights are constants; 2: it goes through one step of them."""
    hessian_product: str = "finite_difference"
    """Second order only: "finite_difference", or "exact", double backward."""
    radius: float = 0.01
    """Length of the finite-difference step in weight space."""
    valid_weight: float = 1.0
    """The paper's lambda: weight of the validation loss, where the training loss weighs 1."""
    patience: int = 0
    """Epochs without a better validation objective after which the search stops; 0: never."""


class MiLeNAS(GradientSearcher):
    """MiLeNAS of first or second order; `by_size` holds the best cell of every size."""

    name = "milenas"
    Hyperparameters = MiLeNASHyperparameters

    @classmethod
    def compose(cls, hyper: MiLeNASHyperparameters) -> Parts:
        level = MixedLevel(
            order=hyper.order,
            hessian_product=hyper.hessian_product,
            radius=hyper.radius,
            valid_weight=hyper.valid_weight,
        )
        return Parts(level=level, regularizers=(SizeTracking(patience=hyper.patience),))
