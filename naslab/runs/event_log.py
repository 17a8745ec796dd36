"""The events of a search in memory."""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import overload

from naslab.events import Event
from naslab.runs.branches import ASIDE_KINDS, Record, Row


class EventLog(Sequence[Event]):
    """Every event so far, in order; it grows as the search goes on.

    What stood on disk when the run was opened becomes an event when it is asked for.
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
        place = range(len(self._events))[index]  # counted from the beginning, for the end may move meanwhile
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
        """What came after a step, up to a later one and with it."""
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
    """The events of the steps from `first` to `last`, found by bisection. Any thread: what a search that goes back
    takes away meanwhile is missing.
    """
    step = operator.attrgetter("step")
    try:
        start = bisect_left(events, first, key=step)
        return events[start : bisect_right(events, last, lo=start, key=step)]
    except IndexError:
        return []


def events_of(rows: Sequence[Row | Record]) -> list[Event | Record]:
    """What an `EventLog` is made of, from the rows of a store."""
    return [row if isinstance(row, Record) else row.event for row in rows]
