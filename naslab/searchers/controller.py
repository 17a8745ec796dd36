"""A controller: a policy that samples children and is updated from their rewards, by any policy gradient.

    repeat: sample m children from the policy; when m rewards are known, update its weights by Adam

Children are sampled m at a time and returned one by one; any number of them may be open, and their rewards may come in
any order. A late reward belongs to a child that older weights sampled, as with the parameter servers of Zoph & Le 2017
(section 3.2).

A step whose objective or gradient is not finite is left out, and counted as `skipped`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from naslab.architecture import Choice, Prefix
from naslab.searchers.policies import Forbidden, Independent, NextChoice, Policy, Recurrent, Unrolled, Weights, unroll
from naslab.snapshot import State

POLICIES = ("lstm", "independent")
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""Names of Adam's state of each weight."""
COLLAPSED = 0.1
"""Entropy in nats below which the policy counts as collapsed. As H >= -log max P, the most probable architecture then
has a probability of at least e^-0.1 = 0.90."""


def make_policy(kind: str, *, seed: int, units: int, layers: int, reach: float) -> Policy:
    """Returns one of `POLICIES`; see its class for the sizes."""
    weights = Weights(reach, seed)
    if kind == "independent":
        return Independent(weights)
    return Recurrent(weights, units=units, layers=layers)


class Rewarded(NamedTuple):
    """A child with its reward."""

    choices: Prefix
    log_probability: float
    """Log-probability under the weights that sampled it."""
    reward: float


