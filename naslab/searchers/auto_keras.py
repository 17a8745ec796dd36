"""Bayesian optimisation by network morphism, as in Auto-Keras (Jin, Song & Hu 2019, https://arxiv.org/abs/1806.10282,
Alg. 1).

    repeat: fit a Gaussian process on the edit distances between the networks that were trained
            T <- 1;  tree <- those networks, in a queue, the most promising first
            while T > T_low and the queue is not empty:  T <- r T
                take the first;  for each morphism of it:
                    to the queue with probability exp((acquisition - best acquisition) / T), and if it is the best
            train the best, beginning with the weights of the trained network that it grew from

The acquisition is the upper confidence bound, mean + beta deviation, in units of the spread of the fitness so far. The
search is A* that at first, while it is hot, also follows what looks worse. On `nl.spaces.NetworkMorphism` the moves
preserve the function, and a child begins with all that its parent has learnt. On a space without moves of its own,
mutations are the moves, distance is the number of choices that differ, and what fits is inherited.

A network that fails and is larger than any that succeeded is taken to be too large for the memory: no network of its
size is proposed from then on. With several workers, an open trial counts as a network of mean fitness.

Differences from the paper: the distances of the kernel are not embedded in a Euclidean space first (see
`gaussian_process`: library implementations need a kernel that is positive by construction); its length and noise are
fitted; the first few networks, before any fitness is known, are a few moves away from the start.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from naslab.architecture import Architecture, Option
from naslab.errors import SpecError, real, whole
from naslab.fields import settle
from naslab.searchers.gaussian_process import GaussianProcess
from naslab.searchers.sampler import Sampler, Suggestion, Trial
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.signatures import attribute_docstrings
from naslab.spaces import growing


@dataclass(frozen=True, kw_only=True)
class AutoKerasHyperparameters:
    """Defaults are those of the authors' code, but for `coldest`, with which the search in the tree ends sooner."""

    beta: float = 2.576
    """Number of standard deviations added to the mean; larger values explore more. The authors' code: 2.576."""
    cooling: float = 0.9
    """Factor on the temperature after each expansion: the paper's r, 0.9 in the authors' code."""
    coldest: float = 0.05
    """Temperature at which the search in the tree ends, which begins at 1; 0.0001 in the authors' code, for 88
    expansions."""
    branches: int = 8
    """Number of moves tried from each network; 8 in the authors' code."""
    most_weights: int | None = None
    """Maximum number of weights of a proposed network, for images of three channels and ten classes. None: no limit at
    first."""

    def __post_init__(self) -> None:
        settle(self)
        for name, low, high in (("beta", 0, math.inf), ("cooling", 0, 1), ("coldest", 0, 1)):
            value = real(name, getattr(self, name))
            if not (low <= value < high) or (name != "beta" and value == 0):
                raise SpecError(f"{name} must be above 0 and below {high}, not {value}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "branches", whole("branches", self.branches, 1))
        if self.most_weights is not None:
            object.__setattr__(self, "most_weights", whole("most_weights", self.most_weights, 1))


class Node(NamedTuple):
    """A network in the search tree. The most promising node is the least; of equals, the one found first."""

    cost: float
    """Negative acquisition."""
    order: int
    """Position in the order in which nodes were found."""
    architecture: Architecture
    root: int
    """Trial number of the trained network it grew from."""


class AutoKeras(Sampler):
    """Bayesian optimisation that grows networks, on any space."""

    name = "auto_keras"
    Hyperparameters = AutoKerasHyperparameters

    def begin(self) -> None:
        self._beta: float = self.hyperparameters.beta
        self._known: dict[int, tuple[Architecture, float]] = {}
        """Trial number -> (architecture, fitness)."""
        self._failed: list[Architecture] = []
        self._limit = self.hyperparameters.most_weights
        if self._limit is not None and isinstance(self.space, growing.Growing):
            least = self._weights(self.space.start())
            if least > self._limit:
                raise SpecError(f"most_weights must be at least {least}, the weights of the first network")
        self._proven = 0
        """Number of weights of the largest network that was evaluated successfully."""
        self._distances: dict[tuple[Architecture, Architecture], float] = {}
        """Cache of the distances."""
        self._answers: dict[Architecture, dict[str, Option]] = {}
        """Cache of `space.answers`."""

    # --- what to evaluate ------------------------------------------------------------------------------

    def propose(self) -> Suggestion:
        if not self._known:
            return self._first()
        architectures, values = self._seen()
        process = GaussianProcess(self._between(architectures, architectures), np.array(values))
        best = self._search(process, architectures)
        # keeps the caches to pairs of evaluated networks: the search meets thousands of others
        lasting = set(architectures)
        self._distances = {pair: apart for pair, apart in self._distances.items() if lasting.issuperset(pair)}
        self._answers = {one: answers for one, answers in self._answers.items() if one in lasting}
        if best is None:  # nothing new around: anything that is allowed
            number = next(reversed(self._known))
            return Suggestion(self._walk(self._known[number][0]), "walk", (number,), begins_from=number)
        return Suggestion(best.architecture, "acquisition", (best.root,), begins_from=best.root)

    def _first(self) -> Suggestion:
        """Suggestion while nothing has been evaluated: the start, then a network near it."""
        start = growing.start(self.space, self.rng)
        return Suggestion(start if self.asked == 0 else self._walk(start), "start")

    def _walk(self, architecture: Architecture) -> Architecture:
        """A network one to three moves away, if the limit on weights allows."""
        for _ in range(int(self.rng.integers(1, 4))):
            moved = self._moved(architecture)
            architecture = architecture if moved is None else moved
        return architecture

    def _moved(self, architecture: Architecture) -> Architecture | None:
        """The network after a random move; None if the drawn kind of move is not possible or leads over the limit."""
        names = growing.moves(self.space)
        moved = growing.move(self.space, architecture, names[self.rng.integers(len(names))], self.rng)
        return moved if moved is not None and self._fits(moved) else None

    def _seen(self) -> tuple[list[Architecture], list[float]]:
        """Evaluated and open architectures, and their fitness; open ones count as of mean fitness."""
        known = list(self._known.values())
        mean = fmean(fitness for _, fitness in known)
        known += [(trial.architecture, mean) for trial in self.open]
        return [architecture for architecture, _ in known], [fitness for _, fitness in known]

    def _search(self, process: GaussianProcess, architectures: list[Architecture]) -> Node | None:
        """The network with the best acquisition found by annealed A*; None if no new one was found."""
        temperature, best = 1.0, None
        known = [(architecture, number) for number, (architecture, _) in self._known.items()]
        costs = self._costs(process, [architecture for architecture, _ in known], architectures)
        order = itertools.count()
        queue = [Node(cost, next(order), *pair) for cost, pair in zip(costs, known, strict=True)]
        lowest = min(queue).cost
        heapq.heapify(queue)
        met = {*architectures, *self._failed}  # never proposed again
        while queue and temperature > self.hyperparameters.coldest:
            temperature *= self.hyperparameters.cooling
            node = heapq.heappop(queue)
            moved = (self._moved(node.architecture) for _ in range(self.hyperparameters.branches))
            new = [one for one in dict.fromkeys(moved) if one is not None and one not in met]
            met.update(new)
            for child, cost in zip(new, self._costs(process, new, architectures), strict=True):
                found = Node(cost, next(order), child, node.root)
                # simulated annealing: a worse network stays in the queue with probability exp((lowest - cost) / T)
                if cost < lowest or self.rng.random() < math.exp(min(0.0, (lowest - cost) / temperature)):
                    heapq.heappush(queue, found)
                best = found if best is None else min(best, found)
                lowest = min(lowest, cost)
        return best

    def _costs(self, process: GaussianProcess, new: list[Architecture], known: list[Architecture]) -> list[float]:
        """Negative upper confidence bound, in units of the spread of the fitness."""
        if not new:
            return []
        mean, deviation = process.expect(self._between(new, known))
        return (-(mean - process.center + self._beta * deviation) / process.scale).tolist()

    def _between(self, ones: list[Architecture], others: list[Architecture]) -> np.ndarray:
        """Distances [len(ones), len(others)]."""
        return np.array([[self._distance(one, other) for other in others] for one in ones])

    def _distance(self, one: Architecture, other: Architecture) -> float:
        """Edit distance if the space has one, else the number of choices that differ."""
        if (one, other) not in self._distances:
            measure = getattr(self.space, "edit_distance", self._differing)
            self._distances[one, other] = float(measure(one, other))
        return self._distances[one, other]

    def _differing(self, one: Architecture, other: Architecture) -> int:
        """Number of choices that differ, as `space.distance` counts them, but with the answers cached."""
        for each in (one, other):
            if each not in self._answers:
                self._answers[each] = self.space.answers(each)
        first, second = self._answers[one], self._answers[other]
        return sum(first.get(name) != second.get(name) for name in first.keys() | second.keys())

    # --- results ---------------------------------------------------------------------------------------

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        weights = self._weights(trial.architecture)
        if fitness is not None:
            self._known[trial.number] = trial.architecture, fitness
            self._proven = max(self._proven, weights)
            return
        self._failed.append(trial.architecture)
        # A failure of a network no larger than one that succeeded has another reason than its size.
        if self._known and weights > self._proven:
            self._limit = weights - 1 if self._limit is None else min(self._limit, weights - 1)

    def _weights(self, architecture: Architecture) -> int:
        """Number of weights of a network; 0 where the space cannot count them."""
        count = getattr(self.space, "weights", None)
        return 0 if count is None else int(count(architecture))

    def _fits(self, architecture: Architecture) -> bool:
        return self._limit is None or self._weights(architecture) <= self._limit

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """`most_weights`, the present limit, if there is one, and `largest`, the weights of the largest network that
        worked."""
        limit = {} if self._limit is None else {"most_weights": self._limit}
        return {**limit, "largest": self._proven}

    # --- settings and state ------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = attribute_docstrings(AutoKerasHyperparameters)["beta"]
        beta = Slider(value=self._beta, low=0, high=100, log=False, description=about)
        return {"beta": beta, **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        if name == "beta":
            self._beta = value
        else:
            super().apply_setting(name, value)

    def algorithm_state(self) -> Any:
        return {
            "beta": self._beta,
            "known": [[number, one.choices, fitness] for number, (one, fitness) in self._known.items()],
            "failed": [one.choices for one in self._failed],
            "limit": self._limit,
            "proven": self._proven,
        }

    def load_algorithm_state(self, state: Any) -> None:
        self._beta, self._limit, self._proven = state["beta"], state["limit"], state["proven"]
        self._known = {
            number: (Architecture(self.space.name, tuple(choices)), fitness)
            for number, choices, fitness in state["known"]
        }
        self._failed = [Architecture(self.space.name, tuple(choices)) for choices in state["failed"]]
        self._distances.clear()
        self._answers.clear()
