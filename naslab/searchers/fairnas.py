"""FairNAS: strict fairness (Chu et al. 2021, https://arxiv.org/abs/1907.01845, Alg. 1).

    for each training mini-batch:
      m paths that together have every option of every choice exactly once (`one_shot/fair.py`)
      for each of them: the gradient of its loss on the mini-batch, added to the others
      the weights <- SGD with the sum
    then evolution on the shared weights

So no option is trained more than another, nor earlier, as may happen with one path for each update. A step is one path;
the weights are updated after the last of the m. `MobileChain.fair()` has the paper's blocks.

Differences from the paper:
- Choices may have fewer options than m (`Fair`); `search.paths.strict` says whether the fairness is strict.
- The evolution is that of SPOS, for accuracy within limits, not NSGA-II for accuracy, multiply-adds and parameters.
- The authors published no code of the search (https://github.com/xiaomi-automl/FairNAS evaluates what was found).
  Epochs, cosine and weight decay are also those of Sony's implementation (https://github.com/sony/nnabla-nas,
  examples/classification/fairnas); batch size, learning rate and labels, which differ there, are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from naslab.searchers.one_shot import SMALL, Fair, OneShot, OneShotHyperparameters

LAPTOP: Mapping[str, Any] = MappingProxyType({**SMALL, "epochs": 1, "w_lr": 0.05})
"""For a few thousand images and a minute or two: `FairNAS(space, task, **LAPTOP)`."""


@dataclass(frozen=True, kw_only=True)
class FairNASHyperparameters(OneShotHyperparameters):
    """Defaults are for ImageNet; what is not given here is as for SPOS."""

    epochs: int = 150
    """Passes over the training part, with m paths for each mini-batch."""
    batch_size: int = 256
    """Images in a mini-batch of either part (ours)."""
    w_lr: float = 0.045
    """Learning rate of the shared weights at the start (ours)."""
    schedule: str = "cosine"
    """Schedule of the learning rate, update by update: "linear" or "cosine"."""
    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes (ours)."""


class FairNAS(OneShot):
    """Paths under strict fairness, then evolution."""

    name = "fairnas"
    Hyperparameters = FairNASHyperparameters
    paths: Fair

    def sampled(self) -> Fair:
        return Fair(self.space, self.seed)
