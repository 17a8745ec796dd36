"""The search: an iterator of events that can be steered, stopped, resumed, rewound and forked.

    next(search)    apply the changes of settings, do one step, write it, return its event

It drives any `naslab.searchers.Stepper`: a supernet searcher, or a `BlackBoxSearch` around a sampler. The class is
assembled from its base classes, one for each concern, which lie in a line above each other:

    Driving < Restoring < Described, Before     Steering
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import torch

from naslab.blobs import is_digest
from naslab.device import usable_device
from naslab.errors import RunError, SpecError, whole
from naslab.events import Evaluated, Event, Measured, Saved
from naslab.runs import forking, lineage, owners
from naslab.runs.before import Before
from naslab.runs.branches import Record, Row
from naslab.runs.conditions import as_condition
from naslab.runs.creation import create, entered, undone
from naslab.runs.described import Described
from naslab.runs.driving import differing, stepper_of
from naslab.runs.ending import Ending
from naslab.runs.event_log import events_of
from naslab.runs.folder import Folder
from naslab.runs.kept_states import kept_state
from naslab.runs.live_ranking import LiveRanking
from naslab.runs.places import located
from naslab.runs.reopening import check_reopens, elsewhere, on_device
from naslab.runs.replay import Follow, Pace
from naslab.runs.ring import Ring
from naslab.runs.shown import Shown
from naslab.runs.steering import Steering
from naslab.runs.store import Memory, Store
from naslab.runs.wishes import Wishes, set_back
from naslab.searchers import Sampler, Stepper, SupernetSearcher, from_spec
from naslab.snapshot import State


class Search(Described, Before, Steering, Iterator[Event]):
    """Drives a searcher step by step, and keeps its events and states.

    Args:
        searcher: a new searcher, which belongs to this search from now on. (If it has not done a step, it is free
            again when the search is closed.)
        estimator: scores the candidates of a sampler: a benchmark, one of `naslab.estimators`, or a function from an
            architecture to a number, more being better. A supernet searcher has its own task instead.
        budget: number of candidates that a sampler has evaluated, one step each; failed ones count.
        workers: number of candidates that are evaluated at once; if several, each in a process of its own.
        executor: evaluates the candidates instead, for instance `naslab.estimators.Workers(2, timeout=60)`, or any
            `concurrent.futures.Executor`. It is not part of the run, and its maker shuts it down.
        run: folder to keep everything in, which must not exist yet; None keeps it in memory. `~` is the home folder,
            and changing the working directory later has no effect.
        snapshot_every: steps from one snapshot to the next. After a crash about half as many are repeated.
        ranking: scores architectures of a table with the shared weights at intervals, and logs `Ranked` events; it
            changes nothing in the search. See `LiveRanking`.

    One thread calls `next`; `set`, `act`, `events`, `step` and `settings` may be used from any other thread meanwhile.

    Raises:
        SpecError: the arguments do not fit together.
        RunError: the searcher has done steps already, or belongs to another search; or the folder is in use.
    """

    def __init__(
        self,
        searcher: SupernetSearcher | Sampler,
        run: str | os.PathLike[str] | None = None,
        *,
        estimator: Any = None,
        budget: int | None = None,
        workers: int = 1,
        executor: Executor | None = None,
        snapshot_every: int = 50,
        ranking: LiveRanking | None = None,
    ) -> None:
        snapshot_every = whole("snapshot_every", snapshot_every, 1, error=RunError)
        stepper = stepper_of(searcher, estimator, budget, workers, executor)
        owners.check_free(searcher)
        if stepper.step:
            raise RunError(
                f"a search begins with a searcher that has not moved; this one has done {stepper.step} steps. "
                "Make a new one, or go on with a run by Search.open(path)"
            )
        if ranking is not None:
            if not isinstance(ranking, LiveRanking):
                raise SpecError(f"ranking=... is nl.LiveRanking(table), not {ranking!r:.100}")
            ranking.check(stepper)
        store: Store
        above: Sequence[Path]
        if run is None:
            store, above = Memory(snapshot_every), []
            store.save(0, stepper.state_dict())
        else:
            path = located(run)
            check_reopens(stepper)
            above = create(
                path,
                _spec(stepper, ranking),
                total=stepper.total,
                task=stepper.fingerprint(),
                every=snapshot_every,
                states={0: stepper.state_dict()},
                metrics=stepper.metrics,
                shown=Shown.of(stepper),
            )
            owners.release_removed(path)
            store = entered(path, above)
        try:
            self._begin(stepper, store, snapshot_every, ranking)
        except BaseException:
            undone(store, above)
            raise
        owners.acquire_searcher(self, searcher)

    @classmethod
    def open(
        cls,
        run: str | os.PathLike[str],
        task: Any = None,
        *,
        estimator: Any = None,
        workers: int | None = None,
        executor: Executor | None = None,
        device: str | torch.device | None = None,
        strict: bool = True,
    ) -> Self:
        """Go on with a run where it stopped, bit for bit, even after a kill.

        Args:
            run: the folder.
            task: the data; needed if JSON cannot describe it (arrays of the user).
            estimator: scores the candidates; needed if JSON cannot describe it (a function of the user).
            workers: number of candidates that are evaluated at once from the next step on; unchanged if left out.
            executor: evaluates the candidates, instead of processes that are started here.
            device: where a supernet computes from the next step on. If left out, where it did; if that is not here, on
                the first GPU or on the CPU, with a warning.
            strict: raise an error if the steps since the last snapshot differ when they are repeated here (another
                processor, torch or number of threads). False goes on from that snapshot instead; the steps after it
                stay in the journal as abandoned. So does a run on a GPU, or on another device than it was begun on,
                which cannot be repeated bit for bit, if the steps differ by more than rounding.

        Raises:
            RunError: there is no run, another process drives it, it is damaged, or its task or estimator has changed.
        """
        path = located(run)
        owners.release_older(path)  # before the lock: an older search of this process holds it
        here = None if device is None else str(usable_device(device))
        folder = Folder(path, device=here)
        try:
            if "race" in folder.spec:
                raise RunError(f"a race is kept at {path}; go on with it by nl.Race.open({str(path)!r})")
            searcher = from_spec(on_device(folder.spec, here), task, estimator, executor)
            if searcher.fingerprint() != folder.task:
                what, name = ("estimator", "estimator") if "estimator" in folder.spec else ("data", "task")
                raise RunError(
                    f"the {what} is not the {what} of the run at {path}: its fingerprint is "
                    f"{searcher.fingerprint()[:12]}, expected {folder.task[:12]}"
                    f"{differing(folder.spec.get(what), searcher.spec().get(what))}. Pass the same {what} as {name}=..."
                )
            search = object.__new__(cls)  # __init__ would make a new run
            described = folder.spec.get("ranking")
            ranking = None if described is None else LiveRanking.from_spec(described)
            search._begin(searcher, folder, folder.every, ranking, elsewhere=elsewhere(folder.spec, searcher))
        except BaseException:
            folder.close()
            raise
        try:
            search._recover(folder.notes, strict=strict)
            if search._elsewhere:
                (search._warn if device is None else search._note)(search._elsewhere)
            if folder.converted:
                search._note(folder.converted)
            if workers is not None:
                search._set_workers(workers)
        except BaseException:
            search._leave("it could not be opened")
            raise
        return search

    def _begin(
        self,
        searcher: Stepper,
        store: Store,
        every: int,
        ranking: LiveRanking | None,
        name: str | None = None,
        *,
        elsewhere: str = "",
    ) -> None:
        self.searcher, self.ranking = searcher, ranking
        self.spec = _spec(searcher, ranking)
        self._measured = frozenset(searcher.metrics)
        """Names of the metrics that the task has declared."""
        self._store = store
        self._every = every
        rows = store.rows()
        self._events = events_of(rows)
        self._ring = Ring()
        self._pace = Pace(rows)
        self._wishes = Wishes()
        self._turn = searcher.alone
        self._pending = []
        self._lost = searcher.step != self.step
        self._sure = True
        self._left = None
        self._process = os.getpid()
        self._elsewhere = elsewhere
        self._name = name
        owners.acquire_searcher(self, searcher)
        lineage.register(self)
        # A search that is garbage-collected without `close` releases its lock. At exit the system does that itself.
        weakref.finalize(self, store.close).atexit = False
        if isinstance(store, Folder):
            owners.acquire_folder(self, store.path)
            searcher.keep_in(store.candidates)
        searcher.keep_states_in(store.blobs)

    # --- the loop ----------------------------------------------------------------------------------

    def __next__(self) -> Event:
        """Does one step. After SIGTERM it is still finished, within 4 s: see `naslab.runs.ending`.

        Raises:
            StopIteration: all steps are done.
            Diverged: the step was not kept; lower a setting with `set` and go on, or `rewind`.
            RunPaused: the step is kept in memory, but the disk refused it; repair that and go on. Or the executor takes
                no more candidates: open the run again with another.
        """
        with Ending(self.close):
            with self._mine():
                # A step that an earlier call finished but could not write is only written now, not done again.
                if not self._pending:
                    self._restore()
                    if (step := self.step) >= self.total:
                        raise StopIteration
                    self._lost = True  # until the step is complete: an interrupt may leave the searcher half-way
                    self._pending = self._advance(step + 1)
                    self._lost = False
                self._write()
                event = self._pending[-1]
                self._ring.passed(event.step, self._pace.last, self.searcher.state_dict)
                self._pending = []
            self.moved()
            return event

    def _advance(self, step: int) -> list[Event]:
        """Do a step; returns its event last, after those of the changes and acts before it."""
        done, wished = self._wishes.fulfil(self.searcher, step)
        try:
            begun = time.perf_counter()
            event = self.searcher.advance()
            self._pace.record(time.perf_counter() - begun - self.searcher.waited)
            self._check_metrics(event)
            events = [*done, *self.searcher.beside(), *self._ranked(event.step), event]
        except BaseException:
            set_back(self.searcher, done)
            raise
        self._wishes.forget(wished)
        return events

    def _check_metrics(self, event: Event) -> None:
        """Raises `SpecError` if the step has metrics that the task has not declared: their direction is unknown."""
        if isinstance(event, Evaluated):
            return
        of_task = {name for name in getattr(event, "metrics", ()) if name.startswith(("train/", "valid/"))}
        if strange := sorted(of_task - self._measured):
            raise SpecError(
                f"step {event.step} has the metrics {', '.join(map(repr, strange))}, which are not among those that "
                "the task named when the search was made; the step was not kept. Change the task, so "
                "that metrics() always gives the same names, and go on"
            )

    def _ranked(self, step: int) -> list[Event]:
        """Returns the event of the live ranking after a step, in a list; [] if none is due."""
        if self.ranking is None or not self.ranking.due(step, self.searcher.total):
            return []
        return [self.ranking.rank(self.searcher)]  # type: ignore[arg-type]

    def until(self, condition: Any, *, most: int | None = None) -> Event | None:
        """Do steps until a condition is met or all are done; returns the last event, or None if no step was left.

        Args:
            condition: one of `naslab.runs.conditions`, or a predicate of events.
            most: largest number of steps.
        """
        test, event = as_condition(condition).begin(self), None
        while (most is None or most > 0) and (event := next(self, event)) is not None:
            if test(event) is not None or self.step >= self.total:
                break
            most = None if most is None else most - 1
        return event

    @property
    def lineage(self) -> list[lineage.Branch]:
        """The tree of forks that it belongs to: its ancestors, their forks that live in this process, and the steps
        that rewinds have abandoned; each branch after its parent.
        """
        return lineage.lineage(self)

    # --- measurements and kept states ----------------------------------------------------------------

    def measure(self, name: str) -> float:
        """Returns a diagnostic of the current state that the searcher names, and logs it as a `Measured` event."""
        with self._mine():
            self._restore()
            self._write()
            value = self.searcher.measure(name)
            self._say(Measured(step=self.step, name=name, value=value))
        self.moved()
        return value

    def keep(self, name: str, state: State) -> str:
        """Keep a state beside the events, in the run folder if there is one, logged as a `Saved` event.

        Args:
            name: `kept(name)` returns the latest state of this name.
            state: name -> tensor, number or string.

        Returns:
            Its checksum, which identifies it even after another state was kept under the name.
        """
        if not isinstance(name, str) or not name or is_digest(name):
            raise SpecError(f"the name of what is kept is a text, and no checksum, not {name!r:.100}")
        with self._mine():
            self._restore()
            self._write()
            with self._disk(f"the state {name!r}"):
                digest = self._store.blobs.put(state)
            self._say(Saved(step=self.step, name=name, digest=digest))
        self.moved()
        return digest

    def kept(self, name: str) -> State:
        """Returns a state that was kept, by its name or its checksum.

        Raises:
            RunError: there is no state of that name or checksum.
            SnapshotDamaged: the file does not hold what was kept.
        """
        return kept_state(name, self.events, self._store.blobs)

    def fork(
        self,
        run: str | os.PathLike[str] | None = None,
        step: int | None = None,
        *,
        change: Mapping[str, Any] | None = None,
        name: str | None = None,
        progress: Callable[[int, int], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> Search:
        """Returns a second search, which begins as an exact copy of this one after `step`, by default the last.

        Args:
            run: its folder, a new one outside this run's; None keeps it in memory.
            step: 0 to the last step that is done.
            change: changes from its first step on: setting -> value, or act -> its arguments. Until that step these are
                wishes, as with `set` and `act`.
            name: its name in `lineage`, if it has no folder.
            progress: called with the number of steps repeated so far and their total, in the thread that forks.
            cancel: once it is set, from any thread, the fork is given up.

        Raises:
            Cancelled: `cancel` was set; nothing is left of the fork, and this search is unchanged.

        A fork needs nothing of this run's folder: if that is gone or its disk full, it saves all that is in memory.
        """
        return forking.fork(self, run, step, change=change, name=name, follow=Follow(progress, cancel))

    def _rows(self) -> list[Row | Record]:
        """Returns every event with its time; events that are not on disk, or cannot be read, get the current time."""
        rows: list[Row | Record] = []
        with suppress(OSError, RunError):
            rows = list(self._store.rows())
        events = [*self.events[len(rows) :]]
        if self._pending and self.step < self._pending[-1].step:
            events += self._pending
        now = time.time()
        return rows + [Row(number, now, event) for number, event in enumerate(events, len(rows) + 1)]


def _spec(stepper: Stepper, ranking: LiveRanking | None) -> dict[str, Any]:
    """Returns the spec of a search for `run.json`: that of the searcher, and that of the ranking if there is one."""
    return stepper.spec() if ranking is None else {**stepper.spec(), "ranking": ranking.spec()}
