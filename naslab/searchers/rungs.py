"""Brackets of rungs, which successive halving, Hyperband and BOHB share.

    a bracket of rungs (n_0, r_0), (n_1, r_1), ...:
        train n_0 new candidates for r_0 epochs
        keep the n_1 fittest, train these on until they have had r_1 epochs;  keep the n_2 fittest of them, ...

A bracket continues when all results of its rung are known. While it waits for the last ones, with several workers, the
next bracket begins. A candidate that could not be evaluated is not promoted.
"""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab.searchers.sampler import Sampler, Suggestion, Trial

NOTHING: Mapping[str, Any] = {}
DIFFERENT = 64
"""Number of the first brackets that contain all training lengths of later ones: their sequence repeats earlier."""


class Rung(NamedTuple):
    """A number of candidates, and how long they are trained."""

    size: int
    """Number of candidates."""
    epochs: float
    """Total epochs of training, those of earlier rungs included."""


def hyperband(most: int, eta: int, least: int = 1) -> tuple[tuple[Rung, ...], ...]:
    """Returns the rungs of each bracket of Hyperband (Li et al. 2018, Alg. 1), the one with most rungs first.

    Args:
        most: epochs of the longest training, R.
        eta: one in `eta` candidates goes on to the next rung.
        least: epochs of the shortest training, the unit in which the paper measures R.
    """
    s_max = 0
    while least * eta ** (s_max + 1) <= most:  # floor(log_eta(most / least)) without rounding errors
        s_max += 1
    brackets = []
    for s in range(s_max, -1, -1):
        n = math.ceil((s_max + 1) * eta**s / (s + 1))
        brackets.append(tuple(Rung(n // eta**i, max(least, round(most / eta ** (s - i)))) for i in range(s + 1)))
    return tuple(brackets)


def fitting(known: Collection[float], eta: int, given: Mapping[str, Any] = NOTHING) -> dict[str, int]:
    """Returns Hyperband's `most`, `eta` and `least`, such that each of its trainings has one of the known lengths.

    Args:
        known: training lengths in epochs, at least one; whole numbers.
        eta: kept if possible; else the one that uses most of the known lengths.
        given: values of the three that the user gave; kept as far as possible. By default the longest training has the
            longest known length.
    """
    longest = int(max(known))
    found = [((0, 0, 0, 0), {"most": longest, "eta": eta, "least": longest})]
    for most in {longest, *({given["most"]} & set(known) if "most" in given else ())}:
        for least in {int(length) for length in known if length < most}:
            for other in range(2, most // least + 1):
                lengths = {rung.epochs for rungs in hyperband(most, other, least) for rung in rungs}
                if lengths <= set(known):
                    one = {"most": most, "eta": other, "least": least}
                    # first criterion: as many given values as possible; second: the given eta, or many lengths; then
                    # the smallest eta, and the shortest training
                    kept = 1 + sum(one.get(name) == value for name, value in given.items())
                    found.append(((kept, most + 1 if other == eta else len(lengths), -other, -least), one))
    return max(found, key=lambda one: one[0])[1]


class OfKnownLengths(Sampler):
    """A sampler whose default training lengths are adapted to those of the estimator."""

    def adapt_fidelities(self, known: Collection[float]) -> None:
        """Before the first trial, sets the longest training to the longest known length, the others to known ones."""
        adapted_hyperparameters = self.adapted_hyperparameters(known)
        given_values = self.given_values
        if all(given_values.get(name, value) == value for name, value in adapted_hyperparameters.items()):
            self.hyperparameters = dataclasses.replace(self.hyperparameters, **adapted_hyperparameters)
            self.begin()

    @property
    def given_values(self) -> dict[str, Any]:
        """Name -> value of the hyperparameters that the user gave."""
        return {name: getattr(self.hyperparameters, name) for name in self._given}


class _Bracket:
    """A run of successive halving in progress."""

    def __init__(self, number: int, rungs: Sequence[Rung]) -> None:
        self.number, self.rungs = number, rungs
        self.rung = 0
        self.fresh = rungs[0].size
        """Number of new candidates that are still to be drawn."""
        self.open = 0
        """Number of open trials of this rung."""
        self.promoted: list[Trial] = []
        """Last trials of the promoted candidates whose training is to be continued."""
        self.finished: list[tuple[float, Trial]] = []
        """(fitness, trial) of the candidates of this rung."""
        self.passed: list[float] = []
        """Lowest promoted fitness of each rung so far."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask or to wait for: of this rung, and after `learn` of the whole bracket."""
        return not (self.fresh or self.open or self.promoted)

    def learn(self, trial: Trial, fitness: float | None) -> None:
        """Records a result; the last one of a rung promotes the fittest candidates."""
        self.open -= 1
        if fitness is not None:
            self.finished.append((fitness, trial))
        if not self.done:
            return
        ranked = sorted(self.finished, key=lambda one: (-one[0], one[1].number))  # of equally fit ones the older
        self.finished = []
        if ranked and self.rung + 1 < len(self.rungs):
            self.rung += 1
            kept = ranked[: self.rungs[self.rung].size]
            self.passed.append(kept[-1][0])
            self.promoted = [trial for _, trial in kept]


class Halving(OfKnownLengths):
    """Base class: one bracket after another. A subclass defines their rungs, and how new candidates are drawn."""

    @abstractmethod
    def rungs(self, bracket: int) -> Sequence[Rung]:
        """Returns the rungs of bracket number `bracket`, counted from 0."""

    @property
    def fidelities(self) -> Sequence[float]:
        return sorted({rung.epochs for bracket in range(DIFFERENT) for rung in self.rungs(bracket)})

    def draw(self) -> tuple[Architecture, str]:
        """Returns a new candidate, and its origin."""
        return self.space.sample(self.rng), "random"

    def begin(self) -> None:
        self._begun = 0
        self._under_way: list[_Bracket] = []
        self._bracket_of: dict[int, int] = {}
        """Number of an open trial -> number of its bracket."""
        self._last: Mapping[str, Any] = {}

    def propose(self) -> Suggestion:
        bracket = next((each for each in self._under_way if each.fresh or each.promoted), None) or self._another()
        if not bracket.promoted:
            return self._fresh(bracket, *self.draw())
        epochs = self._assign(bracket)
        last = bracket.promoted.pop(0)
        return Suggestion(last.architecture, "promotion", last.parents, epochs, last.candidate, last.number)

    def added(self, architecture: Architecture) -> Suggestion:
        """Returns the suggestion; it takes the place of a new candidate of this bracket, or of the next one."""
        bracket = next((each for each in self._under_way if each.fresh), None) or self._another()
        return self._fresh(bracket, architecture, "added")

    def _another(self) -> _Bracket:
        """Begins the next bracket and returns it."""
        bracket = _Bracket(self._begun, self.rungs(self._begun))
        self._begun += 1
        self._under_way.append(bracket)
        return bracket

    def _fresh(self, bracket: _Bracket, architecture: Architecture, origin: str) -> Suggestion:
        """Returns the suggestion for a new candidate of a bracket."""
        bracket.fresh -= 1
        return Suggestion(architecture, origin, (), self._assign(bracket))

    def _assign(self, bracket: _Bracket) -> float:
        """Assigns the next trial to a bracket; returns the total epochs of its training."""
        self._bracket_of[self.asked + 1] = bracket.number
        bracket.open += 1
        return bracket.rungs[bracket.rung].epochs

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        number = self._bracket_of.pop(trial.number)
        bracket = next(each for each in self._under_way if each.number == number)
        rung = bracket.rung
        bracket.learn(trial, fitness)
        self._last = {
            "bracket": number,
            "rung": rung,
            "sizes": [each.size for each in bracket.rungs],
            "epochs": [each.epochs for each in bracket.rungs],
            "passed": list(bracket.passed),
        }
        if bracket.done:
            self._under_way.remove(bracket)

    @property
    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """Bracket and rung of the last candidate, both from 0; `sizes` and `epochs` of the rungs of its bracket; and
        `passed`, the lowest promoted fitness of each rung so far.
        """
        return self._last

    def algorithm_state(self) -> Any:
        brackets = [
            [
                each.number,
                each.rung,
                each.fresh,
                each.open,
                [trial.to_record() for trial in each.promoted],
                [[fitness, trial.to_record()] for fitness, trial in each.finished],
                list(each.passed),
            ]
            for each in self._under_way
        ]
        return [self._begun, brackets, sorted(self._bracket_of.items()), dict(self._last)]

    def load_algorithm_state(self, state: Any) -> None:
        self._begun, brackets, where, self._last = state
        self._bracket_of = dict(where)
        self._under_way = []
        for number, rung, fresh, open_, promoted, finished, passed in brackets:
            bracket = _Bracket(number, self.rungs(number))
            bracket.rung, bracket.fresh, bracket.open, bracket.passed = rung, fresh, open_, list(passed)
            bracket.promoted = [Trial.from_record(self.space, record) for record in promoted]
            bracket.finished = [(fitness, Trial.from_record(self.space, record)) for fitness, record in finished]
            self._under_way.append(bracket)
