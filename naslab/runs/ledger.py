"""What the runners of a race have found, as arrays that grow while it runs.

Shapes: S searchers, N seeds, Q queries, P some of the queries. Another thread may read while one writes.
"""

from __future__ import annotations

import math

import numpy as np

from naslab.analysis.oracle import ranks
from naslab.errors import SpecError, among, unknown

KINDS = ("best", "regret", "rank")
FIRST = 1024
"""Queries that there is room for at the beginning, at most; it doubles when it is needed."""


class Ledger:
    """Every evaluation of every runner.

    Args:
        shape: S, N and how many queries a runner is likely to make.
        utility: what each architecture of the table is worth, more is better; None without a table.
    """

    def __init__(self, shape: tuple[int, int, int], utility: np.ndarray | None) -> None:
        self._goodness = utility
        self._ranks = None if utility is None else ranks(utility)
        shape = (*shape[:2], min(shape[2], FIRST))
        self.fitness, self.spent = np.full(shape, np.nan), np.full(shape, np.nan)
        self.number = np.full(shape, -1, dtype=np.int32)
        """In the table."""
        self._chosen = np.full(shape, -1, dtype=np.int32)  # the query that found the fittest so far
        self.count = np.zeros(shape[:2], dtype=np.int64)

    def note(self, s: int, n: int, fitness: float | None, number: int, spent: float) -> int:
        """Write an evaluation down; the number of the query, from 0."""
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
        self.count[s, n] = query + 1  # last, so that another thread reads only what is complete
        return query

    @property
    def longest(self) -> int:
        """Queries of the runner that has made the most."""
        return int(self.count.max())

    @property
    def optimum(self) -> float:
        """The worth of the best of all: of the table, or of what has been found; NaN while that is nothing."""
        known = self.fitness if self._goodness is None else self._goodness
        return float(np.nanmax(known)) if np.isfinite(known).any() else math.nan

    def curves(self, kind: str, s: int, columns: np.ndarray) -> np.ndarray:
        """[N, P]: of one searcher, what the fittest so far is truly worth, or its regret or rank.

        Args:
            columns: [P] queries, from 0.
        """
        chosen = self._chosen[s][:, columns]
        places = np.maximum(chosen, 0)
        values = self._ranks if kind == "rank" else self._goodness
        if values is None:
            worth = np.take_along_axis(self.fitness[s], places, axis=1)
        else:
            worth = values[np.take_along_axis(self.number[s], places, axis=1)]
        worth = np.where((chosen < 0) | np.isnan(self.spent[s][:, columns]), np.nan, worth)
        return self.optimum - worth if kind == "regret" else worth

    def check(self, kind: str) -> None:
        """`SpecError` if there are no such curves."""
        if not among(kind, KINDS):
            raise SpecError(unknown("kind of curve", kind, KINDS))
        if kind == "rank" and self._ranks is None:
            raise SpecError("a rank needs a table that knows all architectures; this race has none")

    def ends(self, s: int) -> np.ndarray:
        """[n]: what each seed of a searcher that has begun has spent."""
        last = self.count[s] - 1
        return self.spent[s, np.flatnonzero(last >= 0), last[last >= 0]]
