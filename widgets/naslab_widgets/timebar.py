"""The time bar of a search, with a mark for every step that the user may want to go back to."""

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
"""Marks of each kind, at most: beyond that they are thinned evenly."""
MOST_SNAPSHOTS = 24
SELDOM = 1.0
"""Minimum seconds between two searches for snapshots and forks, which read the run folder."""
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
"""A step and its label."""


class TimeBar(Section):
    """Keeps the marks of one search, in bounded memory. `take` and `state` may be called in any thread; `_lock` guards
    both.

    The earlier step that the user looks at is known to the page alone (`static/bus.js`); it does not touch the search.

    Args:
        snapshots: returns the steps that have a snapshot, in order.
        forks: returns the step and the name of each fork.
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
        """Forget all marks: the search was rewound."""
        with self._lock:
            self._said = {kind: Sampled(MOST_MARKS) for kind in dict.fromkeys(KINDS.values())}
            self._found_at = -math.inf
            self._found: list[list[Any]] = []
            self._marks: list[list[Any]] | None = None

    def take(self, *events: Event) -> None:
        """Add events in their order; those beside the steps get marks."""
        marks = [(KINDS[type(event)], _mark(event)) for event in events if type(event) in KINDS]
        with self._lock:
            for kind, mark in marks:
                self._said[kind].extend([mark])
                self._marks = None

    def state(self) -> dict[str, Any]:
        """Returns `marks`: [step, kind, tooltip] each, ordered by step."""
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
        """Returns the marks of snapshots and forks, which are not events."""
        kept = [
            [step, "snapshot", f"step {step:,}: a snapshot, so going back here takes no time"]
            for step in spread(self._snapshots(), MOST_SNAPSHOTS)
        ]
        forks = [[step, "fork", f"step {step:,}: {markup.clean(name)} was forked here"] for step, name in self._forks()]
        return kept + forks[-MOST_MARKS:]


def spread(steps: Iterable[int], most: int) -> list[int]:
    """Returns at most `most` of the steps, which are in order: the first in each interval of a power of two.

    So the same steps stay while snapshots come and go, and the marks do not jump.
    """
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
