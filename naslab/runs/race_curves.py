"""The curves of a race: what the best architecture so far is worth, over what was spent.

Letters in shapes: S searchers, N seeds, Q queries, P points of a grid.
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
from naslab.runs.lanes import Lane
from naslab.runs.ledger import Ledger
from naslab.runs.table import Scalar, architecture_text, known

EVALUATIONS = "evaluations"
"""The cost of a race in which each evaluation costs as much as any other."""


class RaceCurves:
    """The part of a `naslab.runs.race.Race` that reads its results."""

    searchers: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: float
    cost: str
    table: Table | None
    _lanes: Sequence[Sequence[Lane]]
    """[S][N]: the runners."""
    _ledger: Ledger
    _best: dict[tuple[int, int], tuple[float, Architecture]]
    """Place of a runner -> the fittest that it has seen, with its fitness."""
    _next: list[tuple[float, int, int]]
    """Heap of what was spent and the place of each runner that goes on."""

    @property
    def fitness(self) -> np.ndarray:
        """[S, N, Q]: searcher, seed, query; as the searchers saw it. NaN for what failed or was not evaluated."""
        return self._ledger.fitness[:, :, : self._ledger.longest].copy()

    @property
    def spent(self) -> np.ndarray:
        """[S, N, Q]: on the axis of the budget, after each query; NaN for what was not evaluated."""
        return self._ledger.spent[:, :, : self._ledger.longest].copy()

    @property
    def numbers(self) -> np.ndarray:
        """[S, N, Q]: of the architectures in the table; -1 for none."""
        return self._ledger.number[:, :, : self._ledger.longest].copy()

    @property
    def queries(self) -> np.ndarray:
        """[S, N]: how many evaluations each runner has made."""
        return self._ledger.count.copy()

    def curves(self, kind: str = "best") -> np.ndarray:
        """[S, N, Q]: what the fittest architecture so far is truly worth, after each query.

        "best" is that worth, "regret" what it falls short of the best of all (in the table; without one, of the best
        that any runner has found so far), "rank" its place in the table, 1 for the best. NaN before the first success.
        """
        self._ledger.check(kind)
        columns = np.arange(self._ledger.longest)
        return np.stack([self._ledger.curves(kind, s, columns) for s in range(len(self.searchers))])

    @property
    def optimum(self) -> float:
        """The worth of the best of all: of the table, or of what has been found."""
        return self._ledger.optimum

    @property
    def objective(self) -> Objective:
        """What the architectures found are judged by; where less of it is better, `curves` have its negative."""
        return self._seen if self.table is None else self.table.objectives[0]

    @property
    def _seen(self) -> Objective:
        """The objective of the fitness that the searchers see; the bare fitness where they do not see the same."""
        seen = {row[0].objective for row in self._lanes}
        return seen.pop() if len(seen) == 1 else FITNESS

    def bands(self, kind: str = "best", points: int = 120, *, even: bool = False) -> Mapping[str, Band]:
        """Searcher -> its curves over the seeds, summed up on a grid of the budget, as far as all seeds have come.

        Args:
            points: of the grid, at most.
            even: whether the grid is even; if not, it is finer where the budget is small, as curves are.
        """
        ledger = self._ledger
        ledger.check(kind)
        bands = {}
        for s, name in enumerate(self.searchers):
            grid = self._grid(s, points, even)
            if self.cost == EVALUATIONS and len(grid):
                bands[name] = summed_up(grid, ledger.curves(kind, s, grid.astype(np.int64) - 1))
            else:
                columns = np.arange(ledger.longest)
                bands[name] = band(ledger.curves(kind, s, columns), ledger.spent[s][:, columns], grid)
        return bands

    def final(self, kind: str = "best") -> dict[str, list[float]]:
        """Searcher -> what each seed has come to, in the order of the seeds; NaN for one that found nothing."""
        curves, last = self.curves(kind), np.maximum(self.queries - 1, 0)[:, :, None]
        if not curves.shape[2]:
            return {name: [math.nan] * len(self.seeds) for name in self.searchers}
        ends = np.take_along_axis(curves, last, axis=2)[:, :, 0]
        return {name: ends[s].tolist() for s, name in enumerate(self.searchers)}

    def best(self, searcher: str, seed: int) -> Architecture:
        """What a runner would give now: the fittest that it has seen."""
        if searcher not in self.searchers:
            raise SpecError(unknown("searcher", searcher, self.searchers))
        if seed not in self.seeds:
            raise SpecError(f"the seeds of this race are {list(self.seeds)[:20]}; there is no {seed!r}")
        place = self.searchers.index(searcher), self.seeds.index(seed)
        if place not in self._best:
            raise RunError(f"{searcher!r} with seed {seed} has no best architecture: nothing could be evaluated yet")
        return self._best[place][1]

    def rows(self) -> list[dict[str, Scalar]]:
        """The evaluations as flat dictionaries, runner after runner: `pandas.DataFrame(race.rows())`.

        Each holds the searcher, the seed, the query (from 1), its fitness and what the runner had spent; with a table
        the architecture and its number; and what the fittest so far is truly worth, its regret and, with a table, its
        rank (`curves`). `value` and `best_value` are `fitness` and `best` as they are measured, of a loss the loss
        itself. None stands for what is not there.
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
        """[P]: where a searcher's curves are looked at, up to where its slowest seed is."""
        ledger = self._ledger
        if not ledger.count[s].all():
            return np.zeros(0)
        first = np.nanmax(ledger.spent[s, :, 0])
        last = self.budget if self._ended(s) and self.cost != EVALUATIONS else ledger.ends(s).min()
        if last <= first:
            return np.array([first]) if last == first else np.zeros(0)
        if not first and not even:  # what has cost nothing is nowhere on a logarithmic axis
            first = min(ledger.spent[s][ledger.spent[s] > 0], default=last)
        grid = np.linspace(first, last, points) if even else np.geomspace(first, last, points)
        if self.cost == EVALUATIONS:
            grid = np.unique(np.round(grid))
        grid[-1] = last
        return grid

    def _ended(self, s: int) -> bool:
        return all(place != s for _, place, _ in self._next)
