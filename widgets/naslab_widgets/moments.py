"""Earlier steps that a page asks for and no longer has: read from the events in memory, or from the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from naslab.events import Event
from naslab.runs import RunReader
from naslab.runs.branches import ASIDE
from naslab_widgets.figures.sampled import Sampled

Recall = Callable[[int, int], Sequence[Event]]
"""Returns the events of the steps from a first to a last, both included."""
AROUND = 100
"""Steps before and after the requested one that are sent along."""


class Reread:
    """Reads single steps of a run folder again, without reading the whole log.

    It remembers the row numbers of evenly spaced steps, between which the requested ones must lie.

    Args:
        reader: the run folder.
        most: row numbers that are remembered, at most.
    """

    def __init__(self, reader: RunReader, most: int = 2000) -> None:
        self._reader, self._most = reader, most
        self.clear()

    def clear(self) -> None:
        """Forget all row numbers: the run was rewound."""
        self._places = Sampled(self._most)
        self._last = 0

    def take(self, records: Iterable[tuple[int, float, Event]]) -> None:
        """Add records as `RunReader.events` returns them."""
        steps = [(event.step, number) for number, _, event in records if not isinstance(event, ASIDE)]
        self._places.extend(steps)
        if steps:
            self._last = steps[-1][1]

    def __call__(self, first: int, last: int) -> list[Event]:
        """Returns the events of the steps from `first` to `last` in the current branch, without events beside the
        steps.
        """
        kept: list[tuple[int, int]] = self._places.kept
        begin = max((number for step, number in kept if step <= first), default=1)
        end = min((number for step, number in kept if step >= last), default=self._last)
        found: dict[int, Any] = {}
        for record in self._reader.written(begin, end):
            if first <= record.step <= last and record.is_step:
                found[record.step] = record  # the log is append-only: after a rewind, the last of several counts
        return [found[step].event for step in sorted(found)]
