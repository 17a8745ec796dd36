"""A controller trained by PPO, as in NASNet (Zoph, Vasudevan, Shlens & Le 2018, https://arxiv.org/abs/1707.07012,
appendix A.1; Schulman et al. 2017, https://arxiv.org/abs/1707.06347, Eq. 7).

    repeat: 20 children from the controller; their rewards R; advantages A = R - b
            some times: ratio <- P(a; theta) / P(a; theta when it was drawn)
                        theta <- Adam, up  mean of min(ratio A, clip(ratio, 0.8, 1.2) A) + 1e-5 entropy
            b <- an exponential moving average of the rewards

The probability is that of the whole architecture, the product over its decisions.

Differences from the paper:
- How often a batch is gone through is not said there; here `passes`.
- The first batch only makes the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from naslab.searchers.controller import Told
from naslab.searchers.policy_gradient import PolicyGradient, PolicyGradientHyperparameters
from naslab.searchers.rewards import between


@dataclass(frozen=True, kw_only=True)
class PPOHyperparameters(PolicyGradientHyperparameters):
    """Defaults are the paper's (appendix A.1)."""

    units: int = 100
    """Hidden units of the LSTM."""
    layers: int = 1
    """Layers of the LSTM."""
    reach: float = 0.1
    """Weights start uniformly between minus and plus this."""
    children: int = 20
    """How many children make a step of the controller."""
    learning_rate: float = 3.5e-4
    """How far each step moves the controller's weights (Adam)."""
    entropy_weight: float = 1e-5
    """What a nat of the policy's entropy is worth; more keeps it exploring."""
    clip: float = 0.2
    """How far from 1 the ratio of the probabilities, new to old, still counts."""
    passes: int = 10
    """How often the controller goes through a batch; a choice of ours."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "clip", between("clip", self.clip, 0, 1, low_too=False))


def clipped(log_probability: Tensor, before: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The surrogate that is to be maximised: mean of min(ratio A, clip(ratio, 1 - clip, 1 + clip) A); all [B]."""
    ratio = (log_probability - before).exp()
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


class PPO(PolicyGradient):
    """Clipped PPO with a controller, on any space."""

    name = "ppo"
    Hyperparameters = PPOHyperparameters

    def improve(self, batch: list[Told], advantages: Tensor) -> float:
        before = torch.tensor([told.log_probability for told in batch])
        losses = []
        for _ in range(self.hyperparameters.passes):
            children = self.controller.evaluate([told.choices for told in batch])
            objective = clipped(children.log_probability, before, advantages, self.hyperparameters.clip)
            objective = objective + self.entropy_weight * children.entropy.mean()
            losses.append(-float(objective.detach()))
            if not self.controller.ascend(objective):
                break
        return losses[0]
