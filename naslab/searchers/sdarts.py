"""SmoothDARTS: search under perturbation (Chen & Hsieh 2020, https://arxiv.org/abs/2002.05283, Eq. 3 and 4).

    DARTS of first order, but w minimises L_train at weights of the operations that are perturbed by up to a radius:
    "random": uniformly (SDARTS-RS); "adversarial": by projected gradient ascent on L_train (SDARTS-ADV)

The radius grows from 0.03 to 0.3 as in the authors' code (https://github.com/xiangning-chen/SmoothDARTS,
sota/cnn/train_search.py: `0.03 + (epsilon_alpha - 0.03) * epoch / epochs`, so that 0.3 would be reached after the last
epoch; attacker/perturb.py: 7 steps of 2 radius / 7 from a random start, each clipped; `clip` of model_search.py brings
the weights back to distributions). Differences: there the adversary looks at the network in evaluation mode, here at
the statistics of the mini-batch; there it gives up where it has not raised the loss.

Where the loss is smooth around the mixture, keeping one operation for each edge costs less accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import GradientSearcher, Parts, Perturbation, Training


@dataclass(frozen=True, kw_only=True)
class SmoothDartsHyperparameters(Training):
    """Defaults are those of the authors' code."""

    perturbation: str = "random"
    """Kind of the perturbation: "random" or "adversarial"."""
    radius: float = 0.03
    """Radius of the perturbation in the first epoch; it grows in equal steps, epoch by epoch."""
    radius_end: float = 0.3
    """Radius in the epoch after the last."""
    ascent_steps: int = 7
    """Adversarial only: ascent steps in each update of the weights."""


class SmoothDarts(GradientSearcher):
    """SDARTS-RS or SDARTS-ADV on any space with a supernet."""

    name = "sdarts"
    Hyperparameters = SmoothDartsHyperparameters

    @classmethod
    def compose(cls, hyper: SmoothDartsHyperparameters) -> Parts:
        perturbation = Perturbation(
            kind=hyper.perturbation, radius=hyper.radius, radius_end=hyper.radius_end, steps=hyper.ascent_steps
        )
        return Parts(regularizers=(perturbation,))
