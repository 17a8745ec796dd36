"""How the state after a step is brought back: the newest state before it that was kept, and the steps from there again.

States are kept by the store (`naslab.runs.store`) and in memory (`naslab.runs.ring`).
"""

from __future__ import annotations

import dataclasses
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from naslab.errors import Cancelled, RunError, SnapshotDamaged
from naslab.events import Acted, Changed, Evaluated, Event
from naslab.progress import SOON
from naslab.runs.branches import ASIDE, ASIDE_KINDS, Record, Row
from naslab.runs.event_log import EventLog
from naslab.runs.ring import Ring
from naslab.runs.store import Store
from naslab.searchers import Stepper
from naslab.snapshot import State

LONG_REPLAY = 20
"""Steps done again from which on a progress bar shows them."""


class Differs(RunError):
    """A step that was done again came out differently."""

    def __init__(self, logged: Event, again: Event, start: int, run: Path | None) -> None:
        self.start = start
        before, now = _told(logged), _told(again)
        fields = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        self.what = f"step {logged.step} was done again and came out differently ({', '.join(fields)})"
        way = f"Search.open({str(run)!r}, strict=False)" if run else f"rewind({start})"
        super().__init__(
            f"{self.what}. Results are equal bit for bit only with the same torch, processor, number of "
            f"threads and version of naslab's arithmetic. "
            f"{way} goes on from the snapshot of step {start} and keeps the steps after it as abandoned"
        )


