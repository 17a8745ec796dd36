"""Efficient progressive neural architecture search (Zhou et al. 2019, https://arxiv.org/abs/1907.04648; the name, and
a predictor that gives each candidate a probability of being evaluated, are also those of Perez-Rua et al. 2018,
https://arxiv.org/abs/1808.00391).

    layer <- the first;  parents <- none
    repeat: imagine K children: a parent each, whose decisions on this layer the controller resamples
            evaluate one of them, with probability ~ exp(predicted reward / temperature)
            after every m rewards R:  theta <- Adam, up  mean of (R - b) grad log P(child | parent; theta)  (REINFORCE)
                                                       + the same for K children that are only imagined, with their
                                                         predicted rewards
                                      predictor <- fit to all rewards;  b <- an average of the rewards
            after every n children:   layer <- the next one, after the last one the first again
                                      parents <- the best evaluated networks that have this layer

In a space whose architectures end by a choice "stop", networks begin with one layer, and the step to the next layer
makes them a layer deeper; when they have reached the maximum depth, their layers are resampled one after the other. In
other spaces networks have all layers from the start, initially random ones. The layer of a choice is the number in its
name (`chain/3/kernel`); without numbers each choice is a layer.

Several resource constraints at once are part of the reward, by an estimator that penalizes them:

    costs = WithMetrics(Training(space, task), Resources(space, task, ["parameters", "flops", "intensity"]))
    nl.Search(EPNAS(space), estimator=Penalised(costs, most={"parameters": 1e5, "flops": 1e7}, least={"intensity": 5}))

Several workers evaluate children in parallel.

The ideas are those of the papers: progress from small to large networks, a policy learnt by REINFORCE together with a
performance predictor, a predictor that gives probabilities instead of ranks, several constraints, parallel candidates.
Their combination and all constants are this module's. Differences from the papers:
- The predictor is a Gaussian process on the choices (see `predictor`).
- An evaluated child was chosen among K by its predicted reward; its gradient has no importance weight for that.
- No weights are shared between networks (Perez-Rua et al. share them).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from naslab.analysis.ranking import spearman
from naslab.architecture import Architecture, Choice, Prefix
from naslab.errors import SpecError
from naslab.searchers.controller import Rewarded
from naslab.searchers.masked import MASK
from naslab.searchers.policies import unroll
from naslab.searchers.policy_gradient import PolicyGradient, PolicyGradientHyperparameters
from naslab.searchers.predictor import Predictor
from naslab.searchers.rewards import between
from naslab.searchers.sampler import Suggestion, Trial
from naslab.searchers.settings import Setting
from naslab.spaces.metaqnn import STOP

WATCHED = 50
"""Number of the last children on which the predictor is evaluated."""
_LAYER = re.compile(r"(\d+)/")


@dataclass(frozen=True, kw_only=True)
class EPNASHyperparameters(PolicyGradientHyperparameters):
    """For a laptop, where a search has some hundred candidates."""

    children: int = 4
    """Number of rewards for a step of the controller (m)."""
    learning_rate: float = 0.01
    """Learning rate of the controller (Adam)."""
    per_layer: int = 16
    """Number of children after which the search goes to the next layer."""
    parents: int = 4
    """Number of top candidates whose choices for this layer are resampled."""
    imagined: int = 16
    """Number of children among which the predictor chooses one to evaluate (K)."""
    temperature: float = 0.5
    """Temperature of that choice, in units of the spread of the rewards: near 0 the predictor takes the best child, far
    above 1 any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "temperature", between("temperature", self.temperature, 1e-3, 1e3))


class Child(NamedTuple):
    """An architecture, and the layer whose decisions the controller took."""

    choices: Prefix
    layer: int
    grows: bool
    """Whether it has a layer that its parent lacks; "stop" was then no option."""


