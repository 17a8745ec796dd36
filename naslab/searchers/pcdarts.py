"""PC-DARTS: partial channels (Xu, Xie, Zhang et al. 2020, https://arxiv.org/abs/1907.05737, Eq. 3 and 4).

    DARTS of first order, but
    - operations see one channel in K, and the other channels bypass them (`naslab.networks.partial_channels`)
    - the edges into a node are weighed by a softmax over logits of their own (edge normalisation), and a cell is
      derived from the product of the two softmaxes
    - for the first 15 of 50 epochs only the weights are trained

Sizes and rates are those of the authors' code (https://github.com/yuhuixu1993/PC-DARTS, train_search.py and
model_search.py).

In an event the rows of `probabilities` are those products: the rows of a node sum to one together.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import GradientSearcher, PartialChannels, Parts, Training


@dataclass(frozen=True, kw_only=True)
class PCDartsHyperparameters(Training):
    """Defaults are those of the authors' search on CIFAR-10."""

    batch_size: int = 256
    """Images in a mini-batch of either half."""
    w_lr: float = 0.1
    """Learning rate of the weights at the start; falls along a cosine, epoch by epoch."""
    alpha_lr: float = 6e-4
    """Learning rate of the architecture (Adam)."""
    one_in: int = 4
    """The paper's K: operations see one channel in K."""
    edge_normalisation: bool = True
    """Whether the edges into a node have a softmax of their own (Eq. 4)."""
    warmup: float = 0.3
    """Share of the epochs, at the start, in which only the weights are trained."""


class PCDarts(GradientSearcher):
    """PC-DARTS on any space whose supernet has partial channels."""

    name = "pcdarts"
    Hyperparameters = PCDartsHyperparameters

    @classmethod
    def compose(cls, hyper: PCDartsHyperparameters) -> Parts:
        return Parts(
            channels=PartialChannels(one_in=hyper.one_in, edge_normalisation=hyper.edge_normalisation),
            warmup=hyper.warmup,
        )
