"""The comparison of run folders: finished runs, or such that other processes write."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from naslab import runs
from naslab.errors import SpecError
from naslab.runs.journal import ASIDE
from naslab_widgets.compare_view import CompareView, axis_buttons
from naslab_widgets.figures.svg import Drawing
from naslab_widgets.publisher import Publisher
from naslab_widgets.tracks import Track

PAUSE = 10
"""So many times as long as the usual gap between two steps is a pause, and counts as one usual gap."""


class Followed:
    """One folder, as far as it has been read."""

    def __init__(self, path: str | Path) -> None:
        self.reader = runs.read(path)
        self._row, self._step = 0, 0
        self._gaps: list[float] = []
        self._when: float | None = None
        self.seconds = 0.0

    def news(self) -> tuple[list[Any], bool]:
        """(event, seconds) of what is new, and whether the search had gone back, and all of it is new."""
        records = self.reader.events(since=self._row)
        back = any(event.step <= self._step for _, _, event in records if not isinstance(event, ASIDE))
        if back:
            records = self.reader.events()
            self._gaps, self._when, self.seconds = [], None, 0.0
        found = []
        for number, when, event in records:
            self._row = number
            if not isinstance(event, ASIDE):
                self._step = event.step
                self.seconds += self._gap(when)
            found.append((event, self.seconds))
        return found, back

    def _gap(self, when: float) -> float:
        """Seconds since the step before, without pauses."""
        gap, self._when = 0.0 if self._when is None else when - self._when, when
        usual = statistics.median(self._gaps) if len(self._gaps) >= 5 else None
        if usual is not None and gap > max(PAUSE * usual, 1.0):
            return usual
        self._gaps = [*self._gaps[-30:], gap]
        return gap

    @property
    def state(self) -> str:
        if self._step >= self.reader.total:
            return "finished"
        return "paused" if self.reader.closed else "running"


class CompareWatch:
    """Looks into run folders twice a second; takes no lock and writes nothing."""

    def __init__(
        self,
        folders: Iterable[str | Path] | Mapping[str, str | Path],
        *,
        axis: str = "steps",
        period: float = 0.5,
        hz: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            folders: two or more, with names of your own if they come as a mapping.
            period: seconds between two looks.
        """
        paths: dict[str, str | Path] = (
            {str(name): path for name, path in folders.items()}
            if isinstance(folders, Mapping)
            else {Path(each).name: each for each in folders}
        )
        if len(paths) < 2:
            raise SpecError(f"a comparison needs two or more run folders of different names, not {list(paths)}")
        self._followed = {name: Followed(path) for name, path in paths.items()}
        self._publisher = Publisher(self._publish, period=1 / hz)
        tracks = [_track(name, one.reader) for name, one in self._followed.items()]
        self.view = CompareView(tracks, poke=self._publisher.poke, hz=hz, clock=clock)
        self._axis = axis_buttons(axis)
        self._axis.observe(lambda _: self._publisher.poke(), "value")
        strip = ipywidgets.HBox([self._axis]).add_class("naslab-strip")
        self.panel = ipywidgets.VBox([strip, self.view]).add_class("naslab-lab")
        self._messages, self._end = [""] * len(tracks), threading.Event()
        self.look()
        self._thread = threading.Thread(target=self._follow, args=(period,), daemon=True, name="naslab-watch")
        self._thread.start()

    def look(self) -> bool:
        """Take what is new in the folders; whether there was anything."""
        before, news = [*self._messages, *self._told()], False
        for place, one in enumerate(self._followed.values()):
            try:
                found, back = one.news()
                self._messages[place] = ""
            except Exception as error:
                found, back, self._messages[place] = [], False, f"{type(error).__name__}: {error}"
            if back:
                self.view.clear(place)
            for event, seconds in found:
                self.view.take(place, event, seconds)
            news = news or bool(found) or back
        return news or before != [*self._messages, *self._told()]

    def _told(self) -> list[str]:
        return [one.state for one in self._followed.values()]

    @property
    def state(self) -> str:
        """ "running" while one of the runs is, else "paused" or "finished"; "stopped" (we look no more)."""
        if self._end.is_set():
            return "stopped"
        told = self._told()
        return next((state for state in ("running", "paused") if state in told), "finished")

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._publisher.poke()

    def picture(self) -> Drawing:
        """A static SVG of what was last seen."""
        return self.view.picture()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        bundle = self.panel._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self), "image/svg+xml": str(self.picture())}

    def __repr__(self) -> str:
        stand = ", ".join(f"{track.name} {track.step:,}/{track.total:,}" for track in self.view.tracks)
        return f"<CompareWatch: {self.state}, {stand}>"

    def _follow(self, period: float) -> None:
        while not self._end.wait(period):
            if self.look():
                self._publisher.poke()

    def _publish(self) -> bool:
        tracks = self.view.tracks
        status = {
            "state": self.state,
            "step": sum(track.step for track in tracks),
            "total": sum(track.total for track in tracks),
            "message": "",
            "axis": self._axis.value,
        }
        states = [{"state": s, "message": m} for s, m in zip(self._told(), self._messages, strict=True)]
        return self.view.publish(status, states)


def _track(name: str, reader: runs.RunReader) -> Track:
    track = Track(name, reader.space, total=reader.total, trials="estimator" in reader.spec)
    track.expect(reader.spec.get("hyperparameters", {}).get("epochs"))
    return track
