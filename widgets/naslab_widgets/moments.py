"""Steps that a page wants to see again, and has not kept: they come from the search's own events, or its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from naslab.events import Event
from naslab.runs import RunReader
from naslab.runs.branches import ASIDE
from naslab_widgets.figures.sampled import Sampled

Recall = Callable[[int, int], Sequence[Event]]
"""Gives the events of the steps from a first to a last."""
AROUND = 100
"""Steps before and after a moment that come with it."""


class Reread:
    """Finds steps in a run folder again, without all that is between: it remembers where every so many lie.

    Args:
        most: places that are remembered.
    """

    def __init__(self, reader: RunReader, most: int = 2000) -> None:
        self._reader, self._most = reader, most
        self.clear()

    def clear(self) -> None:
        """The run has gone back."""
        self._places = Sampled(self._most)
        self._last = 0

    def take(self, records: Iterable[tuple[int, float, Event]]) -> None:
        """What `RunReader.events` gave."""
        steps = [(event.step, number) for number, _, event in records if not isinstance(event, ASIDE)]
        self._places.extend(steps)
        if steps:
            self._last = steps[-1][1]

    def __call__(self, first: int, last: int) -> list[Event]:
        """The steps from `first` to `last` as they are in the run now, without what was said beside them."""
        kept: list[tuple[int, int]] = self._places.kept
        begin = max((number for step, number in kept if step <= first), default=1)
        end = min((number for step, number in kept if step >= last), default=self._last)
        found: dict[int, Any] = {}
        for record in self._reader.written(begin, end):
            if first <= record.step <= last and record.is_step:
                found[record.step] = record  # of several, all but the last were abandoned
        return [found[step].event for step in sorted(found)]
