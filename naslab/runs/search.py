"""A search under way: an iterator of events that can be steered, stopped, resumed, rewound and forked.

    next(search)    turn the knobs that were set, do one step, write it down, return its event

The state after any step is the newest snapshot before it, and the steps from there done again: a searcher is a
function of its spec and of the knobs that were turned, so that nothing is lost with a process that is killed. What
is computed again is compared with the journal bit for bit.

Searches of other kinds join here: whatever has `step`, `total`, `advance`, `best`, `knobs`, `turn`, `spec` and the
state, can be driven.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, overload

from tqdm import tqdm

from naslab.architecture import Architecture
from naslab.errors import RunError, RunPaused, SnapshotDamaged
from naslab.events import Changed, Event, Measured, Recovered
from naslab.runs.folder import Folder, create, free_space
from naslab.runs.journal import ASIDE
from naslab.runs.store import Memory, Store
from naslab.searchers import from_spec
from naslab.searchers.searcher import Knob, SupernetSearcher
from naslab.spaces.space import Space

LONG_REPLAY = 20
"""Steps done again from which on a progress bar shows them."""

_driving: weakref.WeakValueDictionary[tuple[int, str], Search] = weakref.WeakValueDictionary()
"""(process, folder) -> the search that drives it, so that a newer one in the same process can take over."""


class EventLog(Sequence[Event]):
    """Every event so far, in order; it grows as the search goes on."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __eq__(self, other: object) -> bool:
        return self._events == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} events>"


