"""Base class of the searchers that train a controller by a policy gradient.

    repeat: m children from the policy; their rewards R; the baseline b, an average of the earlier rewards
            one update with the advantages R - b, which the subclass defines (REINFORCE, PPO)
            b <- updated by these R

The first m children only set the baseline: without one, each of them would be reinforced. A plain version of this loop,
with the update of REINFORCE: `naslab.reference.reinforce`.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from naslab.architecture import Architecture, Choice, Prefix
from naslab.errors import SpecError, unknown, whole
from naslab.fields import settle
from naslab.searchers.controller import POLICIES, Controller, Rewarded, make_policy
from naslab.searchers.overrides import CONTROLLER, freezing
from naslab.searchers.rewards import REWARDS, Baseline, Rewards, between
from naslab.searchers.sampler import Sampler, Suggestion, Trial
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.signatures import attribute_docstrings
from naslab.snapshot import State
from naslab.torch_state import InDefaultTorchState


@dataclass(frozen=True, kw_only=True)
class PolicyGradientHyperparameters:
    """Hyperparameters of every controller; defaults are those of Zoph & Le 2017 (section 4.1)."""

    policy: str = "lstm"
    """"lstm", which reads the decisions so far, or "independent", one softmax for each choice."""
    units: int = 35
    """Number of hidden units of each layer of the LSTM."""
    layers: int = 2
    """Number of layers of the LSTM."""
    reach: float = 0.08
    """Bound of the uniform initialization: weights start between minus and plus this."""
    children: int = 8
    """Number of rewards for a step of the controller (m)."""
    learning_rate: float = 6e-4
    """Learning rate of the controller (Adam)."""
    entropy_weight: float = 0.0
    """Bonus in the objective for each nat of the policy's entropy; more keeps it exploring."""
    baseline_momentum: float = 0.95
    """Momentum of the baseline, an exponential moving average of the rewards."""
    reward: str = "fitness"
    """"fitness" as it is, or "cubed": the cube of the best accuracy of the last five epochs (of another objective its
    value, negative where less is better), where the estimator finds it, else of the fitness."""

    def __post_init__(self) -> None:
        settle(self)
        for name, known in {"policy": POLICIES, "reward": REWARDS}.items():
            if getattr(self, name) not in known:
                raise SpecError(unknown(name, getattr(self, name), known))
        for field in dataclasses.fields(self):
            if isinstance(field.default, int):
                object.__setattr__(self, field.name, whole(field.name, getattr(self, field.name), 1))
        checked = {
            "reach": between("reach", self.reach, 0, 10, low_too=False),
            "learning_rate": between("learning_rate", self.learning_rate, 1e-6, 1),
            "entropy_weight": between("entropy_weight", self.entropy_weight, 0, 1),
            "baseline_momentum": between("baseline_momentum", self.baseline_momentum, 0, math.nextafter(1, 0)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


SLIDERS = {"learning_rate": (1e-6, 1.0, True), "entropy_weight": (0.0, 1.0, False)}
"""Name of a setting -> lowest and highest value, and whether its slider is logarithmic."""


class PolicyGradient(InDefaultTorchState, Sampler):
    """A sampler with a controller. A subclass writes the update, `improve`."""

    Hyperparameters: ClassVar[type] = PolicyGradientHyperparameters
    in_default_torch_state = (
        "begin",
        "propose",
        "check_added",
        "added",
        "learn",
        "diagnostics",
        "probabilities",
        "state_dict",
        "load_state_dict",
    )

    @abstractmethod
    def improve(self, batch: list[Rewarded], advantages: Tensor) -> float:
        """Updates the controller from m children and their advantages [m]; returns the loss before the update."""

    def next_choice(self, prefix: Prefix) -> Choice | None:
        """Returns the choice that follows `prefix` for the controller; of the whole space, whatever is masked."""
        return self.whole.next_choice(prefix)

    def remasked(self) -> None:
        self.controller.forbid(self.forbidden)

    def begin(self) -> None:
        given = self.hyperparameters
        sizes = {"units": given.units, "layers": given.layers, "reach": given.reach}
        policy = make_policy(given.policy, seed=self.seed, **sizes)
        self.controller = Controller(
            policy, self.next_choice, children=given.children, learning_rate=given.learning_rate
        )
        self.baseline = Baseline(given.baseline_momentum)
        self.entropy_weight: float = given.entropy_weight
        self.rewarded = 0
        """Number of children in the batches so far."""
        self._loss: float | None = None
        self._frozen = False
        """Whether the controller is frozen; the baseline is still updated."""
        self.rewards = Rewards(given.reward)

    def propose(self) -> Suggestion:
        choices = self.controller.child(self.asked + 1, self.rng)
        return Suggestion(Architecture(self.space.name, choices), "policy")

    def check_added(self, architecture: Architecture) -> None:
        try:
            with torch.no_grad():
                self.controller.evaluate([architecture.choices])
        except ValueError:
            raise SpecError("the controller does not build networks as deep as this one yet") from None

    def added(self, architecture: Architecture) -> Suggestion:
        """Returns the suggestion; the controller will learn from it as if it had sampled it."""
        with torch.no_grad():
            log_probability = float(self.controller.evaluate([architecture.choices]).log_probability[0])
        self.controller.expect(self.asked + 1, log_probability)
        return Suggestion(architecture, "added")

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        reward = self.rewards.update(fitness, metrics, self.objective)
        batch = self.controller.tell(trial.number, trial.architecture.choices, reward)
        if batch is None:
            return
        if self.baseline.value is not None and not self._frozen:
            rewards = [child.reward - self.baseline.value for child in batch]
            advantages = torch.tensor(rewards, dtype=torch.float32)  # [m]
            loss = self.improve(batch, advantages)
            self._loss = loss if math.isfinite(loss) else None
        for child in batch:
            self.baseline.update(child.reward)
        self.rewarded += len(batch)

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = attribute_docstrings(PolicyGradientHyperparameters)
        values = {"learning_rate": self.controller.learning_rate, "entropy_weight": self.entropy_weight}
        sliders = {
            name: Slider(value=values[name], low=low, high=high, log=log, description=about[name])
            for name, (low, high, log) in SLIDERS.items()
        }
        frozen = replace(freezing("weights of the controller"), value=self._frozen, silent=False)
        return {**sliders, CONTROLLER: frozen, **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        if name == CONTROLLER:
            self._frozen = value
        elif name in SLIDERS:
            setattr(self.controller if name == "learning_rate" else self, name, value)
        else:
            super().apply_setting(name, value)

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """`reward` of the last child, `baseline`, `loss` of the last update, and the controller's diagnostics."""
        known = {"reward": self.rewards.last, "baseline": self.baseline.value, "loss": self._loss}
        skipped = {"skipped": float(self.rewards.skipped + self.controller.skipped)}
        found = {name: value for name, value in known.items() if value is not None}
        return {**found, **self.controller.diagnostics, **skipped}

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """Name of a choice -> [O] distribution, along the path that always takes the most probable option."""
        return self.controller.greedy

    def algorithm_state(self) -> Any:
        numbers = [self.baseline.total, self.baseline.weight, self.entropy_weight, self.rewarded]
        frozen = [True] if self._frozen else []  # left out as in runs from before there was the switch
        return [numbers, self._loss, self.rewards.state_dict(), self.controller.state_dict(), *frozen]

    def load_algorithm_state(self, state: Any) -> None:
        numbers, self._loss, rewards, controller, *frozen = state
        self._frozen = bool(frozen)
        self.baseline.total, self.baseline.weight, self.entropy_weight, self.rewarded = numbers
        self.rewards.load_state_dict(rewards)
        self.controller.load_state_dict(controller)

    def state_dict(self) -> State:
        return {**super().state_dict(), **self.controller.tensors()}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.controller.load_tensors(state)
