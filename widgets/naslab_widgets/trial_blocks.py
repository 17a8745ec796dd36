"""Data of a search of trials for the page: growing tables of float64, thinned when they are long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from naslab_widgets.figures.trial_table import TrialTable
from naslab_widgets.rows import Sampled


class Packet(NamedTuple):
    """Rows of a table, and how the page applies them."""

    name: str
    rows: np.ndarray
    """[T, W] float64; NaN for missing values."""
    reset: bool
    """True if they replace all earlier rows, False if they are appended."""
    stride: int = 1
    """Every stride-th row is in the table; the page thins its own rows to the same stride."""
    columns: Sequence[tuple[str, int]] | None = None
    """(name, width) of the columns after the first, for tables whose columns may change."""

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
        """Sample the rows that were added to the table since the last call."""
        self._sampled.extend(range(self._sampled.seen, len(self._table)))

    def packet(self, fresh: bool) -> Packet:
        places = self._sampled.kept if fresh else self._sampled.since(self._sent)
        self._sent = self._sampled.seen
        return Packet("trials", self._table.rows[places], fresh, self._sampled.stride)

    def missing(self, places: Sequence[int]) -> list[int]:
        """Returns the given rows that are not among the sampled ones."""
        # `Sampled` keeps the multiples of its stride.
        return [place for place in places if place % self._sampled.stride]


class NamedValues:
    """Named values that come with the trials, a number or a list of numbers each; the names may change."""

    def __init__(self, name: str, limit: int, most: int) -> None:
        """
        Args:
            limit: maximum number of rows.
            most: maximum number of columns in all; values beyond it are left out.
        """
        self.name, self._most = name, most
        self._sampled, self._sent = Sampled(limit), 0
        self.widths: dict[str, int] = {}
        """Name -> largest number of values seen so far, in the order of the columns."""

    @property
    def kept(self) -> list[tuple[int, Mapping[str, Any]]]:
        """Every stride-th of the items, as (step, values)."""
        return self._sampled.kept

    def extend(self, items: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Add items (step, values)."""
        if items:
            self._sampled.extend(items)

    def packet(self, fresh: bool) -> Packet | None:
        """Returns rows [T, 1 + widths]: the step, then the values, NaN where one is missing; None if nothing is new.

        New columns move the others, so that all kept rows are then sent again.
        """
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
        """Add columns for new names and longer lists; returns True if any were added."""
        before = dict(self.widths)
        for _, figures in items:
            for name, value in figures.items():
                width = np.size(value)
                grown = width - self.widths.get(name, 0)
                if grown > 0 and sum(self.widths.values()) + grown <= self._most:
                    self.widths[name] = width
        return self.widths != before