class Follow:
    """Somebody who wants to know how far the steps are that are done again, and may end them.

    Args:
        progress: is told the steps that are done again so far, and how many there are in all. What it raises ends them.
        cancel: once it is set, from whichever thread, `Cancelled` is raised after the step under way.
    """

    def __init__(
        self, progress: Callable[[int, int], object] | None = None, cancel: threading.Event | None = None
    ) -> None:
        self._progress, self._cancel = progress, cancel

    @property
    def told(self) -> bool:
        """Whether somebody else shows how far it is."""
        return self._progress is not None

    def at(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(f"cancelled when {done} of {total} steps were done again; everything is as it was before")


class Pace:
    """How long a step takes that is done again: the median of the last that were, or that were done, if that is more.

    Args:
        rows: of steps that were done elsewhere. They say when each was written; not how long it takes to tell a
            candidate's fitness again, which was evaluated then.
    """

    def __init__(self, rows: Sequence[Row | Record]) -> None:
        self._last: deque[float] = deque(maxlen=15)
        steps = (row for row in reversed(rows) if _kind(row) not in ASIDE_KINDS)
        written = [row.time for row in islice(steps, 16) if _kind(row) != Evaluated.kind]
        self._last.extend(later - earlier for later, earlier in pairwise(written) if later > earlier)
        self._again: deque[float] = deque(maxlen=15)
        self.last = 0.0
        """Seconds of the last step that was done here."""

    def note(self, seconds: float, *, again: bool = False) -> None:
        """A step was done; `again`, and compared with what it was."""
        self.last = seconds
        (self._again if again else self._last).append(seconds)

    @property
    def seconds(self) -> float | None:
        """None while nothing is known."""
        known = [statistics.median(one) for one in (self._last.copy(), self._again.copy()) if one]
        return max(known, default=None)


class Cost(NamedTuple):
    """What it takes to go to a moment of a search, told before."""

    step: int
    start: int
    """The step of the state that is there: in memory, on disk, or that of the beginning."""
    seconds: float | None
    """That it will take, about; None while no step has been done here."""
    end: int
    """The step that the search is at now. Going back leaves those from `step` to it."""

    @property
    def again(self) -> int:
        """Steps that are done again."""
        return self.step - self.start

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.again:
            return "at once"
        first, several = self.start + 1, self.again > 1
        which = f"steps {first} to {self.step} are" if several else f"step {first} is"
        if self.seconds is None:
            return f"{which} done again"
        return f"{which} done again, in about {max(self.seconds, 0.1):.1f} s"

    @property
    def left(self) -> str:
        """What going back leaves behind, for people; empty if nothing."""
        if self.step == self.end:
            return ""
        first, several = self.step + 1, self.end > self.step + 1
        return f"steps {first} to {self.end} stay" if several else f"step {first} stays"

    def __str__(self) -> str:
        return f"{self.sentence}; {self.left} in the run as abandoned" if self.left else self.sentence


def cost(step: int, *, end: int, store: Store, ring: Ring, pace: Pace) -> Cost:
    """What `bring` would take."""
    copy = ring.before(step)
    start = max([at for at in store.snapshots() if at <= step], default=0)
    if copy is not None:
        start = max(start, copy.step)
    each = pace.seconds
    seconds = None if each is None and step > start else (step - start) * (each or 0.0) + 2 * ring.seconds
    return Cost(step, start, seconds, end)


def bring(
    searcher: Stepper,
    step: int,
    *,
    store: Store,
    ring: Ring,
    events: EventLog,
    begin: Callable[[], Stepper],
    run: Path | None,
    pace: Pace,
    follow: Follow,
) -> tuple[int, list[str]]:
    """Put a searcher into the state after a step.

    Args:
        searcher: what to move.
        step: one that is done.
        store: has the snapshots.
        ring: has some in memory, and keeps some of the states that are passed.
        events: all up to the step, and perhaps later ones.
        begin: gives what is driven, as it was before its first step.
        run: the folder, for messages.
        pace: is told how long each step took.
        follow: is told how far it is.

    Returns:
        The step of the snapshot that was taken, and what was damaged.
    """
    start, notes = _start(searcher, step, store, ring, begin)
    again = events.between(start, step)
    done: dict[int, list[Changed | Acted]] = {}
    for event in again:
        if isinstance(event, Changed | Acted):
            done.setdefault(event.step, []).append(event)
    steps = [event for event in again if not isinstance(event, ASIDE)]
    quiet = follow.told or len(steps) < LONG_REPLAY
    follow.at(0, len(steps))
    bar = tqdm(steps, desc="steps done again", disable=quiet, leave=False, delay=SOON)
    for number, logged in enumerate(bar, start=1):
        begun = time.perf_counter()
        for event in done.get(logged.step, []):
            _do(searcher, event, start, run)
        again = searcher.repeat(logged)
        if again != logged:
            raise Differs(logged, again, start, run)
        seconds = time.perf_counter() - begun
        pace.note(seconds, again=True)
        ring.passed(logged.step, seconds, searcher.state_dict)
        follow.at(number, len(steps))
    return start, notes


def _start(
    searcher: Stepper, step: int, store: Store, ring: Ring, begin: Callable[[], Stepper]
) -> tuple[int, list[str]]:
    """Load the newest state that is not later than the step; its own step, and what was damaged."""
    notes: list[str] = []
    copy = ring.before(step)
    for at in reversed([at for at in store.snapshots() if at <= step]):
        if copy is not None and copy.step >= at:
            break
        try:
            _load(searcher, store.load(at), at)
            return at, notes
        except (SnapshotDamaged, FileNotFoundError) as error:
            store.set_aside(at)
            notes.append(f"{error}; it was set aside, and an earlier one used")
    if copy is not None:
        _load(searcher, copy.again(), copy.step)
        return copy.step, notes
    searcher.load_state_dict(begin().state_dict())
    return 0, notes


def _do(searcher: Stepper, event: Changed | Acted, start: int, run: Path | None) -> None:
    """What a hand did, once more."""
    if isinstance(event, Changed):
        searcher.apply_setting(event.name, event.new)  # was checked then
        return
    before = searcher.act(event.name, event.arguments)
    if (again := dataclasses.replace(event, before=before)) != event:
        raise Differs(event, again, start, run)


def _load(searcher: Stepper, state: State, step: int) -> None:
    """Take a snapshot's state. Its checksum is right; whether it is a state of this searcher is seen here."""
    try:
        searcher.load_state_dict(state)
        found = searcher.step
    except Exception as error:
        raise SnapshotDamaged(
            f"the snapshot of step {step} is no state of this searcher ({type(error).__name__}: {error!s:.200})"
        ) from error
    if found != step:
        raise SnapshotDamaged(f"the snapshot of step {step} is of step {found!r:.20}")


def _kind(row: Row | Record) -> str:
    return row.kind if isinstance(row, Record) else row.event.kind


def _told(event: Event) -> dict[str, str]:
    """Every field, and every entry of those that are mappings, as a text that is another for another value."""
    found = {"kind": event.kind}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        entries = value.items() if isinstance(value, Mapping) else [(None, value)]
        for key, item in entries:
            name = field.name if key is None else f"{field.name}/{key}"
            found[name] = repr(item.tolist() if isinstance(item, np.ndarray) else item)
    return found
