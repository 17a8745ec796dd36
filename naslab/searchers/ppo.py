"""A controller trained by PPO, as in NASNet (Zoph, Vasudevan, Shlens & Le 2018, https://arxiv.org/abs/1707.07012,
appendix A.1; Schulman et al. 2017, https://arxiv.org/abs/1707.06347, Eq. 7).

    repeat: 20 children from the controller; their rewards R; advantages A = R - b
            several times: ratio <- P(a; theta) / P(a; theta when it was drawn)
                        theta <- Adam, up  mean of min(ratio A, clip(ratio, 0.8, 1.2) A) + 1e-5 entropy
            b <- an exponential moving average of the rewards

P is the probability of the whole architecture, the product over its decisions.

Differences from the paper:
- The number of passes over a batch is not given there; here it is `passes`.
- The first batch only sets the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from naslab.searchers.controller import Rewarded
from naslab.searchers.policy_gradient import PolicyGradient, PolicyGradientHyperparameters
from naslab.searchers.rewards import between


@dataclass(frozen=True, kw_only=True)
class PPOHyperparameters(PolicyGradientHyperparameters):
    """Defaults are the paper's (appendix A.1)."""

    units: int = 100
    """Number of hidden units of the LSTM."""
    layers: int = 1
    """Number of layers of the LSTM."""
    reach: float = 0.1
    """Bound of the uniform initialization: weights start between minus and plus this."""
    children: int = 20
    """Number of rewards for a step of the controller."""
    learning_rate: float = 3.5e-4
    """Learning rate of the controller (Adam)."""
    entropy_weight: float = 1e-5
    """Bonus in the objective for each nat of the policy's entropy; more keeps it exploring."""
    clip: float = 0.2
    """Clipping range: the ratio of new to old probability counts between 1 - clip and 1 + clip."""
    passes: int = 10
    """Number of passes over a batch; the paper gives none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "clip", between("clip", self.clip, 0, 1, low_too=False))


def clipped(log_probability: Tensor, before: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Returns the surrogate objective of PPO (Schulman et al., Eq. 7), to be maximized; all arguments [B].

    mean of min(ratio A, clip(ratio, 1 - clip, 1 + clip) A), where ratio = exp(log_probability - before)
    """
    ratio = (log_probability - before).exp()
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


class PPO(PolicyGradient):
    """Clipped PPO with a controller, on any space."""

    name = "ppo"
    Hyperparameters = PPOHyperparameters

    def improve(self, batch: list[Rewarded], advantages: Tensor) -> float:
        before = torch.tensor([child.log_probability for child in batch])  # [B]
        losses = []
        for _ in range(self.hyperparameters.passes):
            children = self.controller.evaluate([child.choices for child in batch])
            objective = clipped(children.log_probability, before, advantages, self.hyperparameters.clip)
            objective = objective + self.entropy_weight * children.entropy.mean()
            losses.append(-float(objective.detach()))
            if not self.controller.ascend(objective):  # not finite, and it would not be in the next pass
                break
        return losses[0]
