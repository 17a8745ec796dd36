"""What a search holds while it drives a run, and how it writes: one thread at a time, and never beside the store."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
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
    """The searcher, the store and the events, which agree after each method however it ends."""

    searcher: Stepper
    ranking: LiveRanking | None
    spec: dict[str, Any]
    moved: Callable[[], None]
    _store: Store
    _every: int
    _events: list[Any]
    """All of them, rows in part; `EventLog` makes events of those that are rows yet."""
    _ring: Ring
    """States that are in memory, besides those of the store."""
    _pace: Pace
    _wishes: Wishes
    _turn: AbstractContextManager[Any]
    """Held while the searcher or the store is in use."""
    _pending: list[Event]
    """A finished step whose event has not been returned yet, with the changes before it."""
    _lost: bool
    """Whether the searcher may not be in the state after `step`: an advance was broken off."""
    _sure: bool
    """Whether `_events` are what the store holds: a write was broken off, perhaps after it was done."""
    _left: str | None
    """Why this object does not drive its run any more."""
    _process: int
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
        """Write what is left, take a snapshot, and let others drive the run."""
        if self._left is not None:
            return
        with self._mine():
            self._write()
            if not self._lost and self.step not in self._store.snapshots():
                try:
                    self._store.save(self.step, self.searcher.state_dict())
                except Superseded as error:  # nothing is missing of what was done here
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
        """Make the pending step durable. May be done again after it failed half-way."""
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
        """After a write that was broken off, wherever that was: hear from the store whether it stands."""
        if self._sure:
            return
        with self._disk("what was broken off"):
            rows = self._store.rows()
            if len(rows) != len(self._events):
                self._events = events_of(rows)

    def _say(self, event: Event) -> None:
        with self._disk(f"the event {event.kind!r}"):
            self._store.append([event])
            self._events.append(event)

    def _warn(self, note: str) -> None:
        warnings.warn(f"{self.run or 'search'}: {note}", stacklevel=4)
        self._say(Recovered(step=self.step, message=note))

    def _leave(self, why: str) -> None:
        self._left = why
        self._ring.clear()
        self.searcher.close()
        self._store.close()

    def _check_step(self, step: int, end: int | None = None) -> int:
        """The step as an int of Python's; `RunError` if it is none that is done."""
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
        """Take the turn, if the run is still this object's to drive."""
        with self._turn:
            self._check_mine()
            if settled:
                self._settle()
            yield

    @contextmanager
    def _disk(self, what: str) -> Iterator[None]:
        """For what is done with the store and with `_events`, which must not disagree."""
        self._sure = False
        try:
            yield
        except (Superseded, OSError) as error:
            raise paused(what, self.run or Path(), error) from error
        self._sure = True


def stepper_of(searcher: Any, estimator: Any, budget: int | None, workers: int, executor: Executor | None) -> Stepper:
    """What moves by steps: the searcher itself, or the trials of a sampler."""
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
