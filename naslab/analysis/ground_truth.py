"""Architectures whose worth a table knows: what any scores can be held against.

    known = Known.of(nl.benchmarks.NASBench201(), 300, seed=0)      300 architectures of the table, at random
    held_against(known, nl.estimators.ZeroCost(...)).ranking        what an estimator's ranking of them is worth

An estimator is whatever scores an architecture: a zero-cost proxy, little training, another table, or shared weights
(`searcher.accuracy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from naslab.analysis.oracle import ranks
from naslab.analysis.ranking import Ranking
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError, listed, whole
from naslab.estimators import Score, Table, as_estimator
from naslab.randomness import numpy_generator


class Place(NamedTuple):
    """Where an architecture truly stands among all of a table."""

    number: int
    truth: float
    """More is better."""
    rank: int
    """1 is the best of all."""
    regret: float
    """What it lacks to the best of all; 0 is perfect."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """N architectures of a table, and what they are truly worth."""

    table: Table
    numbers: np.ndarray
    """[N] int, in the table."""
    architectures: tuple[Architecture, ...]
    truth: np.ndarray
    """[N], more is better."""
    _all: np.ndarray = field(repr=False)
    """Of every architecture of the table: [size]."""
    _ranks: np.ndarray = field(repr=False)

    @classmethod
    def of(
        cls, table: Benchmark | Table, sample: int | Iterable[int | Architecture] | np.ndarray = 60, *, seed: int = 0
    ) -> GroundTruth:
        """
        Args:
            table: a benchmark, of which the objective is the truth, or one column of it, for instance
                `nl.estimators.Table(benchmark, "valid_accuracy", epochs=12)`.
            sample: how many, drawn at random, each once; or which, by their numbers.
            seed: of the draw.
        """
        if isinstance(table, Benchmark):
            table = Table(table)
        if not isinstance(table, Table):
            raise SpecError(
                "the truth is a benchmark, for instance nl.benchmarks.NASBench201(), or nl.estimators.Table(...) of "
                f"one; got {table!r:.200}"
            )
        benchmark = table.benchmark
        everything = np.asarray(benchmark.utility(table.metric, epochs=table.epochs), dtype=np.float64)
        if listed(sample):
            numbers = np.array([benchmark.index(each) for each in sample], dtype=np.int64)
            if unknown := [int(number) for number in numbers if not np.isfinite(everything[number])]:
                raise SpecError(f"{benchmark.name} has no {table.metric} of the architectures {unknown[:5]}")
        else:
            there = np.flatnonzero(np.isfinite(everything))
            many = whole("sample", sample, 2)
            if many > len(there):
                raise SpecError(f"sample={many} is more than the {len(there)} architectures of {benchmark.name}")
            numbers = there[numpy_generator(whole("seed", seed), "known").permutation(len(there))[:many]]
        if len(set(numbers.tolist())) != len(numbers) or len(numbers) < 2:
            raise SpecError(f"a ranking takes at least two architectures, each once; got {numbers.tolist()!s:.200}")
        architectures = tuple(benchmark.at(int(number)) for number in numbers)
        return cls(table, numbers, architectures, everything[numbers], everything, ranks(everything))

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def size(self) -> int:
        """How many architectures the table holds."""
        return len(self._all)

    @property
    def ranks(self) -> np.ndarray:
        """[N] int: their true ranks among all of the table."""
        return self._ranks[self.numbers]

    @property
    def optimum(self) -> float:
        """The truth of the best of the table."""
        return float(np.nanmax(self._all))

    @property
    def name(self) -> str:
        """Of the table and its column."""
        benchmark = self.table.benchmark
        epochs = [] if self.table.epochs is None else [f"after {self.table.epochs} epochs"]
        words = [benchmark.name, *filter(None, [getattr(benchmark, "data_set", None)]), self.table.metric, *epochs]
        return " ".join(words)

    def place(self, architecture: Architecture) -> Place | None:
        """Where any architecture stands; None for one that the table does not know."""
        try:
            number = self.table.benchmark.index(architecture)
        except SpecError:
            return None
        truth = float(self._all[number])
        if not np.isfinite(truth):
            return None
        return Place(number, truth, int(self._ranks[number]), self.optimum - truth)


@dataclass(frozen=True, eq=False)
class RankCorrelation:
    """Scores of N architectures beside their truth."""

    known: GroundTruth
    """Those that could be scored."""
    scores: np.ndarray
    """[N], more is better."""
    ranking: Ranking | None
    """None where all scores are equal: what is equal is in no order."""
    failed: tuple[tuple[int, str], ...] = ()
    """(number in the table, why) of each that could not be scored."""


def rank_correlation(
    known: GroundTruth,
    estimator: Any,
    *,
    top: int = 10,
    resamples: int = 1000,
    seen: Callable[[Sequence[Architecture]], Iterable[Architecture]] = iter,
) -> RankCorrelation:
    """What a ranking by an estimator is worth.

    Args:
        known: the architectures and their truth.
        estimator: a benchmark, one of `nl.estimators`, or a function of an architecture; more is better. One that
            fails for an architecture leaves it out.
        top: k, of the overlap and the regret of the k best.
        resamples: of the bootstrap; see `Ranking`.
        seen: goes through the architectures, for instance `tqdm`.
    """
    score = as_estimator(estimator)
    places, scores, failed = [], [], []
    for place, architecture in enumerate(seen(known.architectures)):
        try:
            found = score(architecture)
            value = float(found.fitness if isinstance(found, Score) else found)
            why = "" if np.isfinite(value) else f"its score is {value}"
        except SpecError:
            raise  # the question is wrong, and no candidate to blame
        except Exception as error:
            value, why = np.nan, f"{type(error).__name__}: {error}"
        if why:
            failed.append((int(known.numbers[place]), why))
        else:
            places.append(place)
            scores.append(value)
    if len(places) < 2:
        raise SpecError(f"{len(failed)} of {len(known)} architectures could not be scored, the first: {failed[0][1]}")
    if failed:
        known = GroundTruth.of(known.table, known.numbers[places])
    ranking = None
    if len(set(scores)) > 1:
        ranking = Ranking.of(scores, known.truth, top=min(top, len(known)), resamples=resamples)
    return RankCorrelation(known, np.array(scores), ranking, tuple(failed))
