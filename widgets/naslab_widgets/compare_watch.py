"""`CompareWatch`: the comparison of run folders, finished or being written by other processes."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from naslab import runs
from naslab.errors import SpecError, real
from naslab.runs.branches import ASIDE
from naslab.runs.places import located
from naslab_widgets.about import metrics_of, notes_of, objective_of, short_path
from naslab_widgets.compare_view import CompareView, axis_choice, frames
from naslab_widgets.deck import Deck
from naslab_widgets.display import Displayed, RestoreHint
from naslab_widgets.figures.svg import Drawing
from naslab_widgets.publisher import Publisher
from naslab_widgets.tracks import Track, several

PAUSE = 10
"""A gap between two steps longer than this many times the median gap is a pause, and counts as one median gap."""


class FollowedRun:
    """A run folder and the part of its log that has been read."""

    def __init__(self, path: str | Path) -> None:
        self.reader = runs.read(path)
        self._row, self._step = 0, 0
        self._gaps: list[float] = []
        self._when: float | None = None
        self.seconds = 0.0

    def news(self) -> tuple[list[Any], bool]:
        """Returns new (event, seconds) pairs, and whether the search was rewound, so that they replace all earlier
        ones.
        """
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


class CompareWatch(Displayed):
    """Reads run folders twice a second; takes no lock and writes nothing."""

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
            folders: two or more, with names of your own if they come as a mapping; else each is called by the end of
                its path, as long as it takes to tell them apart.
            period: seconds between two looks, 0.01 to 86,400.
            hz: frames a second, at most 10.
        """
        hz = frames(hz)
        if not 0.01 <= (period := real("period", period)) <= 86_400:
            raise SpecError(f"period must be 0.01 to 86,400 seconds between two looks, not {period!r}")
        self._axis = axis_choice(axis, lambda _: self._publisher.poke())
        self._runs = {name: FollowedRun(path) for name, path in _paths(folders).items()}
        self._publisher = Publisher(self._publish, period=1 / hz)
        tracks = [_track(name, one.reader) for name, one in self._runs.items()]
        notes = [note for one in self._runs.values() for note in notes_of(one.reader)]
        self.view = CompareView(tracks, poke=self._publisher.poke, notes=notes, hz=hz, clock=clock)
        self.deck = Deck([self._axis], poke=self._publisher.poke, hz=hz, clock=clock)
        self.panel = ipywidgets.VBox([self.deck, self.view]).add_class("naslab-lab")
        self._messages, self._end = [""] * len(tracks), threading.Event()
        self.look()
        self._thread = threading.Thread(target=self._follow, args=(period,), daemon=True, name="naslab-watch")
        self._thread.start()

    def look(self) -> bool:
        """Read new events; returns False if there were none."""
        before, news = [*self._messages, *self._states()], False
        for place, one in enumerate(self._runs.values()):
            try:
                found, back = one.news()
                self._messages[place] = one.reader.trouble
            except Exception as error:
                found, back, self._messages[place] = [], False, f"{type(error).__name__}: {error}"
            if back:
                self.view.forget(place)
            self.view.take(*((place, event, seconds) for event, seconds in found))
            news = news or bool(found) or back
        return news or before != [*self._messages, *self._states()]

    def _states(self) -> list[str]:
        return [one.state for one in self._runs.values()]

    @property
    def state(self) -> str:
        """ "running" while one of the runs is, else "paused" or "finished"; "stopped" (we look no more)."""
        if self._end.is_set():
            return "stopped"
        told = self._states()
        return next((state for state in ("running", "paused") if state in told), "finished")

    def stop(self) -> None:
        """Stop reading the folders."""
        self._end.set()
        self._publisher.poke()

    def picture(self) -> Drawing:
        """Returns a static SVG of the state that was read last."""
        return self.view.picture()

    def _still(self) -> tuple[Any, ...]:
        return (self.picture(), repr(self))

    def _still_key(self) -> Hashable:
        return (tuple(track.step for track in self.view.tracks), self.state)

    def _about(self) -> str:
        return f"watching {', '.join(map(short_path, self._folders()))}"

    def _restore_hint(self) -> RestoreHint:
        lines = ", ".join(json.dumps(short_path(path), ensure_ascii=False) for path in self._folders())
        return RestoreHint("The runs go on without this kernel; look again with", f"Compare.watch([{lines}])")

    def _folders(self) -> list[Path]:
        return [one.reader.path for one in self._runs.values()]

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
        states = [{"state": s, "message": m} for s, m in zip(self._states(), self._messages, strict=True)]
        more = [self.deck.publish(status), self.view.publish({**status, "tracks": states})]
        self._update_still(self.state != "running")
        return any(more)


def _paths(folders: Any) -> dict[str, str | Path]:
    """The folders by name: of a mapping, or as many of their last parts as tell all of them apart."""
    found = several(folders, "run folders", "Compare.watch([first, second])")
    paths = list(found.values()) if isinstance(found, dict) else found
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            advice = "Compare([first, second]) drives searches that are in memory"
            raise SpecError(f"Compare.watch follows run folders by their paths, not {path!r:.80}; {advice}")
    if len(paths) < 2:
        raise SpecError(f"a comparison needs two or more run folders, not {paths}; Lab.watch(path) follows one")
    if isinstance(found, dict):
        return found
    parts = [Path(os.path.abspath(located(path))).parts for path in paths]
    if len(set(parts)) < len(parts):
        raise SpecError(f"a comparison needs different run folders, not one of them twice: {[str(p) for p in paths]}")
    ends = ([str(Path(*part[-length:])) for part in parts] for length in range(1, max(map(len, parts)) + 1))
    names = next(names for names in ends if len(set(names)) == len(names))
    return dict(zip(names, paths, strict=True))


def _track(name: str, reader: runs.RunReader) -> Track:
    told = {"metrics": metrics_of(reader), "objective": objective_of(reader)}
    track = Track(name, reader.space, total=reader.total, trials="estimator" in reader.spec, **told)
    track.expect(reader.spec.get("hyperparameters", {}).get("epochs"))
    return track
