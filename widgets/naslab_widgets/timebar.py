"""The bar that a search's time runs along, with a mark for everything that one may want to go back to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from naslab import markup
from naslab.events import HAND, Acted, Changed, Event, Measured, Phase, Ranked, Recovered
from naslab_widgets.figures.sampled import Sampled
from naslab_widgets.sections import Section
from naslab_widgets.wire import describe

MOST_MARKS = 200
"""Of what was said at steps, of each kind."""
MOST_SNAPSHOTS = 24
SELDOM = 1.0
"""Seconds between two looks for snapshots and forks."""
KINDS: Mapping[type[Event], str] = {
    Changed: "changed",
    Acted: "changed",
    Phase: "changed",
    Measured: "measured",
    Ranked: "measured",
    Recovered: "warning",
}
"""Event -> kind of its mark; also "snapshot" and "fork"."""

LabelledStep = tuple[int, str]
"""A step, and what is to be said of it."""


class TimeBar(Section):
    """Keeps the marks of one search, a bounded number however long it is. `take` may be called from any thread.

    The moment that one looks back to is a thing of the page alone (`static/bus.js`): the search knows nothing of it.

    Args:
        snapshots: gives the steps that the search can go back to at once, in order.
        forks: gives the steps at which others were forked from it, and their names.
        clock: seconds; for tests.
    """

    name = "timebar"

    def __init__(
        self,
        *,
        snapshots: Callable[[], Iterable[int]] = lambda: (),
        forks: Callable[[], Iterable[LabelledStep]] = lambda: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshots, self._forks, self._clock = snapshots, forks, clock
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget all marks: the search has gone back."""
        with self._lock:
            self._said = {kind: Sampled(MOST_MARKS) for kind in dict.fromkeys(KINDS.values())}
            self._found_at = -math.inf
            self._found: list[list[Any]] = []
            self._marks: list[list[Any]] | None = None

    def take(self, *events: Event) -> None:
        """Events in their order; of those beside the steps there are marks."""
        marks = [(KINDS[type(event)], _mark(event)) for event in events if type(event) in KINDS]
        with self._lock:
            for kind, mark in marks:
                self._said[kind].extend([mark])
                self._marks = None

    def state(self) -> dict[str, Any]:
        """`marks`: [step, kind, sentence] each, in the order of the steps."""
        with self._lock:
            if self._clock() - self._found_at >= SELDOM:
                self._found_at, found = self._clock(), self._find_marks()
                if found != self._found:
                    self._found, self._marks = found, None
            if self._marks is None:
                said = [[step, kind, text] for kind, some in self._said.items() for step, text in some.kept]
                self._marks = sorted(said + self._found, key=lambda mark: mark[0])
            return {"marks": self._marks}

    def _find_marks(self) -> list[list[Any]]:
        """The marks of what is no event."""
        kept = [
            [step, "snapshot", f"step {step:,}: a snapshot, which the search is back at at once"]
            for step in spread(self._snapshots(), MOST_SNAPSHOTS)
        ]
        forks = [[step, "fork", f"step {step:,}: {markup.clean(name)} was forked here"] for step, name in self._forks()]
        return kept + forks[-MOST_MARKS:]


def spread(steps: Iterable[int], most: int) -> list[int]:
    """At most so many of the steps, which are in order: the first in each stretch of a power of two, so that those that
    stay are the same ones for long while others come and go."""
    found = list(steps)
    width = 1
    while found and (found[-1] - found[0]) // width >= most:
        width *= 2
    chosen: dict[int, int] = {}
    for step in found:
        chosen.setdefault((step - found[0]) // width, step)
    return list(chosen.values())


def _mark(event: Event) -> tuple[int, str]:
    who = getattr(event, "who", "")
    by = f", by {'hand' if who == HAND else markup.clean(who)}" if who else ""
    return event.step, f"step {event.step:,}: {describe(event)}{by}"
