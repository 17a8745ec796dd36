"""`Lab`: the live panel of one search, to run, pause and steer it.

`Lab(search)` as the last line of a cell shows the panel. `lab.run(20)` does twenty steps and returns, without a panel.

Three threads meet here. The runner's thread calls `next(search)` and, after each burst of steps, `_observe`. The
publisher's thread calls `_publish`, and `_observe` as well while the search is idle, since the user may step it in a
loop of their own. The kernel's main thread handles messages from the page. `_observing` guards `_observe`, which hands
each event to the views exactly once; each view has a lock of its own.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from naslab.analysis.remedies import Remedy
from naslab.errors import SpecError, real
from naslab.events import Event
from naslab.lazy import warn_of_old_name
from naslab.runs import conditions
from naslab.runs.event_log import within
from naslab.searchers import BlackBoxSearch
from naslab_widgets.about import metrics_of, notes_of, objective_of, summary
from naslab_widgets.before import Before
from naslab_widgets.branches import Branches
from naslab_widgets.candidate_sheet import CandidateSheet
from naslab_widgets.collapse import CollapseLine
from naslab_widgets.decision_sheet import DecisionSheet
from naslab_widgets.deck import Deck
from naslab_widgets.deferred import Deferred, after
from naslab_widgets.display import Gallery, RestoreHint, restore_hint, shown
from naslab_widgets.figures.svg import Drawing, stacked
from naslab_widgets.ledger import Ledger
from naslab_widgets.live import LiveView
from naslab_widgets.publisher import Publisher
from naslab_widgets.ranking_view import RankingView
from naslab_widgets.runner import Runner, State
from naslab_widgets.sections import Section
from naslab_widgets.settings import Settings
from naslab_widgets.sheet import EdgeSheet
from naslab_widgets.stage import Stage
from naslab_widgets.steered import Steered
from naslab_widgets.strip import Strip
from naslab_widgets.timebar import TimeBar
from naslab_widgets.trials_view import TrialsView, shows_trials
from naslab_widgets.watch import Watch

_LABS: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()
"""Search -> its lab or comparison: a search has one driver at a time."""


class Lab(Steered):
    """Runs a `naslab.Search` in a worker thread, so that the kernel stays free, and shows it live.

    Buttons and methods of the same name do the same. Everything works without a front end as well.
    """

    def __init__(
        self,
        search: Any,
        *,
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        stage: Stage | None = None,
    ) -> None:
        """
        Args:
            search: a `naslab.Search`; a lab made earlier for the same search is stopped.
            hz: frames a second, at most.
            clock: seconds; for tests.
            stage: the stage of another lab, in whose panel this one is shown; by default it has a panel of its own.
        """
        if not drivable(search):
            raise TypeError(
                f"Lab expects a naslab.Search, as nl.Search(searcher) makes it, got {search!r:.80}; "
                "Lab.watch(path) follows a run folder"
            )
        if not (hz := real("hz", hz)) > 0:
            raise SpecError(f"hz must be positive, not {hz!r}")
        claim(search, self)
        self.search, self._clock = search, clock
        self._later: Deferred | None = None
        self._observing = threading.Lock()
        self._seen = 0
        self._last_seen: Event | None = None
        self._reported_error: BaseException | None = None
        self.forks: list[Any] = []
        """Forks that were made in this panel, in order."""
        self._reached: tuple[int, str] | None = None
        """(step, condition) of the last pause by a condition, so that the log has one line for it."""
        self._publisher = Publisher(self._publish, period=1 / hz)
        self._runner = Runner(search, observe=self._observe, rested=self._publisher.poke, clock=clock)
        looks: dict[str, Any] = {
            "poke": self._publisher.poke,
            "hz": hz,
            "clock": clock,
            "panel": secrets.token_hex(8),
        }
        options: dict[str, Any] = {"metrics": metrics_of(search), "notes": notes_of(search)}
        if isinstance(trials := search.searcher, BlackBoxSearch):
            options["benchmark"] = getattr(trials.estimator, "benchmark", None)
            options["population"] = getattr(trials.sampler.hyperparameters, "population", None)
        options |= {"recall": self._recall, "complain": self._complain}
        sheets: list[CandidateSheet] = []
        if shows_trials(type(trials)):
            sheets = [CandidateSheet(search.space, lambda: self.view.selected, search, clock=clock)]
            options["sections"] = [DecisionSheet(lambda: search.events), *sheets]
            self.view = TrialsView(search.space, objective=objective_of(search), **options, **looks)
        else:
            inside = EdgeSheet.of(search, self._runner.call)
            self.view = LiveView(search.space, sections=inside, **options, **looks)
        self.views = [self.view, *RankingView.of(search, **looks)]
        self.collapse = CollapseLine(search, self.measure, self._try) if isinstance(self.view, LiveView) else None
        self.timebar = TimeBar(snapshots=lambda: getattr(search, "kept_steps", ()), forks=self._forks, clock=clock)
        self._consumers: list[Any] = [*self.views, self.timebar, *sheets, *([self.collapse] if self.collapse else [])]
        self.panel = ipywidgets.VBox().add_class("naslab-lab") if stage is None else stage.box
        self.stage = stage or self._stage(hz, clock)
        self.branches = self._branches()
        self.deck = Deck(self._sections(), complain=self._complain, **looks)
        if stage is None:
            self.stage.begin(self)
        self._observe()

    def _stage(self, hz: float, clock: Callable[[], float]) -> Stage:
        from naslab_widgets.compare import Compare  # here, because that module imports this one

        def beside(searches: Mapping[str, Any], stage: Stage) -> Compare:
            def branches(poke: Callable[[], None]) -> Branches:
                return Branches(None, stage, of=self.search, poke=poke)

            return Compare(searches, hz=min(hz, 5.0), clock=clock, sections=branches)

        return Stage(
            self.panel,
            enter=lambda search, stage: Lab(search, hz=hz, clock=clock, stage=stage),
            lend=lambda search: _LABS.pop(search, None),
            back=claim,
            compare=beside,
        )

    def _branches(self) -> Branches | None:
        """Returns the section of forks; None for an object that only stands in for a search."""
        if not hasattr(self.search, "lineage"):
            return None

        def rest() -> None:
            self.pause()
            self.join()

        how: dict[str, Any] = {"rest": rest, "poke": self._publisher.poke, "made": self.forks.append}
        return Branches(self.search, self.stage, of=self.search, **how)

    def _sections(self) -> list[Section]:
        """Returns the sections above the pictures, top to bottom."""
        over = lambda: self.state in ("stopped", "finished")  # noqa: E731
        before = Before(self, self._runner.call, self._publisher.poke)
        branches = self.branches  # None if the object is not a `naslab.Search`
        ledger = None if branches is None else Ledger(self.search, branches.begin_without)
        below = [self.timebar, branches, self.collapse, ledger, before]
        strip = Strip(self, self.search)
        above = [strip, Settings({"": self.search}, over, without=strip.frozen)]
        return [*above, *(section for section in below if section is not None)]

    @classmethod
    def watch(cls, path: str | Path, **options: Any) -> Watch:
        """Returns a read-only view of a run folder, which another process may be writing."""
        return Watch(path, **options)

    @staticmethod
    def all() -> Gallery:
        """Returns every lab, comparison and race of this kernel that is not stopped; as the last line of a cell it
        shows them, for example after the page was reloaded before the notebook was saved.
        """
        drivers = [lab for reference in _LABS.values() if (lab := reference()) is not None]
        stepper = [each for each in (*drivers, *shown()) if getattr(each, "state", "stopped") != "stopped"]
        return Gallery(dict.fromkeys(stepper))

    @staticmethod
    def stop_all() -> None:
        """Stop every lab of this kernel, including those without a variable or panel."""
        for reference in list(_LABS.values()):
            if (lab := reference()) is not None:
                lab.stop()

    # --- driving ---------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Do n more steps, then pause. Returns at once; `wait` waits for them."""
        self._runner.step(n)
        self._publisher.poke()

    def until(self, condition: Any, *number: float) -> None:
        """Run until a condition is met, then pause. Returns at once; `wait` waits for it.

        Args:
            condition: the name of one ("epoch", "entropy", "skips", "derived", "kept", "truth", "fitness"), one of
                `naslab.runs.conditions`, or a function of the event of a step.
            number: the threshold, for a name that needs one: `lab.until("entropy", 1.2)`.
        """
        if isinstance(condition, str):
            condition = conditions.named(condition, *number)
        self._runner.until(conditions.as_condition(condition).begin(self.search))
        self._publisher.poke()

    def step_epoch(self) -> None:
        """Run to the end of the epoch, then pause. Returns at once."""
        self.until("epoch")

    async def on_finish(self, job: Callable[[], Any]) -> Deferred:
        """Run a job when the search has ended or was stopped, and all earlier jobs are done.

        Write `await lab.on_finish(job)` as the last line of a cell. If a page is open, the cell returns at once and its
        panel fills in later, so that the kernel stays free. Without a front end the cell waits for the result.

        Args:
            job: a function without arguments, or a generator, each of whose values replaces the previous one in the
                panel.
        """
        self._later = await after(job, self._later, self.view, self._runner, self._clock)
        self._update_still(not self._runner.busy)
        return self._later

    def then(self, job: Callable[[], Any]) -> Awaitable[Deferred]:
        """`on_finish` by its old name."""
        warn_of_old_name("Lab.then", "Lab.on_finish")
        return self.on_finish(job)

    def fork_here(
        self,
        step: int | None = None,
        *,
        change: Mapping[str, Any] | None = None,
        name: str | None = None,
        run: str | os.PathLike[str] | None = None,
    ) -> Any:
        """Fork the search after a step (by default the current one) and show both side by side, paused, in this panel.

        Takes the arguments of `naslab.Search.fork`.

        Returns:
            The fork, a `naslab.Search`; it is also the last of `forks`.

        Raises:
            SpecError: the object of this lab only stands in for a search.
        """
        if self.branches is None:
            raise SpecError("this lab does not show a naslab.Search, so it cannot be forked")
        return self.branches.fork(step, change=change, name=name, run=run)

    def go_back(self, step: int) -> None:
        """Rewind the search to the state after a step, and leave it paused there."""
        if self.branches is None:
            raise SpecError("this lab does not show a naslab.Search, so it cannot be rewound")
        self.branches.go_back(step)

    def set(self, name: str, value: float) -> None:
        """Change a setting from the next step on; the change is logged as an event of the search."""
        self.search.set(name, value)

    def without(self, number: int) -> Any:
        """Fork the search as if one intervention of its ledger had not happened, and show both side by side; see
        `Search.without`.
        """
        if self.branches is None:
            raise SpecError("this lab does not show a naslab.Search, so it cannot be forked")
        return self.branches.without(number)

    def measure(self, name: str) -> None:
        """Compute a metric that is too expensive for every step; it appears in the log and in `search.events`."""
        self._runner.call(lambda: self.search.measure(name))
        self._publisher.poke()

    def _try(self, remedy: Remedy) -> None:
        """Fork with a remedy and show both side by side. Returns at once."""
        if self.branches is not None:
            self.branches.begin_fork(remedy.step, change=remedy.change, name=remedy.name)

    @property
    def state(self) -> State:
        return self._runner.state

    # --- showing ---------------------------------------------------------------------------------

    def picture(self) -> Drawing:
        """Returns a static SVG of the current state: cells and curves, or the best cell and the trials; and the
        ranking.

        `lab.picture().save("lab.svg")` writes it to a file.
        """
        self._observe_if_idle()
        return stacked(*(view.picture() for view in self.views))

    def _changes(self) -> int:
        return len(self.search.events)

    def _about(self) -> str:
        return summary(self.search)

    def _restore_hint(self) -> RestoreHint:
        return restore_hint([self.search], "Lab(search)")

    def __repr__(self) -> str:
        return f"<Lab: {self.state}, step {self.search.step:,} of {self.search.total:,}>"

    def _observe(self) -> None:
        with self._observing:
            events = self.search.events
            if self._seen and (self._seen > len(events) or events[self._seen - 1] is not self._last_seen):
                for consumer in self._consumers:
                    consumer.clear()  # the search was rewound
                self._seen = 0
            if news := events[self._seen :]:
                for consumer in self._consumers:
                    consumer.take(*news)
                self._seen, self._last_seen = self._seen + len(news), news[-1]
            if (reached := self._runner.reached) and (at := (self.search.step, reached)) != self._reached:
                self._reached = at
                self.view.note(self.search.step, f"paused: {reached}")
            error = self._runner.error
            if error is not None and error is not self._reported_error:
                self._reported_error = error
                self.view.note(self.search.step, error_text(error), error=True)

    def _publish(self) -> bool:
        self._observe_if_idle()
        state = self.state
        error, rate = self._runner.error, self._runner.rate
        remaining = self.search.total - self.search.step
        status = {
            "state": state,
            "step": self.search.step,
            "total": self.search.total,
            "rate": rate if state == "running" else 0.0,
            "left": remaining / rate if rate and state == "running" else None,
            "message": error_text(error) if error else self._runner.why,
        }
        more = [self.deck.publish({**status, **self.view.standing()}), *(view.publish(status) for view in self.views)]
        return self._update_still_at_rest(self.search.step, self._runner.busy) or any(more)

    def _recall(self, first: int, last: int) -> Sequence[Event]:
        return within(self.search.events, first, last)

    def _forks(self) -> list[tuple[int, str]]:
        """Returns (step, name) of each fork of this search."""
        tree = getattr(self.search, "lineage", ())
        own = [place for place, branch in enumerate(tree) if branch.search is self.search]
        return [(one.parted, one.name) for one in tree if one.parent in own and not one.abandoned]

    def _complain(self, error: Exception) -> None:
        """Log an error of a request from the page."""
        self.view.note(self.search.step, error_text(error), error=True)


def drivable(search: Any) -> bool:
    """True for a `naslab.Search` or an object that stands in for one; a searcher alone cannot."""
    return not isinstance(search, type) and all(hasattr(search, name) for name in ("settings", "searcher", "events"))


def claim(search: Any, driver: Any) -> None:
    """Make a lab or a comparison the only driver of a search: an earlier driver is stopped, after its step."""
    older = _LABS.get(search)
    if older is not None and (lab := older()) is not None and lab is not driver:
        lab.stop(f"another {type(driver).__name__} drives this search now")
        lab.join()
    reference = _LABS[search] = weakref.ref(driver)

    def moved() -> None:
        if (lab := reference()) is not None:
            lab.refresh()

    search.moved = moved


def error_text(error: BaseException) -> str:
    """Returns an error as the panel shows it: its advice names the button instead of the call."""
    return f"{type(error).__name__}: {error}".replace("call next again", "press Play")
