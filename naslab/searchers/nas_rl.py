"""NAS with reinforcement learning (Zoph & Le 2017, https://arxiv.org/abs/1611.01578).

    an LSTM, the controller, samples an architecture decision by decision
    repeat: m children a^1 ... a^m from the controller; each is trained, which gives its reward R_k
            theta <- Adam, up  1/m  sum over k of  (R_k - b)  grad log P(a^k; theta)        (REINFORCE, section 3.2)
            b <- an exponential moving average of the rewards

A plain version of this loop: `naslab.reference.reinforce`, with the controller in `naslab.reference.controller`.

Skip connections, where the space has any, are decided by anchors (section 3.3); see `policies`. The maximum depth grows
during the search (section 4.1: 6 layers, 2 more every 1,600 samples) in spaces whose architectures end by a choice: one
of layer n, named `chain/<n>/...`, with the option "stop". Elsewhere the space alone determines the depth.

Dong & Yang's REINFORCE (2020, https://arxiv.org/abs/2001.00326, the row of that name in NAS-Bench-201) is the same with
a softmax for each edge instead of the LSTM, and an update after every child: `NasRL(space, **DONG_AND_YANG)`.

Differences from the paper:
- The first m children only set the baseline.
- Networks may stop before the present maximum depth.
- The reward is the fitness, unless `reward="cubed"` asks for the paper's.
- One process holds the controller: trials that are open at the same time stand for the paper's parameter servers.
- The first input of the LSTM is learnt, and so are the embeddings of the decisions, which have the size of its states.
Difference from Dong & Yang's code: their baseline includes the reward that it is subtracted from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from naslab.architecture import Choice, Prefix
from naslab.searchers.controller import Rewarded
from naslab.searchers.policy_gradient import PolicyGradient, PolicyGradientHyperparameters
from naslab.spaces.metaqnn import STOP

DONG_AND_YANG: Mapping[str, Any] = MappingProxyType(
    {"policy": "independent", "reach": 1e-3, "children": 1, "learning_rate": 0.01, "baseline_momentum": 0.9}
)
"""Hyperparameters of the REINFORCE of NAS-Bench-201."""


@dataclass(frozen=True, kw_only=True)
class NasRLHyperparameters(PolicyGradientHyperparameters):
    """Defaults are the paper's for CIFAR-10 (section 4.1); the momentum of the baseline is that of NASNet."""

    first_depth: int = 6
    """Maximum number of layers at the start."""
    deeper: int = 2
    """Number of layers by which the maximum grows each time."""
    deeper_every: int = 1600
    """Number of children after which the maximum grows."""


_LAYER = re.compile(r"\b(\d+)/")


class NasRL(PolicyGradient):
    """REINFORCE with a controller, on any space."""

    name = "nas_rl"
    Hyperparameters = NasRLHyperparameters

    @property
    def deepest(self) -> int:
        """Present maximum number of layers."""
        given = self.hyperparameters
        return given.first_depth + given.deeper * (self.rewarded // given.deeper_every)

    def next_choice(self, prefix: Prefix) -> Choice | None:
        choice = self.whole.next_choice(prefix)
        if choice is None or STOP not in choice.options:
            return choice
        layer = _LAYER.search(choice.name)
        return Choice(choice.name, (STOP,)) if layer and int(layer[1]) > self.deepest else choice

    def improve(self, batch: list[Rewarded], advantages: Tensor) -> float:
        children = self.controller.evaluate([child.choices for child in batch])
        objective = (advantages * children.log_probability).mean() + self.entropy_weight * children.entropy.mean()
        self.controller.ascend(objective)
        return -float(objective.detach())
