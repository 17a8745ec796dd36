"""The batch size of a search, which may change from one epoch to the next.

The number of steps and the position in a schedule depend on it. Both are computed from epochs, so that they stay right.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import DataError, SpecError
from naslab.searchers.feed import Feed
from naslab.searchers.settings import Count
from naslab.tasks.streams import Timetable

BATCH_SIZE = "batch_size"
"""Name of the setting."""
ABOUT = "Examples in a mini-batch, from the next epoch on."


class BatchSize:
    """The common batch size of several streams.

    Args:
        feeds: the streams; the first one counts the epochs.
        epochs: epochs of the whole search.
        begin: (feed, epoch) -> number of the first mini-batch of that feed in this epoch.
    """

    def __init__(self, feeds: list[Feed], epochs: int, begin: Callable[[Feed, int], int]) -> None:
        self._feeds, self._epochs, self._begin = feeds, epochs, begin

    @property
    def changed(self) -> bool:
        """True if the size has ever changed."""
        return any(len(feed.timetable.sizes) > 1 for feed in self._feeds)

    @property
    def timetable(self) -> Timetable:
        return self._feeds[0].timetable

    def now(self, step: int) -> int:
        """Returns the examples in the mini-batch of a step of the first feed."""
        return self.timetable.size(min(step, self.timetable.total(self._epochs) - 1))

    def setting(self, step: int) -> Count:
        """Returns the setting. Its `now` is the size in force at a step of the first feed, if a new one acts later."""
        value, now = self.timetable.batch_size, self.now(step)
        most = min(len(feed.timetable.stream) for feed in self._feeds)
        return Count(value=value, high=max(value, most), now=None if now == value else now, description=ABOUT)

    def _epoch(self, step: int) -> int:
        """Returns the first epoch that has not begun after `step` steps of the first feed."""
        epoch, position = self.timetable.locate(step)
        return epoch + bool(position)  # a step in the middle of an epoch: only the next one can begin with a new size

    def _resized(self, value: int, step: int) -> list[Timetable]:
        """Returns copies of the timetables with another size from the next epoch on."""
        epoch, found = self._epoch(step), []
        for feed in self._feeds:
            timetable = copy.copy(feed.timetable)
            timetable.resize(timetable.resized(value, self._begin(feed, epoch)))
            found.append(timetable)
        return found

    def check(self, value: int, step: int) -> int:
        """Returns the value. Raises `SpecError` if no step is left to use it, or the data has too few examples."""
        if value == self.timetable.batch_size:
            return value
        if self._epoch(step) >= self._epochs:
            raise SpecError(
                f"{BATCH_SIZE} acts from the next epoch on, and this is the last of {self._epochs}; "
                "search.rewind(step) or search.fork(run, step) goes back to an earlier one"
            )
        try:
            self._resized(value, step)
        except DataError as error:
            raise SpecError(f"{BATCH_SIZE}: {error}") from None
        return value

    def put(self, value: int, step: int) -> None:
        """Set the examples in a mini-batch from the next epoch on."""
        for feed, timetable in zip(self._feeds, self._resized(value, step), strict=True):
            feed.resize(timetable.sizes)

    def epochs_of(self, values: Mapping[str, Any], step: int) -> Timetable:
        """Returns the timetable that the first feed would have under these values of settings."""
        value = values.get(BATCH_SIZE, self.timetable.batch_size)
        return self.timetable if value == self.timetable.batch_size else self._resized(value, step)[0]
