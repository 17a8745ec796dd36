"""Q-learning, layer by layer: MetaQNN (Baker, Gupta, Naik & Raskar 2017, https://arxiv.org/abs/1611.02167, Alg. 1).

    Q(s, u) <- 0.5
    repeat: an architecture: in each state s a random option with probability epsilon, else the best by Q
            its accuracy R; keep both; then, for it and for some that are kept, drawn at random, from the last step
            to the first:      Q(s_t, u) <- (1 - lr) Q(s_t, u) + lr (r_t + discount max over u' of Q(s_(t+1), u'))

The reward comes with the last step, r_T = R, and r_t = 0 before. `shaped` spreads it over the steps instead,
r_t = R / T (BlockQNN, Zhong et al. 2018, https://arxiv.org/abs/1708.05552, section 3.3). Epsilon falls as in the
paper's table 2, which is scaled to `models` architectures in all.

A state is where the space stands (`space.future`) and the last answers. The paper's is the last layer and its depth;
one answer, the default, is that where a layer is one choice. With `answers=-1` the state is all answers: then Q is
exact, but learns nothing about one architecture from another. With fewer, what comes early is soon forgotten on the
way, and only `shaped` rewards still tell a good early decision from a bad one.

Differences from the paper:
- An architecture may be drawn again; it is then evaluated again.
- A candidate that could not be evaluated has the least reward so far; see `rewards`.
- Of several best options one is drawn at random.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from naslab.architecture import Architecture, Choice, Prefix
from naslab.errors import SpecError, real, whole
from naslab.fields import settle
from naslab.searchers.rewards import Rewards, between
from naslab.searchers.sampler import Sampler, Suggestion, Trial
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.signatures import attribute_docstrings

SCHEDULE = ((1.0, 1500), (0.9, 100), (0.8, 100), (0.7, 100), *((tenths / 10, 150) for tenths in (6, 5, 4, 3, 2, 1)))
"""(epsilon, architectures), the paper's table 2; afterwards the last epsilon stays."""
MODELS = sum(models for _, models in SCHEDULE)


@dataclass(frozen=True, kw_only=True)
class QLearningHyperparameters:
    """Defaults are those of the paper's section 4 and of its authors' code."""

    models: int = MODELS
    """Number of architectures over which epsilon falls; the paper's table is scaled to it."""
    learning_rate: float = 0.01
    """Learning rate of the values."""
    discount: float = 1.0
    """Discount of the value of the next state."""
    start: float = 0.5
    """Initial value of every option; best near the reward of an average architecture."""
    replay: int = 128
    """Number of architectures replayed after each new one."""
    kept: int = 10_000
    """Size of the replay memory; the oldest architecture is dropped."""
    answers: int = 1
    """Number of the last answers that belong to the state; -1: all."""
    shaped: bool = False
    """Whether the reward is spread evenly over the steps, instead of coming with the last."""

    def __post_init__(self) -> None:
        settle(self)
        for name, low in {"models": 1, "replay": 0, "kept": 1}.items():
            object.__setattr__(self, name, whole(name, getattr(self, name), low, sys.maxsize))
        if self.answers != -1 or isinstance(self.answers, bool):
            object.__setattr__(self, "answers", whole("answers, if not -1 for all,", self.answers, 0))
        object.__setattr__(self, "learning_rate", between("learning_rate", self.learning_rate, 1e-6, 1))
        object.__setattr__(self, "discount", between("discount", self.discount, 0, 1))
        object.__setattr__(self, "start", between("start", real("start", self.start), -1e12, 1e12))
        if not isinstance(self.shaped, bool):
            raise SpecError(f"shaped must be True or False, not {self.shaped!r}")


class Step(NamedTuple):
    """One decision of an architecture, as a step of the Markov decision process."""

    state: Hashable
    option: int
    """Number of the option that was taken."""
    choice: Choice
    """What was decided."""
    prefix: Prefix
    """Answers before this decision."""


