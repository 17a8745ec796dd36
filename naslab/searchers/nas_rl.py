"""NAS with reinforcement learning (Zoph & Le 2017, https://arxiv.org/abs/1611.01578).

    an LSTM, the controller, writes an architecture decision by decision
    repeat: m children a^1 ... a^m from the controller; each is trained, which gives its reward R_k
            theta <- Adam, up  1/m  sum over k of  (R_k - b)  grad log P(a^k; theta)        (REINFORCE, section 3.2)
            b <- an exponential moving average of the rewards

A plain version of this loop: `naslab.reference.reinforce`, with the controller in `naslab.reference.controller`.

Skip connections, where the space has any, are decided by anchors (section 3.3); see `policies`. Networks grow deeper as
the search goes (section 4.1: 6 layers, 2 more every 1,600 samples) in spaces that ask layer by layer whether to stop:
in a choice of layer n, `chain/<n>/...`, that offers "stop". Elsewhere an architecture has the length that the space
gives it, from the start.

Dong & Yang's REINFORCE (2020, https://arxiv.org/abs/2001.00326, the row of that name in NAS-Bench-201) is the same with
a softmax for each edge in the place of the LSTM, and a step after every child: `NasRL(space, **DONG_AND_YANG)`.

Differences from the paper:
- The first m children only make the baseline.
- Networks may stop before they are as deep as they may be by then.
- The reward is the fitness, unless `reward="cubed"` asks for the paper's.
- One process: what the paper spreads over parameter servers are trials that are open at the same time.
- What the LSTM starts from is learnt, and so are embeddings of the decisions, of the size of its states.
Differences from Dong & Yang's code: their baseline counts the reward that it is subtracted from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from naslab.architecture import Choice, Prefix
from naslab.searchers.controller import Told
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
    """Layers at most, at first."""
    deeper: int = 2
    """Layers more, each time."""
    deeper_every: int = 1600
    """Children between one growth and the next."""


_LAYER = re.compile(r"\b(\d+)/")


class NasRL(PolicyGradient):
    """REINFORCE with a controller, on any space."""

    name = "nas_rl"
    Hyperparameters = NasRLHyperparameters

    @property
    def deepest(self) -> int:
        """How many layers a network may have by now."""
        given = self.hyperparameters
        return given.first_depth + given.deeper * (self.rewarded // given.deeper_every)

    def next_choice(self, prefix: Prefix) -> Choice | None:
        choice = self.whole.next_choice(prefix)
        if choice is None or STOP not in choice.options:
            return choice
        layer = _LAYER.search(choice.name)
        return Choice(choice.name, (STOP,)) if layer and int(layer[1]) > self.deepest else choice

    def improve(self, batch: list[Told], advantages: Tensor) -> float:
        children = self.controller.evaluate([told.choices for told in batch])
        objective = (advantages * children.log_probability).mean() + self.entropy_weight * children.entropy.mean()
        self.controller.ascend(objective)
        return -float(objective.detach())
