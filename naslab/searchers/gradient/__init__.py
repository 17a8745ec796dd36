"""Searches by gradients, in five parts that go together as one likes.

    mixing     alphas -> weights of the operations                       `mixing.py`
    sampling   what of the mixture a step computes                       `sampling.py`
    channels   how many channels the operations work on                  `naslab.networks.partial_channels`
    level      whose loss moves the architecture                         `objective.py`
    regularizers  penalties, perturbation, dropout, early stopping       `regularizers.py`

`parts.py` says which of them do not go together, and why; `base.py` holds data, network, settings and state,
`searcher.py` the step. Each paper is a preset in `naslab.searchers`; `GradientSearch` takes the parts themselves.
"""

from __future__ import annotations

from naslab.lazy import attach
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
from naslab.searchers.gradient.watching import Sized, pareto

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
    "StraightThrough",
    "Training",
    "pareto",
]