class EPNAS(PolicyGradient):
    """Policy search layer by layer, with a predictor of the reward, on any space."""

    name = "epnas"
    adds = False  # it learns only from children whose layer it resampled
    Hyperparameters = EPNASHyperparameters

    def begin(self) -> None:
        super().begin()
        first = self.space.next_choice(())
        self._layer = 1 if first is None else layer_of(first, 0)
        self._round, self._reported, self._deepest = 1, 0, self._layer
        """Passes over the layers, this one included; results of the present layer; deepest layer so far."""
        self._parents: list[Prefix] = []
        self._made: dict[Prefix, tuple[int, bool]] = {}
        """Proposed choices -> (layer, grows)."""
        self._known: dict[Prefix, float] = {}
        """Evaluated choices -> reward."""
        self._foreseen: dict[int, float] = {}
        """Number of an open trial -> predicted reward."""
        self._seen: deque[tuple[float, float]] = deque(maxlen=WATCHED)
        """(predicted, true) rewards of the last children."""
        self._predictor = Predictor(self.space)

    # --- what to evaluate ------------------------------------------------------------------------------

    def propose(self) -> Suggestion:
        children, logs = self._imagine(self.hyperparameters.imagined)
        # children that were proposed before only if all were
        new = [place for place, child in enumerate(children) if child.choices not in self._made]
        places = new or list(range(len(children)))
        place = places[0]
        if self._predictor.ready:
            means = self._predictor([children[each].choices for each in places])
            # [children], unnormalized; the maximum is subtracted so that no exponential overflows
            chances = np.exp((means - means.max()) / (self.hyperparameters.temperature * self._predictor.scale))
            drawn = int(np.searchsorted(np.cumsum(chances), self.rng.random() * chances.sum(), side="right"))
            drawn = min(drawn, len(places) - 1)
            place, self._foreseen[self.asked + 1] = places[drawn], float(means[drawn])
        choices, layer, grows = children[place]
        self._made[choices] = layer, grows
        self.controller.expect(self.asked + 1, logs[place])
        return Suggestion(Architecture(self.space.name, choices), "grown" if grows else "decided anew")

    def _imagine(self, count: int) -> tuple[list[Child], list[float]]:
        """Samples children of random parents; returns them and the log-probabilities of the controller's decisions."""
        parents = [
            self._parents[int(u * len(self._parents))] if self._parents else None for u in self.rng.random(count)
        ]
        kept = [{} if one is None else {choice.name: v for choice, v in self.space.walk(one)} for one in parents]
        logs, entropies, grown = [0.0] * count, [0.0] * count, [False] * count

        def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
            options, layer = choice.options, layer_of(choice, position)
            taken = []
            for row, scores in zip(rows, log, strict=True):
                before = kept[row].get(choice.name)
                if layer == self._layer:
                    grown[row] |= STOP in options and before in (None, STOP)
                    offered, each = allowed(choice, scores, grown[row])
                    reached = np.cumsum(each.exp().double().numpy())
                    place = min(int((reached <= self.rng.random() * reached[-1]).sum()), len(offered) - 1)
                    logs[row] += float(each[place])
                    entropies[row] -= float(each.exp() @ each)
                    taken.append(offered[place])
                elif before in options:
                    taken.append(options.index(before))
                else:
                    taken.append(options.index(STOP) if STOP in options else int(self.rng.integers(len(options))))
            return taken

        with torch.no_grad():
            answers = unroll(self.controller.policy, self.space.next_choice, count, decide).answers
        self.controller.entropy = float(np.mean(entropies))
        return [Child(one, self._layer, grows) for one, grows in zip(answers, grown, strict=True)], logs

    # --- results ---------------------------------------------------------------------------------------

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        choices = trial.architecture.choices
        foreseen = self._foreseen.pop(trial.number, None)
        skipped = self.rewards.skipped
        super().learn(trial, fitness, metrics)
        reward = self.rewards.least if fitness is None else self.rewards.last
        if reward is not None and self.rewards.skipped == skipped:
            self._known[choices] = reward
            self._predictor.update(choices, reward)
            if foreseen is not None:
                self._seen.append((foreseen, reward))
        self._reported += 1
        if self._reported >= self.hyperparameters.per_layer and self._known:
            self._turn()

    def _turn(self) -> None:
        """Goes to the next layer that any evaluated network has; parents are the best networks that have it."""
        layers = {choices: self._layers(choices) for choices in self._known}
        all_ = sorted(set().union(*layers.values()))
        later = [layer for layer in all_ if layer > self._layer]
        self._layer, self._round = (later[0], self._round) if later else (all_[0], self._round + 1)
        self._deepest, self._reported = max(self._deepest, self._layer), 0
        asked = [choices for choices in self._known if self._layer in layers[choices]]
        self._parents = sorted(asked, key=lambda one: -self._known[one])[: self.hyperparameters.parents]

    def _layers(self, choices: Prefix) -> set[int]:
        return {layer_of(choice, position) for position, (choice, _) in enumerate(self.space.walk(choices))}

    def improve(self, batch: list[Rewarded], advantages: Tensor) -> float:
        log_probability, entropy = self._evaluate([Child(one.choices, *self._made[one.choices]) for one in batch])
        objective = (advantages * log_probability).mean() + self.entropy_weight * entropy.mean()
        if self._predictor.ready:
            imagined, _ = self._imagine(self.hyperparameters.imagined)
            means = self._predictor([child.choices for child in imagined])
            # the mean prediction is the baseline of the imagined children
            foreseen = torch.tensor(means - means.mean(), dtype=torch.float32)
            objective = objective + (foreseen * self._evaluate(imagined)[0]).mean()
        self.controller.ascend(objective)
        return -float(objective.detach())

    def _evaluate(self, children: Sequence[Child]) -> tuple[Tensor, Tensor]:
        """Log-probability [B] and entropy [B] of the controller's decisions in each child, with gradients."""
        logs, entropies = [torch.zeros(())] * len(children), [torch.zeros(())] * len(children)

        def decide(position: int, choice: Choice, rows: list[int], log: Tensor) -> list[int]:
            taken = [choice.options.index(children[row].choices[position]) for row in rows]
            layer = layer_of(choice, position)
            for row, scores, option in zip(rows, log, taken, strict=True):
                if layer == children[row].layer:
                    offered, each = allowed(choice, scores, children[row].grows)
                    logs[row] = logs[row] + each[offered.index(option)]
                    entropies[row] = entropies[row] - each.exp() @ each
            return taken

        unroll(self.controller.policy, self.space.next_choice, len(children), decide)
        return torch.stack(logs), torch.stack(entropies)

    # --- settings, diagnostics, state ----------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Without a mask: what it grows, and what its predictor has read, is decided layer by layer on all of it."""
        return {name: setting for name, setting in super().settings.items() if name != MASK}

    def check_setting(self, name: str, value: Any) -> Any:
        if name == MASK:
            raise SpecError(
                "epnas cannot forbid options on the way: each layer is decided anew by what is known of the others. "
                "Search space.without({...}) instead, or take another searcher"
            )
        return super().check_setting(name, value)

    def next_choice(self, prefix: Prefix) -> Choice | None:
        """Next choice for the probabilities that are shown, which go no deeper than the networks so far."""
        choice = self.space.next_choice(prefix)
        if choice is None or STOP not in choice.options or layer_of(choice, len(prefix)) <= self._deepest:
            return choice
        return Choice(choice.name, (STOP,))

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """The controller's own values; the present `layer`; `round`, the number of passes over the layers; and from the
        third predicted child on `foreseen`, Spearman's correlation of predicted and true rewards of the last ones.
        """
        found = {**super().diagnostics, "layer": float(self._layer), "round": float(self._round)}
        if len(self._seen) > 2 and np.isfinite(rank := spearman(*np.array(self._seen).T)):
            found["foreseen"] = rank
        return found

    def algorithm_state(self) -> Any:
        # the keys are those of run folders, and never change
        return {
            "policy": super().algorithm_state(),
            "turn": [self._layer, self._round, self._reported, self._deepest],
            "parents": self._parents,
            "made": [[choices, *made] for choices, made in self._made.items()],
            "known": list(self._known.items()),
            "foreseen": list(self._foreseen.items()),
            "seen": list(self._seen),
            "heard": self._predictor.state_dict(),
        }

    def load_algorithm_state(self, state: Any) -> None:
        super().load_algorithm_state(state["policy"])
        self._layer, self._round, self._reported, self._deepest = state["turn"]
        self._parents = [tuple(choices) for choices in state["parents"]]
        self._made = {tuple(choices): (layer, grows) for choices, layer, grows in state["made"]}
        self._known = {tuple(choices): reward for choices, reward in state["known"]}
        self._foreseen = dict(state["foreseen"])
        self._seen = deque(map(tuple, state["seen"]), maxlen=WATCHED)
        self._predictor.load_state_dict(state["heard"])


def layer_of(choice: Choice, position: int) -> int:
    """Layer of a choice: the number in its name, or without one its position among the choices, from 1."""
    found = _LAYER.search(choice.name)
    return int(found[1]) if found else position + 1


def allowed(choice: Choice, log: Tensor, grows: bool) -> tuple[list[int], Tensor]:
    """Numbers of the allowed options, and their log-probabilities: all options, but "stop" where a network grows.

    Args:
        log: [O] log-probabilities of all options.
    """
    offered = [place for place, option in enumerate(choice.options) if not (grows and option == STOP)]
    if not offered or len(offered) == len(choice.options):
        return list(range(len(choice.options))), log
    return offered, log[offered].log_softmax(dim=0)