class Search(Iterator[Event]):
    """Drives a searcher, step by step, and keeps what happens.

    Args:
        searcher: a new one; from here on the search moves it.
        run: folder to keep everything in, which must not exist yet; None keeps it in memory.
        snapshot_every: steps from one snapshot to the next. After a crash about half as many are done again.

    One thread calls `next`; `set`, `events`, `step` and `knobs` may be used from any other meanwhile.
    """

    def __init__(
        self,
        searcher: SupernetSearcher,
        run: str | os.PathLike[str] | None = None,
        *,
        snapshot_every: int = 50,
    ) -> None:
        if snapshot_every < 1:
            raise RunError(f"snapshot_every must be 1 step or more, not {snapshot_every}")
        if searcher.step:
            raise RunError(
                f"a search begins with a searcher that has not moved; this one has done {searcher.step} steps. "
                "Make a new one, or go on with a run by Search.open(path)"
            )
        if run is None:
            store: Store = Memory(snapshot_every)
            store.save(0, searcher.state_dict())
        else:
            create(
                Path(run),
                searcher.spec(),
                total=searcher.total,
                task=searcher.task.fingerprint(),
                every=snapshot_every,
                states={0: searcher.state_dict()},
            )
            if (older := _driving.pop(_key(Path(run)), None)) is not None:
                older._leave("its folder was removed")
            store = Folder(Path(run))
        self._begin(searcher, store, snapshot_every)

    @classmethod
    def open(cls, run: str | os.PathLike[str], task: Any = None, *, strict: bool = True) -> Self:
        """Go on with a run where it stopped, bit for bit, however it stopped.

        Args:
            run: the folder.
            task: the data, where JSON cannot bring it back (the user's own arrays).
            strict: refuse when the steps since the last snapshot come out differently here (another processor,
                torch or number of threads). False goes on from that snapshot instead; the steps after it stay in
                the journal as abandoned.
        """
        path = Path(run)
        _take_over(path)
        folder = Folder(path)
        try:
            searcher = from_spec(folder.spec, task)
            if searcher.task.fingerprint() != folder.task:
                raise RunError(
                    f"the data is not the data of the run at {path}: its fingerprint is "
                    f"{searcher.task.fingerprint()[:12]}, expected {folder.task[:12]}. Pass the same data as task=..."
                )
            search = object.__new__(cls)  # __init__ makes a new run
            search._begin(searcher, folder, folder.every)
        except BaseException:
            folder.close()
            raise
        try:
            search._recover(folder.notes, strict=strict)
        except BaseException:
            search._leave("it could not be opened")
            raise
        return search

    def _begin(self, searcher: SupernetSearcher, store: Store, every: int) -> None:
        self.searcher = searcher
        self.spec: dict[str, Any] = searcher.spec()
        self._store = store
        self._every = every
        self._events: list[Event] = [row.event for row in store.rows()]
        self._queued: dict[str, float] = {}
        self._queue = threading.Lock()
        self._turn = threading.RLock()  # held while the searcher or the store is in use
        self._pending: list[Event] = []
        """A finished step whose event has not been returned yet, with the changes before it."""
        self._lost = searcher.step != self.step
        """Whether the searcher may not be in the state after `step`: an advance was broken off."""
        self._left: str | None = None
        self._process = os.getpid()
        # Without a tidy close the lock goes with the object; not at exit, when the system does it.
        weakref.finalize(self, store.close).atexit = False
        if isinstance(store, Folder):
            _driving[_key(store.path)] = self

    # --- the loop ----------------------------------------------------------------------------------

    def __next__(self) -> Event:
        """One step. `StopIteration` after the last.

        Raises:
            Diverged: the step was not kept; lower a knob with `set` and go on, or `rewind`.
            RunPaused: the step is kept in memory, but the disk took no more; mend that and go on.
        """
        with self._mine():
            if not self._pending:
                self._restore()
                if self.step >= self.searcher.total:
                    raise StopIteration
                self._lost = True
                queued, self._pending = self._advance()
                self._lost = False
                self._granted(queued)
            self._write()
            event = self._pending[-1]
            self._pending = []
            return event

    def _advance(self) -> tuple[dict[str, float], list[Event]]:
        """The wishes that were heard; the next step's event, after those of the knobs that were turned for it."""
        with self._queue:
            queued = dict(self._queued)
        changes: list[Event] = []
        for name, new in queued.items():
            old = self.searcher.knobs[name].value
            if new != old:
                self.searcher.turn(name, new)
                changes.append(Changed(step=self.step + 1, name=name, old=old, new=new))
        return queued, [*changes, self.searcher.advance()]

    def _granted(self, queued: Mapping[str, float]) -> None:
        """Forget wishes once their step is done: a step that fails is tried again with them."""
        with self._queue:
            for name, new in queued.items():
                if self._queued.get(name) == new:
                    del self._queued[name]

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

    # --- what can be asked at any time ---------------------------------------------------------------

    @property
    def run(self) -> Path | None:
        """The run folder; None in memory."""
        return self._store.path if isinstance(self._store, Folder) else None

    @property
    def step(self) -> int:
        """Steps finished."""
        return next((event.step for event in reversed(self._events) if not isinstance(event, ASIDE)), 0)

    @property
    def total(self) -> int:
        """Steps in the whole search."""
        return self.searcher.total

    @property
    def space(self) -> Space:
        return self.searcher.space

    @property
    def task(self) -> Any:
        return self.searcher.task

    @property
    def events(self) -> EventLog:
        """Every event so far: steps, changed knobs, measurements, recoveries."""
        return EventLog(self._events)

    @property
    def knobs(self) -> dict[str, Knob]:
        """What may be turned, with the values that the next step will use."""
        with self._queue:
            queued = dict(self._queued)
        return {
            name: dataclasses.replace(knob, value=queued.get(name, knob.value))
            for name, knob in self.searcher.knobs.items()
        }

    @property
    def best(self) -> Architecture:
        """What would be derived now."""
        if self._lost and self._left is None:
            with self._mine():
                self._restore()
        return self.searcher.best

    # --- steering ------------------------------------------------------------------------------------

    def set(self, name: str, value: float) -> None:
        """Turn a knob from the next step on, which logs it as a `Changed` event."""
        value = self.searcher.check_knob(name, value)
        with self._queue:
            self._queued[name] = value

    def measure(self, name: str) -> float:
        """A figure of the moment, logged as a `Measured` event."""
        with self._mine():
            self._restore()
            self._write()
            value = self.searcher.measure(name)
            self._say(Measured(step=self.step, name=name, value=value))
            return value

    def rewind(self, step: int) -> None:
        """Back to the moment after `step`, exactly. What came later stays in the run as abandoned."""
        with self._mine():
            self._check_step(step)
            self._lost = True
            self._bring(self.searcher, step)
            with self._disk(f"going back to step {step}"):
                self._store.abandon(step)
            self._events = [event for event in self._events if event.step <= step]
            self._pending = []
            with self._queue:
                self._queued.clear()
            self._lost = False

    def fork(self, run: str | os.PathLike[str], step: int | None = None) -> Search:
        """A second search in a new folder, which begins as an exact copy of the moment after `step` (now)."""
        with self._mine():
            self._write()
            step = self.step if step is None else step
            self._check_step(step)
            twin = from_spec(self.spec, self.task)
            start = twin.state_dict()
            if 0 in self._store.snapshots():
                with suppress(SnapshotDamaged):
                    start = self._store.load(0)
            if step == self.step and not self._lost:
                twin.load_state_dict(self.searcher.state_dict())
            else:
                self._bring(twin, step)
            parent = {"path": None if self.run is None else str(self.run), "step": step}
            if isinstance(self._store, Folder):
                parent["run"] = self._store.run
            create(
                Path(run),
                self.spec,
                total=self.total,
                task=self.task.fingerprint(),
                every=self._every,
                states={0: start, step: twin.state_dict()},
                rows=[row for row in self._store.rows() if row.event.step <= step],
                parent=parent,
            )
        search = object.__new__(type(self))  # __init__ makes a new run
        search._begin(twin, Folder(Path(run)), self._every)
        return search

    # --- the end ---------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is left, take a snapshot, and let others drive the run."""
        if self._left is not None:
            return
        with self._mine():
            self._write()
            if not self._lost and self.step not in self._store.snapshots():
                try:
                    self._store.save(self.step, self.searcher.state_dict())
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

    def _leave(self, why: str) -> None:
        self._left = why
        self._store.close()

    # --- how the state is brought back -------------------------------------------------------------------

    def _restore(self) -> None:
        """Undo an advance that was broken off."""
        if self._lost:
            _, notes = self._bring(self.searcher, self.step)
            self._lost = False
            for note in notes:
                self._warn(note)

    def _recover(self, notes: Sequence[str], *, strict: bool) -> None:
        """Bring a run that was opened to its last step, and say what was not as it should be."""
        self._lost = True
        try:
            start, found = self._bring(self.searcher, self.step)
        except _Differs as error:
            if strict:
                raise
            start, found = error.start, [f"{error.what}; the run goes on from the snapshot of step {error.start}"]
            self.rewind(error.start)
        self._lost = False
        for note in [*notes, *found]:
            self._warn(note)
        if done := self.step - start:
            self._say(Recovered(step=self.step, message=f"broken off at step {self.step}; {done} steps done again"))

    def _bring(self, searcher: SupernetSearcher, step: int) -> tuple[int, list[str]]:
        """Put a searcher into the state after a step. The step of the snapshot it took, and what was damaged."""
        notes = []
        start = 0
        for at in reversed([at for at in self._store.snapshots() if at <= step]):
            try:
                searcher.load_state_dict(self._store.load(at))
                start = at
                break
            except (SnapshotDamaged, FileNotFoundError) as error:
                self._store.set_aside(at)
                notes.append(f"{error}; it was set aside, and an earlier one used")
        else:
            searcher.load_state_dict(from_spec(self.spec, self.task).state_dict())
        changes: dict[int, list[Changed]] = {}
        for event in self._events:
            if isinstance(event, Changed):
                changes.setdefault(event.step, []).append(event)
        steps = [event for event in self._events if not isinstance(event, ASIDE)][start:step]
        for logged in tqdm(steps, desc="steps done again", disable=len(steps) < LONG_REPLAY, leave=False):
            for change in changes.get(logged.step, []):
                searcher.turn(change.name, change.new)
            again = searcher.advance()
            if again != logged:
                raise _Differs(logged, again, start, self.run)
        return start, notes

    # --- smaller things ------------------------------------------------------------------------------------

    def _say(self, event: Event) -> None:
        with self._disk(f"the event {event.kind!r}"):
            self._store.append([event])
        self._events.append(event)

    def _warn(self, note: str) -> None:
        warnings.warn(f"{self.run or 'search'}: {note}", stacklevel=4)
        self._say(Recovered(step=self.step, message=note))

    def _check_step(self, step: int) -> None:
        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= self.step:
            raise RunError(f"step must be one that is done, 0 to {self.step}, not {step!r}")

    @contextmanager
    def _mine(self) -> Iterator[None]:
        """Take the turn, if the run is still this object's to drive."""
        with self._turn:
            if self._process != os.getpid():
                raise RunError(f"this search belongs to process {self._process}; a forked process cannot drive it")
            if self._left is not None:
                advice = "" if self.run is None else f"; go on with Search.open({str(self.run)!r})"
                raise RunError(f"this search does not drive its run any more: {self._left}{advice}")
            yield

    @contextmanager
    def _disk(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = self.run or Path()
            raise RunPaused(
                f"{what} could not be written to {where}: {error.strerror or error}; {free_space(where)}. Nothing is "
                "lost: what is not on disk is in memory. Make room (or mend the disk) and call next again"
            ) from error


class _Differs(RunError):
    """A step that was done again came out differently."""

    def __init__(self, logged: Event, again: Event, start: int, run: Path | None) -> None:
        self.start = start
        fields = [
            field.name
            for field in dataclasses.fields(logged)
            if type(again) is not type(logged) or _text(logged, field.name) != _text(again, field.name)
        ]
        self.what = f"step {logged.step} was done again and came out differently ({', '.join(fields)})"
        way = f"Search.open({str(run)!r}, strict=False)" if run else f"rewind({start})"
        super().__init__(
            f"{self.what}. Results are equal bit for bit only with the same torch, processor and number of threads. "
            f"{way} goes on from the snapshot of step {start} and keeps the steps after it as abandoned"
        )


def _text(event: Event, field: str) -> str:
    value = getattr(event, field)
    if isinstance(value, Mapping):
        return repr({key: getattr(item, "tolist", lambda item=item: item)() for key, item in value.items()})
    return repr(value)


def _key(path: Path) -> tuple[int, str]:
    return os.getpid(), str(path.resolve())


def _take_over(path: Path) -> None:
    """Make an older search of this process let go of the run, once its step is finished."""
    older = _driving.pop(_key(path), None)
    if older is None or older._left is not None:
        return
    with older._turn:
        with suppress(RunPaused):  # the step that the disk did not take will be done again
            older.close()
        older._leave("a newer Search of this process has taken over")
