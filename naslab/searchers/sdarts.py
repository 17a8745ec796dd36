"""SmoothDARTS: search under perturbation (Chen & Hsieh 2020, https://arxiv.org/abs/2002.05283, Eq. 3 and 4).

    DARTS of first order, but w goes down L_train at weights of the operations that are off by up to a radius:
    "random": drawn uniformly (SDARTS-RS); "adversarial": the worst found by projected gradient ascent (SDARTS-ADV)

A smooth landscape around the mixture loses less when one operation an edge is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import Composed, Parts, Perturbation, Training


@dataclass(frozen=True, kw_only=True)
class SmoothDartsHyperparameters(Training):
    """Defaults are those of the authors' code."""

    perturbation: str = "random"
    """Or "adversarial"."""
    radius: float = 0.03
    """Of the perturbation at the start; it grows in equal steps."""
    radius_end: float = 0.3
    """At the end."""
    ascent_steps: int = 7
    """Adversarial only: gradients a step of the weights."""


class SmoothDarts(Composed):
    """SDARTS-RS or SDARTS-ADV on any space with a supernet."""

    name = "sdarts"
    Hyperparameters = SmoothDartsHyperparameters

    @classmethod
    def compose(cls, hyper: SmoothDartsHyperparameters) -> Parts:
        perturbation = Perturbation(
            kind=hyper.perturbation, radius=hyper.radius, radius_end=hyper.radius_end, steps=hyper.ascent_steps
        )
        return Parts(cures=(perturbation,))
