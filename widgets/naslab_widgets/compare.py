"""`Compare`: several searches side by side, live, kept in step with one another.

`Compare([first, second, ...])` as the last line of a cell shows the panel; `compare.run(20)` needs no panel.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import ipywidgets

from naslab.errors import SpecError, among, unknown, whole
from naslab.lazy import warn_of_old_name
from naslab.markup import printable
from naslab.searchers import BlackBoxSearch
from naslab_widgets.about import metrics_of, notes_of, objective_of, summary
from naslab_widgets.compare_view import CompareView, axis_choice, frames
from naslab_widgets.compare_watch import CompareWatch
from naslab_widgets.deck import Deck
from naslab_widgets.deferred import Deferred, after
from naslab_widgets.display import RestoreHint, restore_hint
from naslab_widgets.figures.svg import Drawing, short
from naslab_widgets.lab import claim, drivable, error_text
from naslab_widgets.publisher import Publisher
from naslab_widgets.runner import Runner, State
from naslab_widgets.sections import Section
from naslab_widgets.settings import Settings
from naslab_widgets.steered import Steered
from naslab_widgets.strip import Strip
from naslab_widgets.tracks import AXES, Track, named, several


class Interleaved(Iterator[Any]):
    """Iterates over several searches: each step goes to the one that is furthest behind on the axis.

    A search that fails stops, with its error in `failed`; the others go on.
    """

    def __init__(self, searches: Mapping[str, Any], tracks: Iterable[Track], clock: Callable[[], float]) -> None:
        self.searches, self.tracks, self._clock = list(searches.values()), list(tracks), clock
        self.names = list(searches)
        self.axis = "steps"
        self.spent = [0.0] * len(self.searches)
        """Seconds that the steps of each search have taken here."""
        self.failed: dict[int, BaseException] = {}

    def __next__(self) -> Any:
        while going := [place for place in range(len(self.searches)) if self.goes(place)]:
            place = min(going, key=self._behind)
            begin = self._clock()
            try:
                event = next(self.searches[place], None)
            except Exception as error:
                self.failed[place], event = error, None
            self.spent[place] += self._clock() - begin
            if event is not None:
                return event
        if len(self.failed) == len(self.searches):
            raise next(iter(self.failed.values()))
        raise StopIteration

    def goes(self, place: int) -> bool:
        """True if a search has steps left and no error."""
        search = self.searches[place]
        return place not in self.failed and search.step < search.total

    def _behind(self, place: int) -> float:
        """Returns the position of a search on the axis, or an estimate from its share of all steps if it has none."""
        search = self.searches[place]
        share = search.step / max(search.total, 1)
        if self.axis == "steps":
            return search.step
        if self.axis == "seconds":
            return self.spent[place]
        if self.axis == "share":
            return share
        where = self.tracks[place].epochs
        most = max((track.epochs / max(track.step, 1) * track.total for track in self.tracks if track.step), default=0)
        return share * most if math.isnan(where) else where

    @property
    def step(self) -> int:
        return sum(search.step for search in self.searches)

    @property
    def total(self) -> int:
        """Steps of all searches together; for a failed one, those that it has done."""
        return sum(s.step if place in self.failed else s.total for place, s in enumerate(self.searches))


class CompareRunner(Runner):
    """The worker of a comparison: after a failure it is paused, not ended, since `play` tries the search again."""

    def __init__(self, interleaved: Interleaved, **options: Any) -> None:
        super().__init__(interleaved, **options)
        self._interleaved = interleaved

    @property
    def ended(self) -> bool:
        return super().ended and (self._stopped or not self._interleaved.failed)

    @property
    def progress(self) -> str:
        interleaved = self._interleaved
        failed = [
            f"{interleaved.names[place]} failed ({error_text(error)})" for place, error in interleaved.failed.items()
        ]
        return ", ".join([super().progress, *failed])

    def _grant_steps(self, budget: float) -> None:
        self._refuse_if_stopped()
        self._interleaved.failed.clear()
        super()._grant_steps(budget)

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise RuntimeError(
                f"this comparison was stopped{self._because}; make a new Compare([first, second]) to go on"
            )


class Compare(Steered):
    """Runs several `naslab.Search` in one worker thread, in step along one axis, and shows them live.

    Buttons and methods of the same name do the same. The searches may be of different kinds; a chart that one of them
    lacks is left out, and the panel says why.
    """

    def __init__(
        self,
        searches: Iterable[Any] | Mapping[str, Any],
        *,
        axis: str = "steps",
        hz: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sections: Callable[[Callable[[], None]], Section] | None = None,
    ) -> None:
        """
        Args:
            searches: two or more, with names of your own if they come as a mapping; a lab made earlier for one of
                them is stopped.
            axis: "steps", "epochs", "seconds" or "share": what they keep in line by, and what they are drawn along.
            hz: frames a second, at most 10.
            clock: seconds; for tests.
            sections: makes what stands above the pictures besides, given what is to be called when that is another.
        """
        found, hz = _checked(searches), frames(hz)
        self._axis = axis_choice(axis, self._set_axis)
        self.searches, self._clock, self._later = found, clock, None
        self._observing = threading.Lock()
        self._in_a_round = len(found)
        tracks = [_track(name, search) for name, search in found.items()]
        self._interleaved = Interleaved(found, tracks, clock)
        self._publisher = Publisher(self._publish, period=1 / hz)
        self._runner = CompareRunner(self._interleaved, observe=self._observe, rested=self._publisher.poke, clock=clock)
        notes = [note for search in found.values() for note in notes_of(search)]
        self.view = CompareView(tracks, poke=self._publisher.poke, notes=notes, hz=hz, clock=clock)
        self._interleaved.axis = axis
        over = lambda: self.state in ("stopped", "finished")  # noqa: E731
        above: list[Section] = [Strip(self), self._axis, Settings(found, over)]
        if sections is not None:
            above.append(sections(self._publisher.poke))
        self.deck = Deck(above, poke=self._publisher.poke, complain=self._complain, hz=hz, clock=clock)
        self.panel = ipywidgets.VBox([self.deck, self.view]).add_class("naslab-lab")
        for search in found.values():
            claim(search, self)
        self._observe()

    @classmethod
    def watch(cls, folders: Iterable[str | Path] | Mapping[str, str | Path], **options: Any) -> CompareWatch:
        """The same view of run folders: finished, or written by other processes; without the controls."""
        return CompareWatch(folders, **options)

    # --- driving ---------------------------------------------------------------------------------

    def step(self, n: int = 1) -> None:
        """Do n rounds of as many steps as there are searches, then pause. Returns at once."""
        self._runner.step(whole("the number of rounds", n, 1) * len(self.searches))
        self._publisher.poke()

    async def on_finish(self, job: Callable[[], Any]) -> Deferred:
        """Do the job when all have ended, or were stopped; `await compare.on_finish(job)`, as of a `Lab`.

        While a search stands still for an error, they have not ended: `play()` tries it again.
        """
        self._later = await after(job, self._later, self.view, self._runner, self._clock)
        self._update_still(not self._runner.busy)
        return self._later

    def then(self, job: Callable[[], Any]) -> Awaitable[Deferred]:
        """`on_finish` by its old name."""
        warn_of_old_name("Compare.then", "Compare.on_finish")
        return self.on_finish(job)

    @property
    def axis(self) -> str:
        return self._interleaved.axis

    @axis.setter
    def axis(self, name: str) -> None:
        if not among(name, AXES):
            raise SpecError(unknown("axis", name, AXES))
        self._axis.value = name

    @property
    def errors(self) -> dict[str, BaseException]:
        """Name of a failed search -> its error."""
        return {self._interleaved.names[place]: error for place, error in self._interleaved.failed.items()}

    @property
    def state(self) -> State | Literal["failed"]:
        """As of a `Lab`; "failed" while they stand still and `errors` has one."""
        state = self._runner.state
        return "failed" if self._interleaved.failed and state in ("paused", "finished") else state

    # --- showing ---------------------------------------------------------------------------------

    def picture(self) -> Drawing:
        """Returns a static SVG of the current cells, one search below the other."""
        self._observe_if_idle()
        return self.view.picture()

    def _about(self) -> str:
        return "; ".join(f"{short(name)}: {summary(search)}" for name, search in self.searches.items())

    def _restore_hint(self) -> RestoreHint:
        return restore_hint(self.searches.values(), "Compare([{}])")

    def __repr__(self) -> str:
        stand = ", ".join(f"{name} {search.step:,}/{search.total:,}" for name, search in self.searches.items())
        return printable(f"<Compare: {self.state}, {stand}>")

    def _set_axis(self, axis: str) -> None:
        self._interleaved.axis = axis
        self._publisher.poke()

    def _complain(self, error: Exception) -> None:
        """Show the error of a setting that could not be changed."""
        self._setting_error = error_text(error)
        self._publisher.poke()

    _setting_error = ""

    def _observe(self) -> None:
        with self._observing:
            for place, search in enumerate(self.searches.values()):
                self.view.follow(place, search.events, self._interleaved.spent[place])

    def _states(self) -> list[dict[str, Any]]:
        interleaved, running = self._interleaved, self.state == "running"
        found = []
        for place, search in enumerate(self.searches.values()):
            error = interleaved.failed.get(place)
            over = search.step >= search.total
            state = "failed" if error else "finished" if over else "running" if running else "paused"
            found.append({"state": state, "message": error_text(error) if error else ""})
        return found

    def _publish(self) -> bool:
        self._observe_if_idle()
        state = self.state
        error, rate, interleaved = self._runner.error, self._runner.rate, self._interleaved
        running = state == "running"
        status = {
            "state": state,
            "step": interleaved.step,
            "total": interleaved.total,
            "rate": rate if running else 0.0,
            "left": (interleaved.total - interleaved.step) / rate if rate and running else None,
            "message": error_text(error) if error else self._runner.why or self._setting_error,
            "axis": interleaved.axis,
        }
        more = [self.deck.publish(status), self.view.publish({**status, "tracks": self._states()})]
        return self._update_still_at_rest(interleaved.step, self._runner.busy) or any(more)


def _checked(searches: Any) -> dict[str, Any]:
    """Returns the searches by name, checked, without calling any of them.

    Raises:
        SpecError: not two or more different searches.
    """
    given = several(searches, "searches", "Compare([first, second])")
    for search in given.values() if isinstance(given, dict) else given:
        if not drivable(search):
            advice = "naslab.Search(searcher) makes one, Compare.watch([path, path]) follows run folders"
            raise SpecError(f"Compare shows naslab.Search objects, not {search!r:.80}; {advice}")
    found = named(given)
    if len(found) < 2:
        raise SpecError(f"Compare shows two or more searches, not {list(found)}; Lab(search) shows one")
    first: dict[int, str] = {}
    for name, search in found.items():
        if (other := first.setdefault(id(search), name)) != name:
            advice = "make another naslab.Search for one of them"
            raise SpecError(f"Compare shows different searches; {other!r} and {name!r} are one object: {advice}")
    return found


def _track(name: str, search: Any) -> Track:
    searcher = search.searcher
    told = {"metrics": metrics_of(search), "objective": objective_of(search)}
    track = Track(name, search.space, total=search.total, trials=isinstance(searcher, BlackBoxSearch), **told)
    track.expect(getattr(getattr(searcher, "hyperparameters", None), "epochs", None))
    return track
