"""`Watch`: the view of a run that another process writes, read from the run folder.

A thread of its own (`naslab-watch`) reads the folder; the publisher's thread sends what is new to the page.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import ipywidgets

from naslab import estimators, runs
from naslab.benchmarks import Benchmark
from naslab.errors import NaslabError
from naslab.runs.branches import ASIDE
from naslab.searchers import by_name
from naslab_widgets.about import metrics_of, notes_of, objective_of, short_path
from naslab_widgets.candidate_sheet import CandidateSheet
from naslab_widgets.deck import Deck
from naslab_widgets.display import Displayed, RestoreHint, opens
from naslab_widgets.figures.svg import Drawing, stacked
from naslab_widgets.live import LiveView
from naslab_widgets.moments import Reread
from naslab_widgets.publisher import Publisher
from naslab_widgets.ranking_view import RankingView
from naslab_widgets.runner import pace
from naslab_widgets.timebar import TimeBar
from naslab_widgets.trials_view import TrialsView, shows_trials


class Watch(Displayed):
    """Reads a run folder twice a second; takes no lock and writes nothing."""

    def __init__(
        self,
        path: str | Path,
        *,
        period: float = 0.5,
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            path: of a run folder (`naslab.Search(searcher, run=path)`).
            period: seconds between two looks.
        """
        self._reader = runs.read(path)
        self.path = self._reader.path
        self._row, self._step = 0, 0
        self._times: deque[tuple[float, int]] = deque(maxlen=64)
        self._publisher = Publisher(self._publish, period=1 / hz)
        looks: dict[str, Any] = {
            "poke": self._publisher.poke,
            "hz": hz,
            "clock": clock,
            "panel": secrets.token_hex(8),
        }
        self._reread = Reread(self._reader)
        self.timebar = TimeBar(snapshots=lambda: self._reader.snapshots, clock=clock)
        options: dict[str, Any] = {"metrics": metrics_of(self._reader), "notes": notes_of(self._reader)}
        options["recall"] = self._reread
        trials = "estimator" in self._reader.spec
        if trials:
            options["benchmark"] = _benchmark(self._reader.spec["estimator"])
            options["population"] = self._reader.spec["hyperparameters"].get("population")
        sheets: list[CandidateSheet] = []
        if shows_trials(by_name(self._reader.spec["searcher"])):
            sheets = [CandidateSheet(self._reader.space, lambda: self.view.selected, clock=clock)]
            options |= {"objective": objective_of(self._reader), "sections": sheets}
            self.view = TrialsView(self._reader.space, **options, **looks)
        else:
            self.view = LiveView(self._reader.space, **options, **looks)
        self.views = [self.view]
        try:
            self.views += RankingView.of(self._reader, **looks)
        except NaslabError as error:  # the table that the ranking is held against is not here
            self.view.note(0, f"no ranking: {error}", error=True)
        self._consumers: list[Any] = [*self.views, self.timebar, *sheets]
        self.deck = Deck([self.timebar], **looks)
        self.panel = ipywidgets.VBox([self.deck, *self.views]).add_class("naslab-lab")
        self._message, self._state = "", "running"
        self._end = threading.Event()
        self.look()
        self._message = self._reader.trouble
        self._thread = threading.Thread(target=self._follow, args=(period,), daemon=True, name="naslab-watch")
        self._thread.start()

    def look(self) -> bool:
        """Read new events; returns False if there were none."""
        records = self._reader.events(since=self._row)
        if any(event.step <= self._step for _, _, event in records if not isinstance(event, ASIDE)):
            records = self._reader.events()  # the search was rewound: the steps after that are abandoned
            for taker in (*self._consumers, self._reread):
                taker.clear()
            self._times.clear()
        for taker in self._consumers:
            taker.take(*(event for _, _, event in records))
        self._reread.take(records)
        for number, when, event in records:
            self._row = number
            if not isinstance(event, ASIDE):
                self._step = event.step
                self._times.append((when, event.step))
        state, self._state = self._state, self._read_state()
        return bool(records) or state != self._state

    @property
    def state(self) -> str:
        """ "running", "paused" (no process drives the run), "finished" or "stopped" (we look no more)."""
        return "stopped" if self._end.is_set() else self._state

    def _read_state(self) -> str:
        if self._step >= self._reader.total:
            return "finished"
        return "paused" if self._reader.closed else "running"

    def stop(self) -> None:
        """Stop reading the folder."""
        self._end.set()
        self._publisher.poke()

    def picture(self) -> Drawing:
        """Returns a static SVG of the state that was read last."""
        return stacked(*(view.picture() for view in self.views))

    def _still(self) -> tuple[Any, ...]:
        return (self.picture(), repr(self))

    def _still_key(self) -> Hashable:
        return (self._row, self._step, self.state)

    def _about(self) -> str:
        return f"watching {short_path(self.path)}"

    def _restore_hint(self) -> RestoreHint:
        return RestoreHint("The run goes on without this kernel; look again with", opens("Lab.watch", self.path))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        bundle = self.panel._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self), "image/svg+xml": str(self.picture())}

    def __repr__(self) -> str:
        return f"<Watch: {self.path}, {self.state}, step {self._step:,}>"

    def _follow(self, period: float) -> None:
        while not self._end.wait(period):
            try:
                news, message = self.look(), self._reader.trouble
            except Exception as error:
                news, message = False, f"{type(error).__name__}: {error}"
            if news or message != self._message:
                self._message = message
                self._publisher.poke()

    def _publish(self) -> bool:
        times, running = list(self._times), self.state == "running"
        rate = pace(times) if running else 0.0
        status = {
            "state": self.state,
            "step": self._step,
            "total": self._reader.total,
            "rate": rate,
            "left": (self._reader.total - self._step) / rate if rate else None,
            "message": self._message,
        }
        more = [self.deck.publish({**status, **self.view.standing()}), *(view.publish(status) for view in self.views)]
        self._update_still(self.state != "running")
        return any(more)


def _benchmark(spec: dict[str, Any]) -> Benchmark | None:
    """The table that an estimator reads from, if it reads from one."""
    return getattr(estimators.from_spec(spec), "benchmark", None) if "benchmark" in spec else None
