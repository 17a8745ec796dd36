"""What the searchers have in common that move a controller along the gradient of the expected reward.

    repeat: m children from the policy; their rewards R; the baseline b, an average of the rewards before
            one step, which only the searcher knows, with the advantages R - b
            b <- with these R too

The first m children only make the baseline: against none, every one of them would look good. A plain version of this
loop, with the step of REINFORCE: `naslab.reference.reinforce`.
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
from naslab.searchers.controller import POLICIES, Controller, Told, make_policy
from naslab.searchers.overrides import CONTROLLER, freezing
from naslab.searchers.rewards import REWARDS, Baseline, Rewards, between
from naslab.searchers.sampler import Sampler, Suggestion, Trial
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.signatures import attribute_docstrings
from naslab.snapshot import State
from naslab.torch_state import InDefaultTorchState


@dataclass(frozen=True, kw_only=True)
class PolicyGradientHyperparameters:
    """What every controller has; defaults are those of Zoph & Le 2017 (section 4.1)."""

    policy: str = "lstm"
    """"lstm", which reads the decisions so far, or "independent", one softmax a choice."""
    units: int = 35
    """Hidden units of each layer of the LSTM."""
    layers: int = 2
    """Layers of the LSTM."""
    reach: float = 0.08
    """Weights start uniformly between minus and plus this."""
    children: int = 8
    """How many children make a step of the controller (m)."""
    learning_rate: float = 6e-4
    """How far each step moves the controller's weights (Adam)."""
    entropy_weight: float = 0.0
    """What a nat of the policy's entropy is worth; more keeps it exploring."""
    baseline_momentum: float = 0.95
    """How slowly the baseline, a moving average of the rewards, forgets."""
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


KNOBS = {"learning_rate": (1e-6, 1.0, True), "entropy_weight": (0.0, 1.0, False)}
"""Name -> lowest, highest, logarithmic."""


class PolicyGradient(InDefaultTorchState, Sampler):
    """A sampler with a controller; a searcher adds the step."""

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
    def improve(self, batch: list[Told], advantages: Tensor) -> float:
        """Move the controller, knowing what m children are worth; [m] advantages. Gives the loss, before the step."""

    def next_choice(self, prefix: Prefix) -> Choice | None:
        """What the controller is asked next."""
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
        """Children in the batches so far."""
        self._loss: float | None = None
        self._frozen = False
        """Whether the controller stands still; the baseline hears on."""
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
        """The controller learns from it as if it had drawn it."""
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
            advantages = torch.tensor([told.reward - self.baseline.value for told in batch], dtype=torch.float32)
            loss = self.improve(batch, advantages)
            self._loss = loss if math.isfinite(loss) else None
        for told in batch:
            self.baseline.update(told.reward)
        self.rewarded += len(batch)

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = attribute_docstrings(PolicyGradientHyperparameters)
        values = {"learning_rate": self.controller.learning_rate, "entropy_weight": self.entropy_weight}
        sliders = {
            name: Slider(value=values[name], low=low, high=high, log=log, description=about[name])
            for name, (low, high, log) in KNOBS.items()
        }
        frozen = replace(freezing("weights of the controller"), value=self._frozen, silent=False)
        return {**sliders, CONTROLLER: frozen, **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        if name == CONTROLLER:
            self._frozen = value
        elif name in KNOBS:
            setattr(self.controller if name == "learning_rate" else self, name, value)
        else:
            super().apply_setting(name, value)

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """`reward` of the last child, `baseline`, `loss` of the last step, and the controller's figures."""
        known = {"reward": self.rewards.last, "baseline": self.baseline.value, "loss": self._loss}
        skipped = {"skipped": float(self.rewards.skipped + self.controller.skipped)}
        found = {name: value for name, value in known.items() if value is not None}
        return {**found, **self.controller.diagnostics, **skipped}

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """Of each decision, along the path that always takes the likeliest option."""
        return self.controller.greedy

    def algorithm_state(self) -> Any:
        figures = [self.baseline.total, self.baseline.weight, self.entropy_weight, self.rewarded]
        frozen = [True] if self._frozen else []
        return [figures, self._loss, self.rewards.state_dict(), self.controller.state_dict(), *frozen]

    def load_algorithm_state(self, state: Any) -> None:
        figures, self._loss, rewards, controller, *frozen = state
        self._frozen = bool(frozen)
        self.baseline.total, self.baseline.weight, self.entropy_weight, self.rewarded = figures
        self.rewards.load_state_dict(rewards)
        self.controller.load_state_dict(controller)

    def state_dict(self) -> State:
        return {**super().state_dict(), **self.controller.tensors()}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.controller.load_tensors(state)
