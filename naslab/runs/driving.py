"""The state of a search that drives a run, and how it writes to the store: one thread at a time.

Order of locks, outermost first, which is the same everywhere, so that no two threads can wait for each other:

    1. the file `lock` of the run folder    between processes; held from opening to closing (`naslab.runs.folder`)
    2. `_turn`, the searcher's own lock     between threads; held during a step, a rewind, a fork or a measurement
    3. locks of single data structures      wishes, rings of states, lineage: held for a few lines that take no other

`events`, `step`, `settings` and `set` take no `_turn`, and so answer during a long step.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

from naslab.errors import RunError, SpecError, whole
from naslab.events import Event, Recovered
from naslab.runs.branches import ASIDE_KINDS
from naslab.runs.event_log import events_of
from naslab.runs.folder import Folder
from naslab.runs.journal import Superseded
from naslab.runs.live_ranking import LiveRanking
from naslab.runs.replay import Pace
from naslab.runs.ring import Ring
from naslab.runs.store import Store
from naslab.runs.trouble import paused
from naslab.runs.wishes import Wishes
from naslab.searchers import BlackBoxSearch, Sampler, Stepper


class Driving:
    """The part of `naslab.Search` that writes.

    Invariant: after each method, however it ends, the searcher, the store and the list of events agree, or `_lost` or
    `_sure` says that they may not, and the next method restores the agreement first.
    """

    searcher: Stepper
    ranking: LiveRanking | None
    spec: dict[str, Any]
    moved: Callable[[], None]
    _store: Store
    _every: int
    _events: list[Any]
    """All events so far. Those read from disk are undecoded rows, which `EventLog` decodes on access."""
    _ring: Ring
    """Copies of states in memory, in addition to the snapshots of the store."""
    _pace: Pace
    _wishes: Wishes
    _turn: AbstractContextManager[Any]
    """Lock that is held while the searcher or the store is in use. It is the searcher's, and reentrant."""
    _pending: list[Event]
    """Events of a finished step that `next` has not returned yet: the changes before it, and the step last."""
    _lost: bool
    """True if the searcher may not be in the state after `step`, because an advance was interrupted."""
    _sure: bool
    """False if `_events` may differ from the store, because a write was interrupted, perhaps after its commit."""
    _left: str | None
    """Why this object does not drive its run any more; None while it does."""
    _process: int
    _elsewhere: str
    """Why steps of the run may come out differently here: it was begun on another device; "" otherwise."""
    _name: str | None

    @property
    def run(self) -> Path | None:
        """The run folder, absolute; None in memory."""
        return self._store.path if isinstance(self._store, Folder) else None

    @property
    def step(self) -> int:
        """Steps finished."""
        for event in reversed(self._events):
            if event.kind not in ASIDE_KINDS:
                return event.step
        return 0

    def close(self) -> None:
        """Write the pending step, take a snapshot, and release the run."""
        if self._left is not None:
            return
        with self._mine():
            self._write()
            if not self._lost and self.step not in self._store.snapshots():
                try:
                    self._store.save(self.step, self.searcher.state_dict())
                except Superseded as error:  # every step of this search was written before
                    warnings.warn(str(error), stacklevel=2)
                except OSError as error:
                    warnings.warn(
                        f"no snapshot of step {self.step}: {error}. Nothing is lost; opening the run will take longer",
                        stacklevel=2,
                    )
            self._leave("it was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        """Make the pending step durable. It may be repeated after a failure on the way: each part is idempotent.

        The events are committed before the snapshot is written: a snapshot carries the checksum of its row, and a row
        without a snapshot can be recomputed, but not a snapshot without its row.
        """
        if not self._pending:
            return
        step = self._pending[-1].step
        with self._disk(f"step {step}"):
            self._store.append(self._pending)
            if self.step < step:
                self._events.extend(self._pending)
            if (step % self._every == 0 or step == self.searcher.total) and step not in self._store.snapshots():
                self._store.save(step, self.searcher.state_dict())

    def _settle(self) -> None:
        """After an interrupted write: read from the store whether it was committed."""
        if self._sure:
            return
        with self._disk("what was broken off"):
            rows = self._store.rows()
            if len(rows) != len(self._events):
                self._events = events_of(rows)

    def _say(self, event: Event) -> None:
        """Append one event beside the steps."""
        with self._disk(f"the event {event.kind!r}"):
            self._store.append([event])
            self._events.append(event)

    def _warn(self, note: str) -> None:
        """Warn the user, and log the warning as a `Recovered` event."""
        warnings.warn(f"{self.run or 'search'}: {note}", stacklevel=4)
        self._note(note)

    def _note(self, note: str) -> None:
        """Log a note as a `Recovered` event."""
        self._say(Recovered(step=self.step, message=note))

    def _leave(self, why: str) -> None:
        """Stop driving the run: release its memory, its workers, its files and at last its lock."""
        self._left = why
        self._ring.clear()
        self.searcher.close()
        self._store.close()

    def _check_step(self, step: int, end: int | None = None) -> int:
        """Returns the step as a Python int; `RunError` unless it is from 0 to `end`, the last one done by default."""
        end = self.step if end is None else end
        try:
            number = whole("step", step)
        except SpecError:
            number = -1
        if not 0 <= number <= end:
            raise RunError(f"step must be one that is done, 0 to {end}, not {step!r:.200}")
        return number

    def _check_mine(self) -> None:
        if self._process != os.getpid():
            raise RunError(f"this search belongs to process {self._process}; a forked process cannot drive it")
        if self._left is not None:
            advice = "" if self.run is None else f"; go on with Search.open({str(self.run)!r})"
            raise RunError(f"this search does not drive its run any more: {self._left}{advice}")

    @contextmanager
    def _mine(self, *, settled: bool = True) -> Iterator[None]:
        """Holds the lock; `RunError` if this object does not drive the run any more."""
        with self._turn:
            self._check_mine()
            if settled:
                self._settle()
            yield

    @contextmanager
    def _disk(self, what: str) -> Iterator[None]:
        """Wraps writes to the store and to `_events`, which must agree.

        The flag is lowered first and raised only at the end of a success: an interrupt at any line in between leaves it
        down, and `_settle` then reads what was committed.
        """
        self._sure = False
        try:
            yield
        except (Superseded, OSError) as error:
            raise paused(what, self.run or Path(), error) from error
        self._sure = True


def stepper_of(searcher: Any, estimator: Any, budget: int | None, workers: int, executor: Executor | None) -> Stepper:
    """Returns the object that a search advances: the searcher itself, or a `BlackBoxSearch` around a sampler."""
    if isinstance(searcher, Sampler):
        return BlackBoxSearch(searcher, estimator, budget, workers=workers, executor=executor)
    if isinstance(searcher, type) or not hasattr(searcher, "advance"):
        raise SpecError(
            "Search drives a searcher, for instance nl.searchers.Darts(space, task), or a sampler with estimator=... "
            f"and budget=...; not {searcher!r:.200}"
        )
    if (estimator, budget, workers, executor) != (None, None, 1, None):
        raise SpecError(
            f"estimator=..., budget=..., workers=... and executor=... are for samplers; {searcher.name!r} trains on "
            "its own task, and its hyperparameters say for how long"
        )
    return searcher


def differing(was: Any, now: Any) -> str:
    """Returns what two specs say differently, by name, for an error text; "" if they are equal.

    Args:
        was: the spec that was read from a run folder.
        now: the spec of what was handed over, which has tuples where a folder has lists.
    """
    given = _flat(json.loads(json.dumps(now, default=str)))
    pairs = {name: (value, given.get(name)) for name, value in _flat(was).items()}
    told = [
        f"{name} was {before!r:.60}, now {after!r:.60}" for name, (before, after) in pairs.items() if before != after
    ]
    return f" ({'; '.join(told[:3])})" if told else ""


def _flat(spec: Any, above: str = "") -> dict[str, Any]:
    """Returns the values of nested mappings, "outer.inner" -> value."""
    if not isinstance(spec, Mapping):
        return {above: spec} if above else {}
    found: dict[str, Any] = {}
    for name, value in spec.items():
        found |= _flat(value, f"{above}.{name}" if above else str(name))
    return found
