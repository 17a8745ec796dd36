"""The results of all runners of a race, as arrays that grow while it runs.

Shapes: S searchers, N seeds, Q queries (evaluations of one runner), P selected queries. One thread writes; others may
read meanwhile.
"""

from __future__ import annotations

import math

import numpy as np

from naslab.analysis.oracle import ranks
from naslab.errors import SpecError, among, unknown

KINDS = ("best", "regret", "rank")
FIRST = 1024
"""Largest initial capacity in queries. It doubles whenever it is full, so that appending costs O(1) on average."""


class RaceResults:
    """Every evaluation of every runner.

    Args:
        shape: S, N and the expected number of queries of a runner.
        utility: true value of each architecture of the table, more being better; None without a table.
    """

    def __init__(self, shape: tuple[int, int, int], utility: np.ndarray | None) -> None:
        self._utility = utility
        self._ranks = None if utility is None else ranks(utility)
        shape = (*shape[:2], min(shape[2], FIRST))
        self.fitness, self.spent = np.full(shape, np.nan), np.full(shape, np.nan)
        self.number = np.full(shape, -1, dtype=np.int32)
        """[S, N, Q]: number of the architecture in the table; -1 for none."""
        self._chosen = np.full(shape, -1, dtype=np.int32)  # [S, N, Q]: query of the fittest so far
        self.count = np.zeros(shape[:2], dtype=np.int64)

    def note(self, s: int, n: int, fitness: float | None, number: int, spent: float) -> int:
        """Record an evaluation; returns the number of the query, from 0."""
        query = int(self.count[s, n])
        if query == self.fitness.shape[2]:
            for name, empty in (("fitness", np.nan), ("spent", np.nan), ("number", -1), ("_chosen", -1)):
                kept = getattr(self, name)
                setattr(self, name, np.concatenate([kept, np.full_like(kept, empty)], axis=2))
        best = self._chosen[s, n, query - 1] if query else -1
        self.spent[s, n, query] = spent
        if fitness is not None:
            self.fitness[s, n, query], self.number[s, n, query] = fitness, number
            if best < 0 or fitness > self.fitness[s, n, best]:
                best = query
        self._chosen[s, n, query] = best
        self.count[s, n] = query + 1  # last: another thread reads only complete entries
        return query

    @property
    def longest(self) -> int:
        """Number of queries of the runner that has made the most."""
        return int(self.count.max())

    @property
    def optimum(self) -> float:
        """Best value of the table; without a table, of all evaluations so far. NaN before the first success."""
        known = self.fitness if self._utility is None else self._utility
        return float(np.nanmax(known)) if np.isfinite(known).any() else math.nan

    def curves(self, kind: str, s: int, columns: np.ndarray) -> np.ndarray:
        """Returns [N, P]: true value, regret or rank of the incumbent, the fittest candidate so far.

        The incumbent is chosen by the fitness that the searcher sees and valued by the truth, as a user would have to.

        Args:
            kind: "best", "regret" or "rank".
            s: index of the searcher.
            columns: [P] queries, from 0.
        """
        chosen = self._chosen[s][:, columns]
        places = np.maximum(chosen, 0)  # -1, before the first success, is replaced by NaN below
        values = self._ranks if kind == "rank" else self._utility
        if values is None:
            worth = np.take_along_axis(self.fitness[s], places, axis=1)
        else:
            worth = values[np.take_along_axis(self.number[s], places, axis=1)]
        worth = np.where((chosen < 0) | np.isnan(self.spent[s][:, columns]), np.nan, worth)
        return self.optimum - worth if kind == "regret" else worth

    def check(self, kind: str) -> None:
        """Raises `SpecError` if there are no curves of that kind."""
        if not among(kind, KINDS):
            raise SpecError(unknown("kind of curve", kind, KINDS))
        if kind == "rank" and self._ranks is None:
            raise SpecError("a rank needs a table that knows all architectures; this race has none")

    def ends(self, s: int) -> np.ndarray:
        """Returns [n]: the budget spent by each seed of a searcher that has made an evaluation."""
        last = self.count[s] - 1
        return self.spent[s, np.flatnonzero(last >= 0), last[last >= 0]]
