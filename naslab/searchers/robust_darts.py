"""RobustDARTS with early stopping (Zela, Elsken, Saikia et al. 2020, https://arxiv.org/abs/1909.09656, Sec. 4.3).

    DARTS; after each epoch: the dominant eigenvalue of grad^2_alpha L_val, averaged over the last 5 epochs
    stop when the average of 5 epochs ago is less than 0.75 of the average now: the loss turns sharp, and skip
    connections are about to take over; the result is the cell of 5 epochs ago

The paper's other cures, dropout along paths and stronger decay of the weights, are `skip_dropout` in P-DARTS' form
(dropout behind skip connections, off unless a rate is given) and `w_weight_decay`.

Difference from the paper: the eigenvalue is that of one validation mini-batch an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import Bilevel, Composed, Cure, EigenvalueStop, Parts, SkipDropout, Training


@dataclass(frozen=True, kw_only=True)
class RobustDartsHyperparameters(Training):
    """Defaults are those of the paper."""

    order: int = 1
    """1 takes the weights as they are; 2 looks through one step of them."""
    window: int = 5
    """Epochs that are averaged, and epochs that are looked back."""
    ratio: float = 0.75
    """It is time to stop when the average then is less than this share of the average now."""
    skip_dropout: float = 0.0
    """Rate of dropout behind skip connections at the start; falls by equal ratios to a hundredth. 0: none."""


class RobustDarts(Composed):
    """DARTS that stops in time, on any space with a supernet."""

    name = "robust_darts"
    Hyperparameters = RobustDartsHyperparameters

    @classmethod
    def compose(cls, hyper: RobustDartsHyperparameters) -> Parts:
        cures: list[Cure] = [EigenvalueStop(window=hyper.window, ratio=hyper.ratio)]
        if hyper.skip_dropout != 0:
            cures.append(SkipDropout(rate=hyper.skip_dropout, rate_end=hyper.skip_dropout / 100))
        return Parts(level=Bilevel(order=hyper.order), cures=tuple(cures))
