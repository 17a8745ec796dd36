"""The size of the mini-batches that a search moves by, which may change from one epoch to the next.

Whatever follows from it (how many steps there are, where a schedule stands) is counted in epochs, and so follows.
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
"""What `set` calls it."""
ABOUT = "Examples in a mini-batch, from the next epoch on."


class BatchSize:
    """The sizes of several streams, which change together.

    Args:
        feeds: the first counts the epochs.
        epochs: of the whole search.
        begin: (feed, an epoch) -> the first mini-batch of that feed in this epoch.
    """

    def __init__(self, feeds: list[Feed], epochs: int, begin: Callable[[Feed, int], int]) -> None:
        self._feeds, self._epochs, self._begin = feeds, epochs, begin

    @property
    def changed(self) -> bool:
        """Whether it has ever changed."""
        return any(len(feed.timetable.sizes) > 1 for feed in self._feeds)

    @property
    def timetable(self) -> Timetable:
        return self._feeds[0].timetable

    def now(self, step: int) -> int:
        """Examples in the mini-batch of a step of the first feed."""
        return self.timetable.size(min(step, self.timetable.total(self._epochs) - 1))

    def setting(self, step: int) -> Count:
        """What is set; it is of the next epoch, if another size acts in a step of the first feed yet."""
        value, now = self.timetable.batch_size, self.now(step)
        most = min(len(feed.timetable.stream) for feed in self._feeds)
        return Count(value=value, high=max(value, most), now=None if now == value else now, description=ABOUT)

    def _epoch(self, step: int) -> int:
        """The first epoch that has not begun when so many steps of the first feed are done."""
        epoch, position = self.timetable.locate(step)
        return epoch + bool(position)

    def _resized(self, value: int, step: int) -> list[Timetable]:
        """The timetables with another size."""
        epoch, found = self._epoch(step), []
        for feed in self._feeds:
            timetable = copy.copy(feed.timetable)
            timetable.resize(timetable.resized(value, self._begin(feed, epoch)))
            found.append(timetable)
        return found

    def check(self, value: int, step: int) -> int:
        """The value; `SpecError` where it can act on no step, or the data has no mini-batch of that size."""
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
        """From the next epoch on, mini-batches have so many examples."""
        for feed, timetable in zip(self._feeds, self._resized(value, step), strict=True):
            feed.resize(timetable.sizes)

    def epochs_of(self, values: Mapping[str, Any], step: int) -> Timetable:
        """The timetable of the first feed, were these settings put into force."""
        value = values.get(BATCH_SIZE, self.timetable.batch_size)
        return self.timetable if value == self.timetable.batch_size else self._resized(value, step)[0]
