"""Gradient-based search, composed of five kinds of interchangeable components.

    mixing        alphas -> weights of the operations                  `mixing.py`
    sampling      the operations of the mixture that a step computes   `sampling.py`
    channels      the share of channels that operations work on        `naslab.networks.partial_channels`
    level         the loss that updates the architecture               `objective.py`
    regularizers  penalties, perturbation, dropout, early stopping     `regularizers.py`

`parts.py` lists the combinations that are impossible, and why. `base.py` holds data, network, settings and state;
`searcher.py` holds the update step. Each published method is a preset in `naslab.searchers`; `GradientSearch` takes the
components themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.searchers.gradient.history import Sized, pareto
    from naslab.searchers.gradient.mixing import JointSoftmax, Mixing, Sigmoid, Softmax
    from naslab.searchers.gradient.objective import Bilevel, MixedLevel, SearchObjective, SingleLevel
    from naslab.searchers.gradient.parts import PartialChannels, Parts
    from naslab.searchers.gradient.regularizers import (
        EigenvalueStop,
        Entropy,
        Perturbation,
        Regularizer,
        Resource,
        SizeTracking,
        SkipDropout,
        StoppingCriterion,
    )
    from naslab.searchers.gradient.sampling import (
        BinaryGates,
        Concrete,
        Dirichlet,
        FullMixture,
        Reinforce,
        Sampling,
        StraightThrough,
    )
    from naslab.searchers.gradient.searcher import GradientSearcher
    from naslab.searchers.gradient.training import Training


__getattr__, __dir__ = attach(
    __name__,
    deprecated={
        "Composed": "GradientSearcher",
        "Cure": "Regularizer",
        "Everything": "FullMixture",
        "Level": "SearchObjective",
        "Mixed": "MixedLevel",
        "Single": "SingleLevel",
    },
)

__all__ = [
    "Bilevel",
    "BinaryGates",
    "Concrete",
    "Dirichlet",
    "EigenvalueStop",
    "Entropy",
    "FullMixture",
    "GradientSearcher",
    "JointSoftmax",
    "MixedLevel",
    "Mixing",
    "PartialChannels",
    "Parts",
    "Perturbation",
    "Regularizer",
    "Reinforce",
    "Resource",
    "Sampling",
    "SearchObjective",
    "Sigmoid",
    "SingleLevel",
    "SizeTracking",
    "Sized",
    "SkipDropout",
    "Softmax",
    "StoppingCriterion",
    "StraightThrough",
    "Training",
    "pareto",
]
