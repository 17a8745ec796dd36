"""The curves of a race: value of the best architecture so far over the budget spent.

Letters in shapes: S searchers, N seeds, Q queries (evaluations of one runner), P points of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from naslab.analysis.curves import Band, band, summed_up
from naslab.architecture import Architecture
from naslab.errors import RunError, SpecError, unknown
from naslab.estimators import Table
from naslab.quantities import FITNESS, Objective
from naslab.runs.race_results import RaceResults
from naslab.runs.runners import RaceRunner
from naslab.runs.table import Scalar, architecture_text, known

EVALUATIONS = "evaluations"
"""The cost of a race in which each evaluation counts as 1."""


class RaceCurves:
    """The read-only part of `naslab.runs.race.Race`: its results."""

    searchers: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: float
    cost: str
    table: Table | None
    _runners: Sequence[Sequence[RaceRunner]]
    """[S][N] runners."""
    _results: RaceResults
    _best: dict[tuple[int, int], tuple[float, Architecture]]
    """(searcher, seed) indices of a runner -> its incumbent, with the fitness."""
    _next: list[tuple[float, int, int]]
    """Heap of (budget spent, searcher index, seed index) of each runner that goes on."""

    @property
    def fitness(self) -> np.ndarray:
        """[S, N, Q]: fitness that the searchers observed; NaN for what failed or was not evaluated."""
        return self._results.fitness[:, :, : self._results.longest].copy()

    @property
    def spent(self) -> np.ndarray:
        """[S, N, Q]: budget spent after each query; NaN for what was not evaluated."""
        return self._results.spent[:, :, : self._results.longest].copy()

    @property
    def numbers(self) -> np.ndarray:
        """[S, N, Q]: numbers of the architectures in the table; -1 for none."""
        return self._results.number[:, :, : self._results.longest].copy()

    @property
    def queries(self) -> np.ndarray:
        """[S, N]: number of evaluations of each runner."""
        return self._results.count.copy()

    def curves(self, kind: str = "best") -> np.ndarray:
        """Returns [S, N, Q]: true value, regret or rank of the incumbent, the fittest so far, after each query.

        Args:
            kind: "best" for the true value; "regret" for the difference to the best of the table (without a table, to
                the best that any runner has found so far); "rank" for the rank in the table, 1 being the best.

        NaN stands before the first successful evaluation.
        """
        self._results.check(kind)
        columns = np.arange(self._results.longest)
        return np.stack([self._results.curves(kind, s, columns) for s in range(len(self.searchers))])

    @property
    def optimum(self) -> float:
        """Best value of the table; without a table, of all evaluations so far."""
        return self._results.optimum

    @property
    def objective(self) -> Objective:
        """The objective that the architectures found are judged by. If less of it is better, `curves` are negated."""
        return self._seen if self.table is None else self.table.objectives[0]

    @property
    def _seen(self) -> Objective:
        """The objective that the searchers observe; plain fitness if they do not all observe the same."""
        seen = {row[0].objective for row in self._runners}
        return seen.pop() if len(seen) == 1 else FITNESS

    def bands(self, kind: str = "best", points: int = 120, *, even: bool = False) -> Mapping[str, Band]:
        """Returns searcher -> summary of its curves over the seeds on a grid of the budget, as far as all seeds are.

        Args:
            kind: as of `curves`.
            points: largest number of grid points.
            even: use an even grid; otherwise a logarithmic one, as curves change fastest while the budget is small.
        """
        results = self._results
        results.check(kind)
        bands = {}
        for s, name in enumerate(self.searchers):
            grid = self._grid(s, points, even)
            # If each evaluation costs 1, query q is at budget q: the columns can be read off without a search.
            if self.cost == EVALUATIONS and len(grid):
                bands[name] = summed_up(grid, results.curves(kind, s, grid.astype(np.int64) - 1))
            else:
                columns = np.arange(results.longest)
                bands[name] = band(results.curves(kind, s, columns), results.spent[s][:, columns], grid)
        return bands

    def final(self, kind: str = "best") -> dict[str, list[float]]:
        """Returns searcher -> last value of each seed, in the order of the seeds; NaN for one without a success."""
        curves, last = self.curves(kind), np.maximum(self.queries - 1, 0)[:, :, None]
        if not curves.shape[2]:
            return {name: [math.nan] * len(self.seeds) for name in self.searchers}
        ends = np.take_along_axis(curves, last, axis=2)[:, :, 0]
        return {name: ends[s].tolist() for s, name in enumerate(self.searchers)}

    def best(self, searcher: str, seed: int) -> Architecture:
        """Returns the incumbent of a runner: the fittest architecture that it has evaluated.

        Raises:
            SpecError: the race has no such searcher or seed.
            RunError: none of its evaluations has succeeded yet.
        """
        if searcher not in self.searchers:
            raise SpecError(unknown("searcher", searcher, self.searchers))
        if seed not in self.seeds:
            raise SpecError(f"the seeds of this race are {list(self.seeds)[:20]}; there is no {seed!r}")
        place = self.searchers.index(searcher), self.seeds.index(seed)
        if place not in self._best:
            raise RunError(f"{searcher!r} with seed {seed} has no best architecture: nothing could be evaluated yet")
        return self._best[place][1]

    def rows(self) -> list[dict[str, Scalar]]:
        """Returns one flat dictionary for each evaluation, runner after runner: `pandas.DataFrame(race.rows())`.

        Each has the searcher, the seed, the query (from 1), the fitness and the budget spent; with a table the
        architecture and its number; and `best`, `regret` and, with a table, `rank` of the incumbent (`curves`). `value`
        and `best_value` are `fitness` and `best` in the objective's own direction: of a loss, the loss itself. None
        stands for missing values.
        """
        fitness, spent, numbers, table = self.fitness, self.spent, self.numbers, self.table
        curves = {kind: self.curves(kind) for kind in ("best", "regret", *(("rank",) if table is not None else ()))}
        found: list[dict[str, Scalar]] = []
        for s, name in enumerate(self.searchers):
            for n, seed in enumerate(self.seeds):
                for query in range(int(self.queries[s, n])):
                    at, number = (s, n, query), int(numbers[s, n, query])
                    row: dict[str, Scalar] = {"searcher": name, "seed": seed, "query": query + 1}
                    row |= {"fitness": known(fitness[at]), "spent": known(spent[at])}
                    if table is not None:
                        row["number"] = number if number >= 0 else None
                        architecture = table.benchmark.at(number) if number >= 0 else None
                        row["architecture"] = architecture and architecture_text(architecture, table.space)
                    row["value"] = known(self._seen.sign * fitness[at])
                    row["best_value"] = known(self.objective.sign * curves["best"][at])
                    found.append(row | {kind: known(curve[at]) for kind, curve in curves.items()})
        return found

    def _grid(self, s: int, points: int, even: bool) -> np.ndarray:
        """Returns [P]: grid points for a searcher's curves, from where all seeds have begun to where its slowest is."""
        results = self._results
        if not results.count[s].all():
            return np.zeros(0)
        first = np.nanmax(results.spent[s, :, 0])
        last = self.budget if self._ended(s) and self.cost != EVALUATIONS else results.ends(s).min()
        if last <= first:
            return np.array([first]) if last == first else np.zeros(0)
        if not first and not even:  # a logarithmic axis has no 0
            first = min(results.spent[s][results.spent[s] > 0], default=last)
        grid = np.linspace(first, last, points) if even else np.geomspace(first, last, points)
        if self.cost == EVALUATIONS:
            grid = np.unique(np.round(grid))
        grid[-1] = last
        return grid

    def _ended(self, s: int) -> bool:
        """True if all runners of a searcher have ended."""
        return all(place != s for _, place, _ in self._next)
