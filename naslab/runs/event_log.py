"""The events of a search in memory."""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import overload

from naslab.events import Event
from naslab.runs.branches import ASIDE_KINDS, Record, Row


class EventLog(Sequence[Event]):
    """A sequence of every event so far, which grows as the search goes on.

    Rows that were on disk when the run was opened are decoded on access, so that opening a long run stays quick.
    """

    def __init__(self, events: list[Event | Record]) -> None:
        self._events = events

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self._events)))]
        place = range(len(self._events))[index]  # from the beginning: another thread may append
        event = self._events[place]
        if isinstance(event, Record):
            self._events[place] = event = event.event
        return event

    def __len__(self) -> int:
        return len(self._events)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} events>"

    def between(self, start: int, step: int) -> list[Event]:
        """Returns the events after step `start`, up to and including those of step `step`."""
        first, last = 0, len(self._events)
        for place in range(last - 1, -1, -1):
            event = self._events[place]
            if event.step > step:
                last = place
            elif event.step == start and event.kind not in ASIDE_KINDS:
                first = place + 1
                break
        return self[first:last]


def within(events: Sequence[Event], first: int, last: int) -> Sequence[Event]:
    """Returns the events of the steps from `first` to `last`, found by bisection.

    Any thread may call this: events that a rewind removes meanwhile are missing from the result.
    """
    step = operator.attrgetter("step")
    try:
        start = bisect_left(events, first, key=step)
        return events[start : bisect_right(events, last, lo=start, key=step)]
    except IndexError:
        return []


def events_of(rows: Sequence[Row | Record]) -> list[Event | Record]:
    """Returns the list behind an `EventLog` from the rows of a store."""
    return [row if isinstance(row, Record) else row.event for row in rows]
