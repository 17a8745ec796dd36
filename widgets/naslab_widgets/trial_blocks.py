"""What travels to the browser of a search of trials: tables of float64 that grow, thinned where they are long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from naslab_widgets.figures.trial_table import TrialTable
from naslab_widgets.rows import Sampled


class Packet(NamedTuple):
    """Rows of a table, and what the browser does with them."""

    name: str
    rows: np.ndarray
    """[T, W]; NaN for what is not there."""
    reset: bool
    """Whether they replace all rows before, or are added to them."""
    stride: int = 1
    """Of the rows that there are, every how many are in the table; the browser thins its own to the same."""
    columns: Sequence[tuple[str, int]] | None = None
    """(name, width) of the columns after the first, where they may change."""

    def head(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "width": self.rows.shape[1],
            "reset": self.reset,
            "stride": self.stride,
            "columns": self.columns,
        }


class TrialRows:
    """Every stride-th trial of a table."""

    def __init__(self, table: TrialTable, limit: int = 4000) -> None:
        self._table, self._sampled, self._sent = table, Sampled(limit), 0

    def grow(self) -> None:
        """Take in what the table has got since."""
        self._sampled.extend(range(self._sampled.seen, len(self._table)))

    def packet(self, fresh: bool) -> Packet:
        places = self._sampled.kept if fresh else self._sampled.since(self._sent)
        self._sent = self._sampled.seen
        return Packet("trials", self._table.rows[places], fresh, self._sampled.stride)

    def missing(self, places: Sequence[int]) -> list[int]:
        """Those of the rows that are not among the sampled ones."""
        return [place for place in places if place % self._sampled.stride]


class NamedValues:
    """Figures by name that come with the trials, a number or a list of numbers each; the names may change."""

    def __init__(self, name: str, limit: int, most: int) -> None:
        """
        Args:
            limit: rows.
            most: columns in all; figures for which there is no room are left out.
        """
        self.name, self._most = name, most
        self._sampled, self._sent = Sampled(limit), 0
        self.widths: dict[str, int] = {}
        """Figure -> how many numbers it has had at most, in the order of the columns."""

    @property
    def kept(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Every stride-th of what came."""
        return self._sampled.kept

    def extend(self, items: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """More of them: (step, figures)."""
        if items:
            self._sampled.extend(items)

    def packet(self, fresh: bool) -> Packet | None:
        """Rows [T, 1 + widths]: the step, then the figures, NaN where there was none. None if nothing is new."""
        news = self._sampled.since(self._sent)
        if not (news or fresh):
            return None
        if self._fit(news) or fresh:
            news, fresh = self._sampled.kept, True
        self._sent = self._sampled.seen
        starts, end = {}, 1
        for name, width in self.widths.items():
            starts[name], end = end, end + width
        rows = np.full((len(news), end), np.nan)
        for row, (step, figures) in zip(rows, news, strict=True):
            row[0] = step
            for name, value in figures.items():
                if name in starts:
                    numbers = np.ravel(value)[: self.widths[name]]
                    row[starts[name] : starts[name] + len(numbers)] = numbers
        return Packet(self.name, rows, fresh, self._sampled.stride, list(self.widths.items()))

    def _fit(self, items: Sequence[tuple[int, Mapping[str, Any]]]) -> bool:
        """Make room for names and lengths that are new; whether there were any."""
        before = dict(self.widths)
        for _, figures in items:
            for name, value in figures.items():
                width = np.size(value)
                grown = width - self.widths.get(name, 0)
                if grown > 0 and sum(self.widths.values()) + grown <= self._most:
                    self.widths[name] = width
        return self.widths != before