class Controller:
    """A policy, its optimizer, and the children whose rewards are not known yet."""

    def __init__(self, policy: Policy, next_choice: NextChoice, *, children: int, learning_rate: float) -> None:
        """
        Args:
            policy: distribution over architectures.
            next_choice: `next_choice` of the space, or a function with fewer options.
            children: m, number of rewards for a step.
            learning_rate: learning rate of Adam.
        """
        self.policy, self.next_choice = policy, next_choice
        self.learning_rate, self.children = learning_rate, children
        self.entropy, self.updates, self.skipped = 0.0, 0, 0
        self.forbidden: Forbidden | None = None
        """Options that are not sampled."""
        self._adam: torch.optim.Adam | None = None
        self._waiting: list[tuple[Prefix, float]] = []
        """Sampled children that were not returned yet, the next one last, with their log-probabilities."""
        self._open: dict[int, float] = {}
        """Number of an open trial -> log-probability when it was sampled."""
        self._rewarded: list[Rewarded] = []
        """Children with rewards, which await the next step."""
        self._greedy: dict[str, np.ndarray] | None = None

    # --- children ----------------------------------------------------------------------------------

    def child(self, number: int, rng: np.random.Generator) -> Prefix:
        """Returns the choices of the next child, which becomes trial `number`."""
        if not self._waiting:
            drawn = self.draw(self.children, rng)
            self.entropy = float(drawn.entropy.mean())
            self._waiting = list(zip(drawn.answers, drawn.log_probability.tolist(), strict=True))[::-1]  # for `pop`
        choices, self._open[number] = self._waiting.pop()
        return choices

    def forbid(self, forbidden: Forbidden | None) -> None:
        """From now on, does not sample these options; children that were not returned yet are sampled anew."""
        self.forbidden, self._waiting, self._greedy = forbidden, [], None

    def expect(self, number: int, log_probability: float) -> None:
        """Registers a child that was sampled elsewhere as trial `number`."""
        self._open[number] = log_probability

    def tell(self, number: int, choices: Prefix, reward: float | None) -> list[Rewarded] | None:
        """Records the reward of a trial; returns the m children of the next step once there are m, else None.

        Args:
            number: number of the trial.
            choices: its architecture.
            reward: None for a child that nothing is learnt from.
        """
        log_probability = self._open.pop(number)
        if reward is not None:
            self._rewarded.append(Rewarded(choices, log_probability, reward))
        if len(self._rewarded) < self.children:
            return None
        batch, self._rewarded, self._greedy = self._rewarded, [], None
        return batch

    # --- the policy --------------------------------------------------------------------------------

    def draw(self, count: int, rng: np.random.Generator) -> Unrolled:
        """Samples architectures from the policy, by inverting its cumulative distributions."""

        def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
            reached = np.cumsum(log.exp().double().numpy(), axis=1)  # [R, O]; float32 sums may miss 1
            below = reached <= rng.random((len(rows), 1)) * reached[:, -1:]
            return np.minimum(below.sum(axis=1), len(choice.options) - 1).tolist()

        with torch.no_grad():
            return unroll(self.policy, self.next_choice, count, decide, self.forbidden)

    def evaluate(self, architectures: Sequence[Prefix]) -> Unrolled:
        """Returns log-probability [B] and entropy [B] of architectures under the present weights, with gradients."""

        def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
            return [choice.options.index(architectures[row][position]) for row in rows]

        return unroll(self.policy, self.next_choice, len(architectures), decide, self.forbidden)

    @property
    def greedy(self) -> Mapping[str, np.ndarray]:
        """Name of a choice -> [O]: its distribution along the path that always takes the likeliest option."""
        if self._greedy is None:
            found: dict[str, np.ndarray] = {}

            def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
                found[choice.name] = log[0].exp().numpy()
                return log.argmax(dim=1).tolist()

            with torch.no_grad():
                unroll(self.policy, self.next_choice, 1, decide, self.forbidden)
            self._greedy = found
        return self._greedy

    def ascend(self, objective: Tensor) -> bool:
        """Does one step of Adam up the objective. Returns False, and does nothing, if a value is not finite."""
        names, weights = zip(*self.policy.weights.met.items(), strict=True)
        gradients = torch.autograd.grad(objective, weights, allow_unused=True)
        used = {name: slope for name, slope in zip(names, gradients, strict=True) if slope is not None}
        if not math.isfinite(float(objective.detach()) + float(get_total_norm(used.values()))):
            self.skipped += 1
            return False
        for name, weight in self.policy.weights.met.items():
            weight.grad = None if name not in used else -used[name]  # Adam minimizes
        self._optimiser(used).step()
        self.updates += 1
        self._greedy = None
        return True

    def _optimiser(self, learnt: Mapping[str, Any]) -> torch.optim.Adam:
        """Returns Adam, to whose parameters the named weights were added: the vocabulary grows during the search."""
        met = self.policy.weights.met
        if self._adam is None:
            self._adam = torch.optim.Adam([met[name] for name in learnt], lr=self.learning_rate, foreach=True)
        group = self._adam.param_groups[0]
        group["lr"] = self.learning_rate
        known = {id(weight) for weight in group["params"]}
        group["params"] += [met[name] for name in learnt if id(met[name]) not in known]
        return self._adam

    # --- state ---------------------------------------------------------------------------------------

    @property
    def diagnostics(self) -> dict[str, float]:
        """Diagnostics of every controller: `entropy` in nats, `collapsed` (1 or 0), `updates`."""
        return {
            "entropy": self.entropy,
            "collapsed": float(self.updates > 0 and self.entropy < COLLAPSED),
            "updates": float(self.updates),
        }

    def state_dict(self) -> Any:
        """Returns the state without tensors, as JSON; see `tensors`."""
        numbers = [self.learning_rate, self.entropy, self.updates, self.skipped, self.policy.weights.seed]
        return [numbers, self._waiting, list(self._open.items()), self._rewarded]

    def load_state_dict(self, state: Any) -> None:
        """Restores what `state_dict` returned."""
        numbers, waiting, opened, rewarded = state
        self.learning_rate, self.entropy, self.updates, self.skipped, self.policy.weights.seed = numbers
        self._waiting = [(tuple(choices), log_probability) for choices, log_probability in waiting]
        self._open = dict(opened)
        self._rewarded = [Rewarded(tuple(choices), *rest) for choices, *rest in rewarded]

    def tensors(self) -> dict[str, Tensor]:
        """Returns copies of the learnt weights, with Adam's moments and steps. Other weights follow from the seed."""
        state: dict[str, Tensor] = {}
        for name, weight in self.policy.weights.met.items():
            if self._adam is not None and weight in self._adam.state:
                moments = self._adam.state[weight]
                kept = {"weight": weight, **{key: moments[key] for key in MOMENTS}}
                state |= {f"{key}/{name}": tensor.detach().clone() for key, tensor in kept.items()}
        return state

    def load_tensors(self, state: State) -> None:
        """Restores what `tensors` returned; every other weight gets its initial value."""
        self._adam, self._greedy = None, None
        met = self.policy.weights.met
        met.clear()
        for key, tensor in state.items():
            if key.startswith("weight/") and isinstance(tensor, Tensor):
                met[key.removeprefix("weight/")] = tensor.clone().requires_grad_()
        if met:
            adam = self._optimiser(met)
            for name, weight in met.items():
                adam.state[weight] = {key: torch.as_tensor(state[f"{key}/{name}"]).clone() for key in MOMENTS}
