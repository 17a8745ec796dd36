"""RobustDARTS with early stopping (Zela, Elsken, Saikia et al. 2020, https://arxiv.org/abs/1909.09656, Sec. 4.3).

    DARTS; after each epoch: the dominant eigenvalue of grad^2_alpha L_val, averaged over the last 5 epochs
    stop when the average of 5 epochs ago is less than 0.75 of the average now: the minimum becomes sharp, and skip
    connections are about to dominate; the result is the cell of 5 epochs ago

Of the paper's other regularizers, stronger decay of the weights is `w_weight_decay`. Its drop path, which grows
linearly to a rate of 0.2 to 0.6, with cutout, is not here; `skip_dropout` is that of P-DARTS instead (behind skip
connections, off unless a rate is given).

The authors' code (https://github.com/automl/RobustDARTS, src/search, and `EVLocalAvg` in src/utils.py) has other
constants: one eigenvalue, that of a validation mini-batch as here, every other epoch; it stops when the average of five
is more than 1.3 times that of four before, and not before epoch 10. It takes the largest eigenvalue, here it is that of
largest magnitude, and searches by second order.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import (
    Bilevel,
    EigenvalueStop,
    GradientSearcher,
    Parts,
    Regularizer,
    SkipDropout,
    Training,
)


@dataclass(frozen=True, kw_only=True)
class RobustDartsHyperparameters(Training):
    """Window and ratio are ours, near those of the authors' code; all else is as for DARTS."""

    order: int = 1
    """Order of the gradient. 1: the weights are constants; 2, the authors' choice: it goes through one step of them."""
    window: int = 5
    """Epochs in the average, and also the number of epochs between the two averages."""
    ratio: float = 0.75
    """Stop when the earlier window's mean is below `ratio` times the latest window's mean."""
    skip_dropout: float = 0.0
    """Dropout rate behind skip connections in the first epoch; falls by equal ratios to a hundredth. 0: none."""


class RobustDarts(GradientSearcher):
    """DARTS with early stopping by the Hessian's eigenvalue, on any space with a supernet."""

    name = "robust_darts"
    Hyperparameters = RobustDartsHyperparameters

    @classmethod
    def compose(cls, hyper: RobustDartsHyperparameters) -> Parts:
        regularizers: list[Regularizer] = [EigenvalueStop(window=hyper.window, ratio=hyper.ratio)]
        if hyper.skip_dropout != 0:
            regularizers.append(SkipDropout(rate=hyper.skip_dropout, rate_end=hyper.skip_dropout / 100))
        return Parts(level=Bilevel(order=hyper.order), regularizers=tuple(regularizers))
