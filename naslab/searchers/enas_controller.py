"""Extensions of policy and REINFORCE in ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268).

- Scores are bounded, so that no decision becomes certain: z becomes c tanh(z / T), which bounds the odds of two options
  by e^(2c) (the tanh constant and the temperature of Bello et al. 2017, https://arxiv.org/abs/1611.09940).
- Decisions between operations may have a smaller bound, c / r, as in the authors' cell search: while the inputs of the
  nodes are learnt, all operations continue to be trained.
- A skip connection has the scores -q and q, as in the authors' code, instead of 0 and q.
- Skip connections are regularized towards a prior rho by KL(p || rho), summed over the states that may skip to a layer
  and averaged over the layers, so that children are neither chains nor densely connected (Sec. 3.2). p is the
  distribution that skip connections are sampled from, sigmoid(2 q), or that of sigmoid(q), as in the authors' code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from naslab.architecture import Choice, Prefix
from naslab.searchers.policies import Forbidden, NextChoice, Policy, Walk, skip_ends, unroll

_OPERATION = re.compile(r"(.*/)?op(_\d+)?")


@lru_cache(maxsize=4096)
def is_operation(choice: Choice) -> bool:
    """Whether a choice is between operations: its name ends in `op`, or in `op_0`, `op_1`, ..."""
    return _OPERATION.fullmatch(choice.name) is not None


class Flattened:
    """A policy whose scores are bounded.

    Args:
        policy: gives the unbounded scores.
        temperature: T; higher makes decisions more uniform.
        tanh_constant: c; 0 leaves the scores unbounded.
        op_tanh_reduce: r; between operations the scores are bounded by c / r.
    """

    def __init__(
        self, policy: Policy, *, temperature: float, tanh_constant: float, op_tanh_reduce: float = 1.0
    ) -> None:
        self.policy, self.temperature, self.tanh_constant = policy, temperature, tanh_constant
        self.op_tanh_reduce, self.weights = op_tanh_reduce, policy.weights

    def begin(self, count: int) -> FlattenedWalk:
        return FlattenedWalk(self, self.policy.begin(count))

    def flat(self, choice: Choice, scores: Tensor) -> Tensor:
        """Returns bounded scores [R, O] from scores [R, O]."""
        if skip_ends(choice) is not None:
            query = scores[:, 1] - scores[:, 0]
            scores = torch.stack([-query, query], dim=1)
        scores = scores / self.temperature
        bound = self.tanh_constant / (self.op_tanh_reduce if is_operation(choice) else 1.0)
        return bound * torch.tanh(scores) if bound else scores


class FlattenedWalk:
    """State of a flattened policy in its sequences."""

    def __init__(self, policy: Flattened, walk: Walk) -> None:
        self._policy, self._walk = policy, walk

    def scores(self, asked: Mapping[Choice, list[int]]) -> dict[Choice, Tensor]:
        return {choice: self._policy.flat(choice, scores) for choice, scores in self._walk.scores(asked).items()}

    def feed(self, choice: Choice, rows: list[int], taken: list[int]) -> None:
        self._walk.feed(choice, rows, taken)


class Judged(NamedTuple):
    """B children under the present policy, with gradients."""

    log_probability: Tensor
    """[B] log-probabilities."""
    entropy: Tensor
    """[B] entropies in nats, summed over the decisions."""
    skip_divergence: Tensor
    """[B] KL(p || prior) in nats, summed over the states that may skip to a layer, averaged over the layers."""


def judge(
    policy: Policy,
    next_choice: NextChoice,
    children: Sequence[Prefix],
    prior: float,
    penalty: str = "drawn",
    forbidden: Forbidden | None = None,
) -> Judged:
    """Returns log-probability, entropy and skip divergence of given children.

    Args:
        prior: rho, probability of a skip connection without a penalty.
        penalty: "drawn", the KL is that of the distribution that skip connections are drawn from, sigmoid(2 q) of the
            scores -q and q; "score", it is that of sigmoid(q), as in the authors' code.
        forbidden: what the policy does not draw.
    """
    divergence = torch.zeros(len(children))
    layers: list[set[str]] = [set() for _ in children]
    log_prior = torch.tensor([math.log1p(-prior), math.log(prior)])

    def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
        nonlocal divergence
        if (ends := skip_ends(choice)) is not None:
            judged = log if penalty == "drawn" else (log / 2).log_softmax(dim=1)  # half the difference of the scores
            divergence = divergence.index_add(0, torch.tensor(rows), _divergence(judged, log_prior))
            for row in rows:
                layers[row].add(ends[1])
        return [choice.options.index(children[row][position]) for row in rows]

    found = unroll(policy, next_choice, len(children), decide, forbidden)
    counts = torch.tensor([max(1, len(each)) for each in layers])
    return Judged(found.log_probability, found.entropy, divergence / counts)


def _divergence(log: Tensor, log_prior: Tensor) -> Tensor:
    """Returns KL divergences [R] of distributions [R, 2] from the prior. An option with probability 0 adds 0."""
    if not bool((impossible := log.isneginf()).any()):
        return (log.exp() * (log - log_prior)).sum(dim=1)
    log = torch.where(impossible, torch.zeros_like(log), log)
    return (log.exp() * (log - log_prior)).masked_fill(impossible, 0.0).sum(dim=1)


def objective(judged: Judged, advantages: Tensor, *, entropy_weight: float, skip_weight: float) -> Tensor:
    """Returns the objective that the controller maximizes.

    The gradient of its first term is an unbiased estimate of the gradient of the expected reward (REINFORCE).
    """
    reinforced = advantages * judged.log_probability
    return (reinforced + entropy_weight * judged.entropy - skip_weight * judged.skip_divergence).mean()
