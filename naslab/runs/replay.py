"""Restoring the state after a step: load the newest stored state that is not later, and repeat the steps from there.

    state <- newest of the snapshots (`naslab.runs.store`) and the copies in memory (`naslab.runs.ring`)
    for each logged step after it:
        apply the logged changes and acts of that step
        repeat the step; it must equal the logged event bit for bit, else `Differs`; where the device does not compute
        the same bits twice, it must equal it but for rounding, else that stored state is the one that is restored

That works because a searcher is a function of its seed, its state and these changes: its random numbers are drawn from
(seed, purpose, step), never from a generator that would have to be wound on (`naslab.randomness`). A step that is
repeated by a black-box search observes the logged result, and evaluates nothing.
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

from naslab.errors import Cancelled, Diverged, RunError, SnapshotDamaged
from naslab.events import Acted, Changed, Evaluated, Event
from naslab.progress import SOON
from naslab.runs.branches import ASIDE, ASIDE_KINDS, Record, Row
from naslab.runs.event_log import EventLog
from naslab.runs.ring import Ring
from naslab.runs.rounding import TOLERANCE, deviation
from naslab.runs.store import Store
from naslab.searchers import Stepper
from naslab.snapshot import State

LONG_REPLAY = 20
"""Smallest number of repeated steps that shows a progress bar."""


class Differs(RunError):
    """A repeated step did not equal the logged one."""

    def __init__(self, logged: Event, again: Event, start: int, run: Path | None) -> None:
        self.start = start
        before, now = _as_texts(logged), _as_texts(again)
        fields = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        self.what = f"step {logged.step} was done again and came out differently ({', '.join(fields)})"
        way = f"Search.open({str(run)!r}, strict=False)" if run else f"fork(step={start}) begins, and rewind({start})"
        super().__init__(
            f"{self.what}. Results are equal bit for bit only with the same torch, processor, number of "
            f"threads and version of naslab's arithmetic. "
            f"{way} goes on from the snapshot of step {start} and keeps the steps after it as abandoned"
        )


class Follow:
    """Reports the progress of repeated steps, and cancels them on request.

    Args:
        progress: called with the number of steps repeated so far and their total; an exception of it ends them.
        cancel: once it is set, from any thread, `Cancelled` is raised after the current step.
    """

    def __init__(
        self, progress: Callable[[int, int], object] | None = None, cancel: threading.Event | None = None
    ) -> None:
        self._progress, self._cancel = progress, cancel

    @property
    def shown(self) -> bool:
        """True if the caller shows the progress, so that no progress bar is needed."""
        return self._progress is not None

    def at(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(f"cancelled when {done} of {total} steps were done again; everything is as it was before")


class Pace:
    """Estimate of the time that repeating a step takes: the larger of two medians, over the last 15 steps that were
    done, and over the last 15 that were repeated. A median ignores the steps during which the machine was busy.

    Args:
        rows: rows of a run that is opened. The times between them stand for the durations of steps, except for
            evaluations, whose results are not computed again when they are repeated.
    """

    def __init__(self, rows: Sequence[Row | Record]) -> None:
        self._last: deque[float] = deque(maxlen=15)
        steps = (row for row in reversed(rows) if _kind(row) not in ASIDE_KINDS)
        written = [row.time for row in islice(steps, 16) if _kind(row) != Evaluated.kind]
        self._last.extend(later - earlier for later, earlier in pairwise(written) if later > earlier)
        self._again: deque[float] = deque(maxlen=15)
        self.last = 0.0
        """Duration in seconds of the last step that was done here."""

    def record(self, seconds: float, *, again: bool = False) -> None:
        """Record the duration of a step; `again` for a repeated one."""
        self.last = seconds
        (self._again if again else self._last).append(seconds)

    @property
    def seconds(self) -> float | None:
        """Estimated seconds per repeated step; None while no step has been timed."""
        known = [statistics.median(one) for one in (self._last.copy(), self._again.copy()) if one]
        return max(known, default=None)


class Cost(NamedTuple):
    """The expected cost of restoring the state after a step."""

    step: int
    """The step to restore."""
    start: int
    """The step of the stored state to begin from: in memory, on disk, or the beginning."""
    seconds: float | None
    """Expected seconds; None while no step has been timed here."""
    end: int
    """The current step of the search. A rewind abandons those after `step` up to it."""

    @property
    def again(self) -> int:
        """Number of steps that are repeated."""
        return self.step - self.start

    @property
    def sentence(self) -> str:
        """The cost in words."""
        if not self.again:
            return "at once"
        first, several = self.start + 1, self.again > 1
        which = f"steps {first} to {self.step} are" if several else f"step {first} is"
        if self.seconds is None:
            return f"{which} done again"
        return f"{which} done again, in about {max(self.seconds, 0.1):.1f} s"

    @property
    def left(self) -> str:
        """The steps that a rewind would abandon, in words; empty if there are none."""
        if self.step == self.end:
            return ""
        first, several = self.step + 1, self.end > self.step + 1
        return f"steps {first} to {self.end} stay" if several else f"step {first} stays"

    def __str__(self) -> str:
        return f"{self.sentence}; {self.left} in the run as abandoned" if self.left else self.sentence


def cost(step: int, *, end: int, store: Store, ring: Ring, pace: Pace) -> Cost:
    """Returns the expected cost of `restore_to`."""
    copy = ring.before(step)
    start = max([at for at in store.snapshots() if at <= step], default=0)
    if copy is not None:
        start = max(start, copy.step)
    each = pace.seconds
    # Twice the time of a copy: the state is cloned out of the ring, and the current one is copied first as a way back.
    seconds = None if each is None and step > start else (step - start) * (each or 0.0) + 2 * ring.seconds
    return Cost(step, start, seconds, end)


class Restored(NamedTuple):
    """The state that a searcher was put into."""

    step: int
    """The step whose state it is: the one that was asked for, or `start`, if the steps between are not repeatable."""
    start: int
    """The step of the stored state that was used."""
    damaged: list[str]
    """Notes about damaged snapshots."""
    difference: str
    """Note about repeated steps that differ from the logged ones; "" if they are equal."""


def restore_to(
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
    inexact: str,
) -> Restored:
    """Put a searcher into the state after a step, or after an earlier one if `inexact` and it cannot be repeated.

    Args:
        searcher: the searcher to change. After an error its state is that of some step in between.
        step: a step that is done.
        store: the snapshots.
        ring: the copies in memory; it keeps copies of some of the states that are passed.
        events: all events up to the step, and perhaps later ones.
        begin: rebuilds the searcher as it was before its first step.
        run: the folder of a run that is opened, for messages; None: another step of a run is wanted.
        pace: records the duration of each step.
        follow: reports progress, and cancels.
        inexact: why a repeated step may differ in its last bits; "" if it may not.

    Raises:
        Differs: a repeated step does not equal the logged one, although it should bit for bit.
        Cancelled: `follow` was cancelled.
    """
    start, notes = _start(searcher, step, store, ring, begin)
    again = _Again(searcher, start, run, inexact)
    try:
        _repeat(again, step, events=events, ring=ring, pace=pace, follow=follow)
    except (Differs, Diverged) as error:
        if not inexact:
            raise
        what = error.what if isinstance(error, Differs) else f"repeated steps diverged ({error})"
        start, more = _start(searcher, start, store, ring, begin)
        return Restored(
            start, start, notes + more, f"{inexact}: {what}; the search goes on from the state of step {start}"
        )
    return Restored(step, start, notes, again.difference)


class _Again:
    """Steps that are repeated one after another, and how far they are from the logged ones."""

    def __init__(self, searcher: Stepper, start: int, run: Path | None, inexact: str) -> None:
        self.searcher, self.inexact, self.start = searcher, inexact, start
        self._run = run
        self._farthest, self._at = 0.0, 0

    @property
    def difference(self) -> str:
        """A note about the largest difference; "" if there is none."""
        if not self._at:
            return ""
        return (
            f"{self.inexact}: the steps after step {self.start} were done again, and their figures differ by up to "
            f"{self._farthest:.1g} (at step {self._at}); the search goes on from there"
        )

    def step(self, logged: Event, done: Sequence[Changed | Acted]) -> None:
        """Repeat a step, with the changes and acts before it. Raises `Differs`."""
        for event in done:
            self._do(event)
        self._compare(logged, self.searcher.repeat(logged))

    def _do(self, event: Changed | Acted) -> None:
        if isinstance(event, Changed):
            self.searcher.apply_setting(event.name, event.new)  # without a check: it was checked when it was made
            return
        before = self.searcher.act(event.name, event.arguments)
        self._compare(event, dataclasses.replace(event, before=before))

    def _compare(self, logged: Event, repeated: Event) -> None:
        if repeated == logged:
            return
        far = deviation(logged, repeated) if self.inexact else float("inf")
        if far > TOLERANCE:
            raise Differs(logged, repeated, self.start, self._run)
        if far >= self._farthest:
            self._farthest, self._at = far, logged.step


def _repeat(again: _Again, step: int, *, events: EventLog, ring: Ring, pace: Pace, follow: Follow) -> None:
    """Repeat the logged steps from the loaded state up to a step."""
    logged_events = events.between(again.start, step)
    # A change or an act has the number of the step before which it was made.
    done: dict[int, list[Changed | Acted]] = {}
    for event in logged_events:
        if isinstance(event, Changed | Acted):
            done.setdefault(event.step, []).append(event)
    steps = [event for event in logged_events if not isinstance(event, ASIDE)]
    quiet = follow.shown or len(steps) < LONG_REPLAY
    follow.at(0, len(steps))
    bar = tqdm(steps, desc="steps done again", disable=quiet, leave=False, delay=SOON)
    for number, logged in enumerate(bar, start=1):
        begun = time.perf_counter()
        again.step(logged, done.get(logged.step, []))
        seconds = time.perf_counter() - begun
        pace.record(seconds, again=True)
        if not again.inexact:  # else it may turn out to be no state of these steps
            ring.passed(logged.step, seconds, again.searcher.state_dict)
        follow.at(number, len(steps))


def _start(
    searcher: Stepper, step: int, store: Store, ring: Ring, begin: Callable[[], Stepper]
) -> tuple[int, list[str]]:
    """Load the newest stored state that is not later than the step; returns its step and notes about damaged ones."""
    notes: list[str] = []
    copy = ring.before(step)
    for at in reversed([at for at in store.snapshots() if at <= step]):
        if copy is not None and copy.step >= at:  # the copy in memory is as new, and needs no reading
            break
        try:
            _load(searcher, store.load(at), at)
            return at, notes
        except (SnapshotDamaged, FileNotFoundError) as error:
            store.set_aside(at)
            notes.append(f"{error}; it was set aside, and an earlier one used")
    if copy is not None:
        _load(searcher, copy.cloned(), copy.step)
        return copy.step, notes
    searcher.load_state_dict(begin().state_dict())
    return 0, notes


def _load(searcher: Stepper, state: State, step: int) -> None:
    """Load a state whose checksum is right; `SnapshotDamaged` if it is no state of this searcher and step."""
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


def _as_texts(event: Event) -> dict[str, str]:
    """Returns every field of an event, and every entry of its mappings, as a text that differs for different values."""
    found = {"kind": event.kind}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        entries = value.items() if isinstance(value, Mapping) else [(None, value)]
        for key, item in entries:
            name = field.name if key is None else f"{field.name}/{key}"
            found[name] = repr(item.tolist() if isinstance(item, np.ndarray) else item)
    return found
