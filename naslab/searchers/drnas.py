"""DrNAS: Dirichlet neural architecture search (Chen, Wang, Cheng, Tang & Hsieh 2021, https://arxiv.org/abs/2006.10355).

    on each edge: theta <- Dirichlet(elu(alpha) + 1), the weights of the operations
    alpha <- alpha - Adam(grad_alpha L_val(w, theta)), with the pathwise gradient of the sample (Eq. 4); weight decay
        pulls elu(alpha) + 1 to one, the uniform distribution on the simplex (the paper's distance regulariser, as the
        authors' code has it by default: `--reg_type l2 --reg_scale 1e-3`, not the divergence from that Dirichlet)
    w <- w - SGD(grad_w L_train(w, theta)), with a sample of its own
    derive from the mean of the Dirichlet, or from softmax(alpha), as `derivation` says

The two derivations keep the same operation on each edge, but may keep other edges. "mean" is what the network was
trained on, and the default here; "softmax" is what the authors' code derives from (model_search.py, genotype), and so
what gave their published cells. They keep other edges in 3, 13, 21 and 30 % of the nodes at alphas of a standard
deviation of 0.1, 0.5, 1 and 2. Their search on CIFAR-10 has no "none" among its operations; to have none here, take
`DartsCell(operations=DARTS_SEARCHED[1:])` (`naslab.operations.images`).

Differences from the authors' code (https://github.com/xiangning-chen/DrNAS, DARTS-space/train_search.py): one stage,
with all channels. Theirs has two of 25 epochs, on one channel in 6, then one in 4, with four operations an edge kept
between them (NAS-Bench-201: two of 50, one in 4, then in 2, three operations); in the first ten epochs of each only the
weights move. `GradientSearch` combines a Dirichlet with partial channels and a warm-up.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import Dirichlet, GradientSearcher, PartialChannels, Parts, Training


@dataclass(frozen=True, kw_only=True)
class DrNASHyperparameters(Training):
    """Defaults are those of the authors' search on CIFAR-10."""

    w_lr: float = 0.1
    """Learning rate of the weights at the start; falls along a cosine, epoch by epoch."""
    w_lr_min: float = 0.0
    """Learning rate of the weights at the end of the cosine."""
    alpha_lr: float = 6e-4
    """Learning rate of the architecture (Adam)."""
    one_in: int = 1
    """PC-DARTS' K: operations see one channel in `one_in`; 1: all of them."""
    derivation: str = "mean"
    """Strengths from which the cell is derived: "mean", of the Dirichlet, or "softmax", of the alphas (as in the
    authors' code)."""


class DrNAS(GradientSearcher):
    """DrNAS, one stage of it, on any space with a supernet."""

    name = "drnas"
    Hyperparameters = DrNASHyperparameters

    @classmethod
    def compose(cls, hyper: DrNASHyperparameters) -> Parts:
        return Parts(sampling=Dirichlet(derivation=hyper.derivation), channels=PartialChannels(one_in=hyper.one_in))
