"""SPOS: single path one-shot with uniform sampling (Guo et al. 2020, https://arxiv.org/abs/1904.00420).

    for each training mini-batch:  a path, each choice drawn uniformly;  its weights <- SGD on the mini-batch
    then evolution (`one_shot/evolution.py`): the fitness of a child is its accuracy on validation images, with the
    shared weights and its own statistics of batch normalisation, recalibrated on training images

The two phases are independent: the weights are trained before any limits on children are known, and any number of
evolutions within different limits could follow.

Differences from the authors' code (https://github.com/megvii-model/SinglePathOneShot):
- Paths are uniform over the space; the code first draws a range of multiply-adds, ten million wide between 290 and 360
  million, then a path within it.
- Weight decay moves scales and shifts, too.
- Batch normalisation of the shared weights has a scale and a shift, so that a child inherits all that it has.
- The last generation is evaluated as well; the number of tries to find a new random child is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from naslab.searchers.one_shot import SMALL, OneShot, OneShotHyperparameters, Uniform

LAPTOP: Mapping[str, Any] = MappingProxyType({**SMALL, "epochs": 4, "w_lr": 0.1})
"""For a few thousand images and a minute: `SPOS(space, task, **LAPTOP)`."""


@dataclass(frozen=True, kw_only=True)
class SPOSHyperparameters(OneShotHyperparameters):
    """Defaults are those of the authors' search on ImageNet."""


class SPOS(OneShot):
    """Uniform paths, then evolution."""

    name = "spos"
    Hyperparameters = SPOSHyperparameters

    def sampled(self) -> Uniform:
        return Uniform(self.space, self.seed)
