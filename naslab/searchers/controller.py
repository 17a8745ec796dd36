"""A controller: a policy that proposes children and learns from what they are worth, whatever the gradient.

    repeat: draw m children from the policy; when m have been told, move its weights by Adam

Children are drawn m at a time and handed out one by one; any number of them may be open, and be told in any order. One
that is told late was drawn by older weights, as with the parameter servers of Zoph & Le 2017 (section 3.2).

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
"""What Adam keeps of each weight."""
COLLAPSED = 0.1
"""Nats: with less entropy, the likeliest architecture is drawn nine times of ten and more, for H >= -log max P."""


def make_policy(kind: str, *, seed: int, units: int, layers: int, reach: float) -> Policy:
    """One of `POLICIES`."""
    weights = Weights(reach, seed)
    if kind == "independent":
        return Independent(weights)
    return Recurrent(weights, units=units, layers=layers)


class Told(NamedTuple):
    """A child, once its reward is known."""

    choices: Prefix
    log_probability: float
    """When it was drawn."""
    reward: float


class Controller:
    """A policy, its optimizer, and the children on their way."""

    def __init__(self, policy: Policy, next_choice: NextChoice, *, children: int, learning_rate: float) -> None:
        """
        Args:
            policy: what draws.
            next_choice: of the space, or with fewer options.
            children: m, how many make a step.
            learning_rate: of Adam.
        """
        self.policy, self.next_choice = policy, next_choice
        self.learning_rate, self.children = learning_rate, children
        self.entropy, self.updates, self.skipped = 0.0, 0, 0
        self.forbidden: Forbidden | None = None
        """What is not to be drawn."""
        self._adam: torch.optim.Adam | None = None
        self._waiting: list[tuple[Prefix, float]] = []
        """Drawn and not handed out, the next one last, with its log-probability."""
        self._open: dict[int, float] = {}
        """Number of a trial -> log-probability when it was drawn."""
        self._told: list[Told] = []
        self._greedy: dict[str, np.ndarray] | None = None

    # --- children ----------------------------------------------------------------------------------

    def child(self, number: int, rng: np.random.Generator) -> Prefix:
        """The next one, which will be the trial of that number."""
        if not self._waiting:
            drawn = self.draw(self.children, rng)
            self.entropy = float(drawn.entropy.mean())
            self._waiting = list(zip(drawn.answers, drawn.log_probability.tolist(), strict=True))[::-1]
        choices, self._open[number] = self._waiting.pop()
        return choices

    def forbid(self, forbidden: Forbidden | None) -> None:
        """From now on draw nothing of this; what was drawn ahead is drawn again."""
        self.forbidden, self._waiting, self._greedy = forbidden, [], None

    def expect(self, number: int, log_probability: float) -> None:
        """A child that was drawn elsewhere will be the trial of that number."""
        self._open[number] = log_probability

    def tell(self, number: int, choices: Prefix, reward: float | None) -> list[Told] | None:
        """Take in a reward, None for a child that is not learnt from; every m-th time the m that make a step."""
        log_probability = self._open.pop(number)
        if reward is not None:
            self._told.append(Told(choices, log_probability, reward))
        if len(self._told) < self.children:
            return None
        batch, self._told, self._greedy = self._told, [], None
        return batch

    # --- the policy --------------------------------------------------------------------------------

    def draw(self, count: int, rng: np.random.Generator) -> Unrolled:
        """Architectures drawn from the policy, by inverting its cumulative distributions."""

        def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
            reached = np.cumsum(log.exp().double().numpy(), axis=1)
            below = reached <= rng.random((len(rows), 1)) * reached[:, -1:]
            return np.minimum(below.sum(axis=1), len(choice.options) - 1).tolist()

        with torch.no_grad():
            return unroll(self.policy, self.next_choice, count, decide, self.forbidden)

    def evaluate(self, architectures: Sequence[Prefix]) -> Unrolled:
        """Log-probability [B] and entropy [B] of given architectures, with gradients."""

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
        """One step of Adam up the objective; nothing, and False, where something is not finite."""
        names, weights = zip(*self.policy.weights.met.items(), strict=True)
        gradients = torch.autograd.grad(objective, weights, allow_unused=True)
        used = {name: slope for name, slope in zip(names, gradients, strict=True) if slope is not None}
        if not math.isfinite(float(objective.detach()) + float(get_total_norm(used.values()))):
            self.skipped += 1
            return False
        for name, weight in self.policy.weights.met.items():
            weight.grad = None if name not in used else -used[name]
        self._optimiser(used).step()
        self.updates += 1
        self._greedy = None
        return True

    def _optimiser(self, learnt: Mapping[str, Any]) -> torch.optim.Adam:
        """Adam, which has the named weights among its own."""
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
        """The figures that every controller has."""
        return {
            "entropy": self.entropy,
            "collapsed": float(self.updates > 0 and self.entropy < COLLAPSED),
            "updates": float(self.updates),
        }

    def state_dict(self) -> Any:
        """All but the tensors, as JSON."""
        figures = [self.learning_rate, self.entropy, self.updates, self.skipped, self.policy.weights.seed]
        return [figures, self._waiting, list(self._open.items()), self._told]

    def load_state_dict(self, state: Any) -> None:
        figures, waiting, opened, told = state
        self.learning_rate, self.entropy, self.updates, self.skipped, self.policy.weights.seed = figures
        self._waiting = [(tuple(choices), log_probability) for choices, log_probability in waiting]
        self._open = dict(opened)
        self._told = [Told(tuple(choices), *rest) for choices, *rest in told]

    def tensors(self) -> dict[str, Tensor]:
        """What has been learnt, and Adam's moments and steps, copied; the other weights follow from the seed."""
        state: dict[str, Tensor] = {}
        for name, weight in self.policy.weights.met.items():
            if self._adam is not None and weight in self._adam.state:
                moments = self._adam.state[weight]
                kept = {"weight": weight, **{key: moments[key] for key in MOMENTS}}
                state |= {f"{key}/{name}": tensor.detach().clone() for key, tensor in kept.items()}
        return state

    def load_tensors(self, state: State) -> None:
        """Take back what `tensors` gave; every other weight is as it was first drawn."""
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
