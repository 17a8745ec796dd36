"""Searches by gradients, in five parts that go together as one likes.

    mixing     alphas -> weights of the operations                       `mixing.py`
    sampling   what of the mixture a step computes                       `sampling.py`
    channels   how many channels the operations work on                  `naslab.networks.partial_channels`
    level      whose loss moves the architecture                         `level.py`
    cures      penalties, perturbation, dropout, early stopping          `cures.py`

`parts.py` says which of them do not go together, and why; `frame.py` holds data, network, knobs and state,
`composed.py` the step. Each paper is a preset in `naslab.searchers`; `GradientSearch` takes the parts themselves.
"""

from __future__ import annotations

from naslab.searchers.gradient.composed import Composed
from naslab.searchers.gradient.cures import (
    Cure,
    EigenvalueStop,
    Entropy,
    Perturbation,
    Resource,
    SizeTracking,
    SkipDropout,
)
from naslab.searchers.gradient.level import Bilevel, Level, Mixed, Single
from naslab.searchers.gradient.mixing import JointSoftmax, Mixing, Sigmoid, Softmax
from naslab.searchers.gradient.parts import PartialChannels, Parts
from naslab.searchers.gradient.sampling import (
    BinaryGates,
    Concrete,
    Dirichlet,
    Everything,
    Reinforce,
    Sampling,
    StraightThrough,
)
from naslab.searchers.gradient.training import Training
from naslab.searchers.gradient.watching import Sized, pareto

__all__ = [
    "Bilevel",
    "BinaryGates",
    "Composed",
    "Concrete",
    "Cure",
    "Dirichlet",
    "EigenvalueStop",
    "Entropy",
    "Everything",
    "JointSoftmax",
    "Level",
    "Mixed",
    "Mixing",
    "PartialChannels",
    "Parts",
    "Perturbation",
    "Reinforce",
    "Resource",
    "Sampling",
    "Sigmoid",
    "Single",
    "SizeTracking",
    "Sized",
    "SkipDropout",
    "Softmax",
    "StraightThrough",
    "Training",
    "pareto",
]
