"""Ground truth from a table, to which the scores of any estimator can be compared.

    known = GroundTruth.of(nl.benchmarks.NASBench201(), 300, seed=0)      300 random architectures of the table
    rank_correlation(known, nl.estimators.ZeroCost(...)).ranking          quality of an estimator's ranking

An estimator is any function that scores an architecture: a zero-cost proxy, a short training, another table, or shared
weights (`searcher.accuracy`).
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


class TrueRank(NamedTuple):
    """True value and rank of an architecture in a table."""

    number: int
    """Number in the table."""
    truth: float
    """True value; more is better."""
    rank: int
    """Rank in the whole table; 1 is the best."""
    regret: float
    """Difference to the best of the table; 0 is perfect."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """N architectures of a table, with their true values."""

    table: Table
    numbers: np.ndarray
    """[N] int: numbers in the table."""
    architectures: tuple[Architecture, ...]
    truth: np.ndarray
    """[N]: true values; more is better."""
    _all: np.ndarray = field(repr=False)
    """[size]: true values of all architectures of the table."""
    _ranks: np.ndarray = field(repr=False)
    """[size]: their ranks."""

    @classmethod
    def of(
        cls, table: Benchmark | Table, sample: int | Iterable[int | Architecture] | np.ndarray = 60, *, seed: int = 0
    ) -> GroundTruth:
        """
        Args:
            table: a benchmark, whose objective is the truth, or one of its columns, for instance
                `nl.estimators.Table(benchmark, "valid_accuracy", epochs=12)`.
            sample: number of architectures, drawn at random without replacement; or the architectures, or their
                numbers in the table.
            seed: seed of the draw.

        Raises:
            SpecError: fewer than two architectures, one twice, or one that the table does not know.
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
        """Number of architectures in the table."""
        return len(self._all)

    @property
    def ranks(self) -> np.ndarray:
        """[N] int: their true ranks in the whole table."""
        return self._ranks[self.numbers]

    @property
    def optimum(self) -> float:
        """Best true value in the table."""
        return float(np.nanmax(self._all))

    @property
    def name(self) -> str:
        """Name of the table and its column."""
        benchmark = self.table.benchmark
        epochs = [] if self.table.epochs is None else [f"after {self.table.epochs} epochs"]
        words = [benchmark.name, *filter(None, [getattr(benchmark, "data_set", None)]), self.table.metric, *epochs]
        return " ".join(words)

    def place(self, architecture: Architecture) -> TrueRank | None:
        """Returns value and rank of any architecture; None if it is not in the table."""
        try:
            number = self.table.benchmark.index(architecture)
        except SpecError:
            return None
        truth = float(self._all[number])
        if not np.isfinite(truth):
            return None
        return TrueRank(number, truth, int(self._ranks[number]), self.optimum - truth)


@dataclass(frozen=True, eq=False)
class RankCorrelation:
    """Scores of N architectures, compared to their true values."""

    known: GroundTruth
    """The architectures that could be scored."""
    scores: np.ndarray
    """[N]: scores; more is better."""
    ranking: Ranking | None
    """Statistics of the ranking; None if all scores are equal, so that there is none."""
    failed: tuple[tuple[int, str], ...] = ()
    """(number in the table, reason) of each architecture that could not be scored."""


def rank_correlation(
    known: GroundTruth,
    estimator: Any,
    *,
    top: int = 10,
    resamples: int = 1000,
    seen: Callable[[Sequence[Architecture]], Iterable[Architecture]] = iter,
) -> RankCorrelation:
    """Returns the quality of an estimator's ranking.

    Args:
        known: the architectures and their true values.
        estimator: a benchmark, one of `nl.estimators`, or a function of an architecture; more is better.
            Architectures for which it fails are left out.
        top: k of the overlap and the regret, which look at the k best.
        resamples: number of bootstrap resamples; see `Ranking`.
        seen: wraps the iteration over the architectures, for instance `tqdm`.
    """
    score = as_estimator(estimator)
    places, scores, failed = [], [], []
    for place, architecture in enumerate(seen(known.architectures)):
        try:
            found = score(architecture)
            value = float(found.fitness if isinstance(found, Score) else found)
            why = "" if np.isfinite(value) else f"its score is {value}"
        except SpecError:
            raise  # the estimator itself does not fit, whatever the architecture
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
