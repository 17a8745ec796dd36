"""A search under way: an iterator of events that can be steered, stopped, resumed, rewound and forked.

    next(search)    change the settings that were set, do one step, write it down, return its event

The state after any step is the newest snapshot before it, and the steps from there done again: a searcher is a
function of its spec and of what a hand did to it (settings, acts), so that nothing is lost with a process that is
killed. What is computed again is compared with the journal bit for bit. So that little has to be, there are copies of
the state in memory, too (`naslab.runs.ring`), about one a second.

Whatever is `naslab.searchers.Driven` can be driven: a supernet searcher, or the trials of a proposer.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from naslab.analysis.pareto import front
from naslab.architecture import Architecture
from naslab.blobs import is_digest
from naslab.errors import RunError, SpecError, whole
from naslab.events import Evaluated, Event, Measured, Recovered, Saved
from naslab.quantities import Objective, Quantity
from naslab.runs import claims, forking, lineage
from naslab.runs.before import Before
from naslab.runs.branches import ASIDE_KINDS, Record, Row
from naslab.runs.conditions import as_condition
from naslab.runs.ending import Ending
from naslab.runs.event_log import EventLog, events_of
from naslab.runs.folder import Folder, create, entered, located, undone
from naslab.runs.journal import Superseded
from naslab.runs.kept_states import kept_state
from naslab.runs.live_ranking import LiveRanking
from naslab.runs.reopening import check_reopens
from naslab.runs.replay import Cost, Differs, Follow, Pace, bring, cost
from naslab.runs.ring import Copy, Ring
from naslab.runs.shown import Shown
from naslab.runs.steering import Steering
from naslab.runs.store import Memory, Store
from naslab.runs.table import Scalar, flat
from naslab.runs.trouble import paused
from naslab.runs.wishes import Wishes, set_back
from naslab.searchers import Driven, Proposer, SupernetSearcher, from_spec
from naslab.searchers.trials import driven_by
from naslab.snapshot import State
from naslab.spaces.space import Space


class Search(Steering, Before, Iterator[Event]):
    """Drives a searcher, step by step, and keeps what happens.

    Args:
        searcher: a new one; from here on the search moves it, and no other search may. (One that has not moved is
            free again when its search is closed.)
        estimator: what scores the candidates of a proposer: a benchmark, one of `naslab.estimators`, or a function
            from an architecture to a number, more is better. A supernet searcher has its own task instead.
        budget: candidates that a proposer may have evaluated; failed ones count. One step each.
        workers: candidates of a proposer that are evaluated at once; each in a process of its own, if several.
        executor: who evaluates them instead, for instance `naslab.estimators.Workers(2, timeout=60)`, or any
            `concurrent.futures.Executor`. It is not a part of the run, and whoever made it ends it.
        run: folder to keep everything in, which must not exist yet; None keeps it in memory. `~` is the home folder,
            and changing the working directory later changes nothing.
        snapshot_every: steps from one snapshot to the next. After a crash about half as many are done again.
        ranking: scores architectures of a table with the shared weights every so many steps, which changes nothing in
            the search; see `LiveRanking`. What it finds are `Ranked` events.

    One thread calls `next`; `set`, `act`, `events`, `step` and `settings` may be used from any other
    meanwhile.
    """

    def __init__(
        self,
        searcher: SupernetSearcher | Proposer,
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
        driven = driven_by(searcher, estimator, budget, workers, executor)
        claims.check_free(searcher)
        if driven.step:
            raise RunError(
                f"a search begins with a searcher that has not moved; this one has done {driven.step} steps. "
                "Make a new one, or go on with a run by Search.open(path)"
            )
        if ranking is not None:
            if not isinstance(ranking, LiveRanking):
                raise SpecError(f"ranking=... is nl.LiveRanking(table), not {ranking!r:.100}")
            ranking.check(driven)
        store: Store
        above: Sequence[Path]
        if run is None:
            store, above = Memory(snapshot_every), []
            store.save(0, driven.state_dict())
        else:
            path = located(run)
            check_reopens(driven)
            above = create(
                path,
                _spec(driven, ranking),
                total=driven.total,
                task=driven.fingerprint(),
                every=snapshot_every,
                states={0: driven.state_dict()},
                metrics=driven.metrics,
                shown=Shown.of(driven),
            )
            claims.removed(path)
            store = entered(path, above)
        try:
            self._begin(driven, store, snapshot_every, ranking)
        except BaseException:
            undone(store, above)
            raise
        claims.moves(self, searcher)

    @classmethod
    def open(
        cls,
        run: str | os.PathLike[str],
        task: Any = None,
        *,
        estimator: Any = None,
        workers: int | None = None,
        executor: Executor | None = None,
        strict: bool = True,
    ) -> Self:
        """Go on with a run where it stopped, bit for bit, however it stopped.

        Args:
            run: the folder.
            task: the data, where JSON cannot bring it back (the user's own arrays).
            estimator: what scores the candidates, where JSON cannot bring it back (the user's own function).
            workers: candidates that are evaluated at once from the next step on; as many as before, if left out.
            executor: who evaluates them, if not processes that are started here.
            strict: refuse when the steps since the last snapshot come out differently here (another processor,
                torch or number of threads). False goes on from that snapshot instead; the steps after it stay in
                the journal as abandoned.
        """
        path = located(run)
        claims.take_over(path)
        folder = Folder(path)
        try:
            if "race" in folder.spec:
                raise RunError(f"a race is kept at {path}; go on with it by nl.Race.open({str(path)!r})")
            searcher = from_spec(folder.spec, task, estimator, executor)
            if searcher.fingerprint() != folder.task:
                what, name = ("estimator", "estimator") if "estimator" in folder.spec else ("data", "task")
                raise RunError(
                    f"the {what} is not the {what} of the run at {path}: its fingerprint is "
                    f"{searcher.fingerprint()[:12]}, expected {folder.task[:12]}. Pass the same {what} as {name}=..."
                )
            search = object.__new__(cls)  # __init__ makes a new run
            described = folder.spec.get("ranking")
            ranking = None if described is None else LiveRanking.from_spec(described)
            search._begin(searcher, folder, folder.every, ranking)
        except BaseException:
            folder.close()
            raise
        try:
            search._recover(folder.notes, strict=strict)
            if folder.converted:
                search._say(Recovered(step=search.step, message=folder.converted))
            if workers is not None:
                search._hire(workers)
        except BaseException:
            search._leave("it could not be opened")
            raise
        return search

    def _begin(
        self, searcher: Driven, store: Store, every: int, ranking: LiveRanking | None, name: str | None = None
    ) -> None:
        self.searcher, self.ranking = searcher, ranking
        self.spec: dict[str, Any] = _spec(searcher, ranking)
        self._measured = frozenset(searcher.metrics)
        """Names that the metrics of a step may have."""
        self._store = store
        self._every = every
        rows = store.rows()
        self._events: list[Event | Record] = events_of(rows)
        """All of them; `EventLog` makes events of those that are rows yet."""
        self._ring = Ring()
        """States that are in memory, besides those of the store."""
        self._pace = Pace(rows)
        self._wishes = Wishes()
        self._turn = searcher.alone
        """Held while the searcher or the store is in use."""
        self._pending: list[Event] = []
        """A finished step whose event has not been returned yet, with the changes before it."""
        self._lost = searcher.step != self.step
        """Whether the searcher may not be in the state after `step`: an advance was broken off."""
        self._sure = True
        """Whether `_events` are what the store holds: a write was broken off, perhaps after it was done."""
        self._left: str | None = None
        self._process = os.getpid()
        self._name = name
        claims.moves(self, searcher)
        lineage.born(self)
        # Without a tidy close the lock goes with the object; not at exit, when the system does it.
        weakref.finalize(self, store.close).atexit = False
        if isinstance(store, Folder):
            claims.drives(self, store.path)
            searcher.keep_in(store.candidates)
        searcher.keep_states_in(store.blobs)

    # --- the loop ----------------------------------------------------------------------------------

    def __next__(self) -> Event:
        """One step. `StopIteration` after the last. SIGTERM lets it finish, for 4 s: see `naslab.runs.ending`.

        Raises:
            Diverged: the step was not kept; lower a knob with `set` and go on, or `rewind`.
            RunPaused: the step is kept in memory, but the disk took no more; mend that and go on. Or the executor takes
                no more candidates: open the run again with another.
        """
        with Ending(self.close):
            with self._mine():
                if not self._pending:
                    self._restore()
                    if (step := self.step) >= self.total:
                        raise StopIteration
                    self._lost = True
                    self._pending = self._advance(step + 1)
                    self._lost = False
                self._write()
                event = self._pending[-1]
                self._ring.passed(event.step, self._pace.last, self.searcher.state_dict)
                self._pending = []
            self.moved()
            return event

    def _advance(self, step: int) -> list[Event]:
        """The event of the next step, which has this number, after those of what a hand did before it."""
        done, wished = self._wishes.fulfil(self.searcher, step)
        try:
            begun = time.perf_counter()
            event = self.searcher.advance()
            self._pace.note(time.perf_counter() - begun - self.searcher.waited)
            self._check_metrics(event)
            events = [*done, *self.searcher.beside(), *self._ranked(event.step), event]
        except BaseException:
            set_back(self.searcher, done)
            raise
        self._wishes.forget(wished)
        return events

    def _check_metrics(self, event: Event) -> None:
        """`SpecError` if the task measured in a step what it did not name: nobody would know its direction."""
        if isinstance(event, Evaluated):
            return
        of_task = {name for name in getattr(event, "metrics", ()) if name.startswith(("train/", "valid/"))}
        if strange := sorted(of_task - self._measured):
            raise SpecError(
                f"step {event.step} has the metrics {', '.join(map(repr, strange))}, which are not among those that "
                "the task named when the search was made; the step was not kept. Mend the task, so "
                "that metrics() always gives the same names, and go on"
            )

    def _ranked(self, step: int) -> list[Event]:
        """What the shared weights' ranking is worth after a step, where it is asked for."""
        if self.ranking is None or not self.ranking.due(step, self.searcher.total):
            return []
        return [self.ranking.rank(self.searcher)]  # type: ignore[arg-type]

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

    def until(self, condition: Any, *, most: int | None = None) -> Event | None:
        """Steps until a condition is met, or all are done; the event of the last, None if there was none left.

        Args:
            condition: one of `naslab.runs.conditions`, or a function of an event.
            most: so many steps, at most.
        """
        test, event = as_condition(condition).begin(self), None
        while (most is None or most > 0) and (event := next(self, event)) is not None:
            if test(event) is not None or self.step >= self.total:
                break
            most = None if most is None else most - 1
        return event

    # --- what can be asked at any time ---------------------------------------------------------------

    def __repr__(self) -> str:
        where = "in memory" if self.run is None else _shown(self.run)
        left = "" if self._left is None else f"; {self._left}"
        return f"<Search: {self.spec['searcher']}, step {self.step} of {self.total}, {where}{left}>"

    @property
    def identity(self) -> str | None:
        """What tells the run from all others, wherever its folder is; None in memory."""
        return self._store.run if isinstance(self._store, Folder) else None

    @property
    def run(self) -> Path | None:
        """The run folder, absolute; None in memory."""
        return self._store.path if isinstance(self._store, Folder) else None

    @property
    def name(self) -> str:
        """What it is called among its forks: as its folder, or as a fork in memory was called."""
        if self.run is not None:
            return self.run.name
        return self._name or ("search" if self._store.parent is None else f"fork at {self._store.parent['step']}")

    @property
    def lineage(self) -> list[lineage.Branch]:
        """The tree that it belongs to: what it was forked from, and all that lives in this process of what was forked
        from there, each after the branch that it parted from, with the steps that going back has left behind.
        """
        return lineage.lineage(self)

    @property
    def kept_steps(self) -> list[int]:
        """Steps whose state lies on disk or in memory, in order: the search is back at one of them at once."""
        return sorted({*self._store.snapshots(), *self._ring.steps})

    @property
    def step(self) -> int:
        """Steps finished."""
        for event in reversed(self._events):
            if event.kind not in ASIDE_KINDS:
                return event.step
        return 0

    @property
    def space(self) -> Space:
        return self.searcher.space

    @property
    def task(self) -> Any:
        return self.searcher.task

    @property
    def events(self) -> EventLog:
        """Every event so far: steps, changed settings, acts, measurements, rankings, recoveries."""
        return EventLog(self._events)

    def table(self) -> list[dict[str, Scalar]]:
        """The events as flat dictionaries of plain scalars, one an event: `pandas.DataFrame(search.table())`.

        Arrays stand under the names of their axes, as `alpha/normal/3/skip_connect` (`naslab.runs.table`).
        """
        return flat(self.events, self.space)

    @property
    def shown(self) -> Shown:
        """What of its task stands beside the numbers."""
        return Shown.of(self.searcher)

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """What is known of the numbers in its events, by name, in the order in which they are shown: whether more of
        each is better, and its unit.
        """
        return self.searcher.metrics

    @property
    def best(self) -> Architecture:
        """What would be derived now."""
        if self._lost and self._left is None:
            with self._mine():
                self._restore()
        return self.searcher.best

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the evaluations are compared by, the first of them the fitness; none for a searcher that evaluates by
        shared weights.
        """
        named = (event.objectives for event in self.events if isinstance(event, Evaluated) and event.objectives)
        return tuple(next(named, getattr(self.searcher, "objectives", ())))

    @property
    def front(self) -> list[Evaluated]:
        """The evaluations so far that none beats in all objectives, the best by the first objective first; with one
        objective the best alone. See `naslab.analysis.pareto.front`.
        """
        return front(self.events, self.objectives)

    # --- what is measured and kept on request --------------------------------------------------------

    def measure(self, name: str) -> float:
        """A figure of the moment, logged as a `Measured` event."""
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
            name: `kept(name)` gives back the latest.
            state: name -> tensor, number or string.

        Returns:
            Its checksum, which finds it whatever is kept under the name later.
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
        """A state that was kept, by its name or its checksum.

        Raises:
            RunError: nothing is kept so.
            SnapshotDamaged: it is not what was kept.
        """
        return kept_state(name, self.events, self._store.blobs)

    # --- to another moment ---------------------------------------------------------------------------

    def cost_of_going_back(self, step: int) -> Cost:
        """What `rewind` to a step, or a fork of it, would take, told before: the steps that are done again, about how
        many seconds, and what would be left behind.
        """
        step = self._check_step(step)
        return cost(step, end=self.step, store=self._store, ring=self._ring, pace=self._pace)

    def rewind(
        self,
        step: int,
        *,
        progress: Callable[[int, int], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        """Back to the moment after `step`, exactly. What came later stays in the run as abandoned.

        Args:
            step: one that is done.
            progress: called with the steps done again so far, and how many there are, in the thread that rewinds.
            cancel: once it is set, from any thread, the search stays where it is.

        Raises:
            Cancelled: `cancel` was set. As after any other error on the way, also one of `progress`, the search is
                where it was, bit for bit, and nothing is lost.
        """
        with self._mine():
            self._write()
            step = self._check_step(step)
            self._go(step, Follow(progress, cancel))
            self._pending = []
            self._ring.cut(step)  # first, for if the rest is broken off, other steps come than those that were there
            with self._disk(f"going back to step {step}"):
                self._store.abandon(step)
                self._events = [event for event in self._events if event.step <= step]
            self._wishes.clear()
            self._lost = False
        self.moved()

    def _go(self, step: int, follow: Follow) -> None:
        """Bring the searcher to a step, or leave it where it is. It counts as lost until the events agree."""
        here = None if self._lost else Copy.of(self.step, self.searcher.state_dict())
        self._lost = True
        try:
            self._bring(self.searcher, step, follow)
        except BaseException:
            if here is not None:
                self.searcher.load_state_dict(here.state)
                self._lost = False
            raise

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
        """A second search, which begins as an exact copy of the moment after `step` (now).

        Args:
            run: its folder, a new one outside this run's; None keeps it in memory.
            step: 0 to the last that is done.
            change: what it does otherwise from its first step on: setting -> value, or act -> its arguments. Until that
                step these are wishes, as with `set` and `act`.
            name: what it is called in `lineage`, if it has no folder.
            progress: called with the steps done again so far, and how many there are, in the thread that forks.
            cancel: once it is set, from any thread, there is no fork.

        Raises:
            Cancelled: `cancel` was set; nothing is left of the fork, and this search is as it was.

        It needs nothing of this run's folder: with that gone, or its disk full, it saves all that is in memory.
        """
        return forking.fork(self, run, step, change=change, name=name, follow=Follow(progress, cancel))

    def _rows(self) -> list[Row | Record]:
        """Every event with its time; those that the disk has not taken, or gives no more, have the time of now."""
        rows: list[Row | Record] = []
        with suppress(OSError, RunError):
            rows = list(self._store.rows())
        events = [*self.events[len(rows) :]]
        if self._pending and self.step < self._pending[-1].step:
            events += self._pending
        now = time.time()
        return rows + [Row(number, now, event) for number, event in enumerate(events, len(rows) + 1)]

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

    def _leave(self, why: str) -> None:
        self._left = why
        self._ring.clear()
        self.searcher.close()
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
        except Differs as error:
            if strict:
                error.args = ("; ".join([str(error), *notes]),)  # perhaps they say why
                raise
            start, found = error.start, [f"{error.what}; the run goes on from the snapshot of step {error.start}"]
            self.rewind(error.start)
        self._lost = False
        for note in [*notes, *found]:
            self._warn(note)
        if done := self.step - start:
            self._say(Recovered(step=self.step, message=f"broken off at step {self.step}; {done} steps done again"))

    def _bring(self, searcher: Driven, step: int, follow: Follow | None = None) -> tuple[int, list[str]]:
        """See `naslab.runs.replay.bring`."""
        return bring(
            searcher,
            step,
            store=self._store,
            ring=self._ring,
            events=self.events,
            begin=self._again,
            run=self.run,
            pace=self._pace,
            follow=follow or Follow(),
        )

    def _again(self) -> Driven:
        """What is driven, as it was before its first step."""
        given = (getattr(self.searcher, name, None) for name in ("estimator", "executor"))
        return from_spec(self.spec, self.task, *given)

    # --- smaller things ------------------------------------------------------------------------------------

    def _say(self, event: Event) -> None:
        with self._disk(f"the event {event.kind!r}"):
            self._store.append([event])
            self._events.append(event)

    def _warn(self, note: str) -> None:
        warnings.warn(f"{self.run or 'search'}: {note}", stacklevel=4)
        self._say(Recovered(step=self.step, message=note))

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


def _shown(path: Path) -> str:
    """A path as short as it can be told here."""
    with suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _spec(driven: Driven, ranking: LiveRanking | None) -> dict[str, Any]:
    """What `run.json` says of a search: of the searcher, and of the ranking beside it."""
    return driven.spec() if ranking is None else {**driven.spec(), "ranking": ranking.spec()}