class Memory(NamedTuple):
    """An architecture in the replay memory, with its reward."""

    choices: Prefix
    reward: float
    steps: tuple[Step, ...]


class Decision(NamedTuple):
    """A decision of an architecture, with the values of its options."""

    choice: Choice
    values: np.ndarray
    """[O]: Q of each option."""
    taken: int
    """Number of the option that was taken."""


def epsilon_at(model: int, models: int) -> float:
    """Epsilon for architecture number `model`, counted from 1, in a search of `models` architectures."""
    through = 0
    for epsilon, share in SCHEDULE:
        through += share
        if (model - 1) * MODELS < through * models:  # in integers, so that no rounding moves the boundary
            return epsilon
    return SCHEDULE[-1][0]


class QLearning(Sampler):
    """Tabular Q-learning on any space."""

    name = "q_learning"
    Hyperparameters = QLearningHyperparameters

    def begin(self) -> None:
        given = self.hyperparameters
        self._learning_rate: float = given.learning_rate
        self._turned: float | None = None
        """Epsilon if it was set during the search, from when on it stays; else None."""
        self._q: dict[Hashable, list[float]] = {}
        """State -> [O] values. States that were never updated are missing."""
        self._named: dict[Hashable, Prefix] = {}
        """State -> answers by which it was first reached, which identify it on disk."""
        self._replay: deque[Memory] = deque(maxlen=given.kept)
        self.rewards = Rewards()

    # --- the tree of decisions as a Markov decision process ----------------------------------------------

    def state(self, prefix: Prefix) -> Hashable:
        """State of the Markov decision process after the answers so far."""
        answers = self.hyperparameters.answers
        if answers == -1:
            return prefix
        choice = self.whole.next_choice(prefix)
        # The choice belongs to the state: two branches with the same future and the same last answers may differ in it.
        return self.whole.future(prefix), prefix[len(prefix) - min(answers, len(prefix)) :], choice

    def values(self, prefix: Prefix, choice: Choice) -> np.ndarray:
        """[O]: Q of each option of `choice`, which follows `prefix`."""
        found = self._q.get(self.state(prefix))
        return np.full(len(choice.options), self.hyperparameters.start) if found is None else np.array(found)

    def along(self, choices: Sequence[Any] | None = None) -> list[Decision]:
        """Decisions of an architecture with the values of their options; by default of the greedy architecture."""
        decisions, prefix = [], ()
        while (choice := self.whole.next_choice(prefix)) is not None:
            values = self.values(prefix, choice)
            taken = (
                int(np.where(self._open_to(choice), values, -np.inf).argmax())
                if choices is None
                else choice.options.index(choices[len(prefix)])
            )
            decisions.append(Decision(choice, values, taken))
            prefix = (*prefix, choice.options[taken])
        return decisions

    def _open_to(self, choice: Choice) -> np.ndarray:
        """[O] bool: the options that are not forbidden."""
        mask = None if (forbidden := self.forbidden) is None else forbidden(choice)
        return np.ones(len(choice.options), dtype=bool) if mask is None else ~mask.numpy()

    @property
    def epsilon(self) -> float:
        """Probability of a random option in the next trial."""
        return epsilon_at(self.asked + 1, self.hyperparameters.models) if self._turned is None else self._turned

    # --- search ------------------------------------------------------------------------------------------

    def propose(self) -> Suggestion:
        prefix, epsilon, explored = (), self.epsilon, False
        while (choice := self.whole.next_choice(prefix)) is not None:
            allowed = self._open_to(choice)
            among = np.flatnonzero(allowed)  # indices of the options that one is drawn from
            if self.rng.random() < epsilon:
                explored = True
            else:
                values = np.where(allowed, self.values(prefix, choice), -np.inf)
                among = np.flatnonzero(values == values.max())
            prefix = (*prefix, choice.options[among[self.rng.integers(len(among))]])
        return Suggestion(Architecture(self.space.name, prefix), "exploration" if explored else "greedy")

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        reward = self.rewards.update(fitness, metrics)
        if reward is None:
            return
        latest = self._memory(trial.architecture.choices, reward)
        self._replay.append(latest)
        self._update(latest)
        for position in self.rng.integers(len(self._replay), size=self.hyperparameters.replay).tolist():
            self._update(self._replay[position])

    def _memory(self, choices: Prefix, reward: float) -> Memory:
        walked = enumerate(self.space.walk(choices))
        prefixes = [(choices[:position], choice, option) for position, (choice, option) in walked]
        steps = [
            Step(self.state(prefix), choice.options.index(option), choice, prefix)
            for prefix, choice, option in prefixes
        ]
        return Memory(choices, reward, tuple(steps))

    def _update(self, memory: Memory) -> None:
        """Updates the values along an architecture, from the last step to the first, which learns faster (Lin 1993).
        What is forbidden is not the best of a next state; one where nothing is left says nothing of those before.
        """
        given, rate, forbidden = self.hyperparameters, self._learning_rate, self._mask.value
        spread = memory.reward / len(memory.steps) if given.shaped else 0.0
        target = spread if given.shaped else memory.reward
        for state, option, choice, prefix in reversed(memory.steps):
            values = self._q.get(state)
            if values is None:
                values = self._q[state] = [given.start] * len(choice.options)
                self._named[state] = prefix
            values[option] = (1 - rate) * values[option] + rate * target
            if not_here := forbidden.get(choice.name):
                values = [value for value, one in zip(values, choice.options, strict=True) if one not in not_here]
                if not values:
                    break
            target = spread + given.discount * max(values)  # for the step before: r_t + discount max Q(s_(t+1), .)

    # --- diagnostics, settings, state ----------------------------------------------------------------------

    @property
    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """`epsilon`; `reward` of the last candidate; `states`, the number of states with values; and for each choice of
        the greedy architecture, under q/<name of the choice>, the values of its options."""
        known = {"epsilon": self.epsilon, "states": float(len(self._q)), "skipped": float(self.rewards.skipped)}
        if self.rewards.last is not None:
            known["reward"] = self.rewards.last
        return {**known, **{f"q/{choice.name}": values.tolist() for choice, values, _ in self.along()}}

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """Name of each choice of the greedy architecture -> [O] probabilities of the epsilon-greedy policy."""
        found = {}
        for choice, values, _ in self.along():
            allowed = self._open_to(choice)
            best = allowed & (values == values[allowed].max())
            # a random option with probability epsilon, else one of the best, with equal probability
            found[choice.name] = self.epsilon * allowed / allowed.sum() + (1 - self.epsilon) * best / best.sum()
        return found

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = attribute_docstrings(QLearningHyperparameters)["learning_rate"]
        chance = "Probability of a random option at each decision; once turned, it stays."
        return {
            "epsilon": Slider(value=self.epsilon, low=0.0, high=1.0, log=False, description=chance),
            "learning_rate": Slider(value=self._learning_rate, low=1e-6, high=1.0, description=about),
            **super().settings,
        }

    def apply_setting(self, name: str, value: Any) -> None:
        if name == "epsilon":
            self._turned = value
        elif name == "learning_rate":
            self._learning_rate = value
        else:
            super().apply_setting(name, value)

    def algorithm_state(self) -> Any:
        table = [[self._named[state], values.copy()] for state, values in self._q.items()]
        replay = [[memory.choices, memory.reward] for memory in self._replay]
        return [self._learning_rate, self._turned, self.rewards.state_dict(), table, replay]

    def load_algorithm_state(self, state: Any) -> None:
        self._learning_rate, self._turned, rewards, table, replay = state
        self.rewards.load_state_dict(rewards)
        self._named = {self.state(tuple(prefix)): tuple(prefix) for prefix, _ in table}
        self._q = {self.state(tuple(prefix)): list(values) for prefix, values in table}
        self._replay = deque((self._memory(tuple(choices), reward) for choices, reward in replay), self._replay.maxlen)
