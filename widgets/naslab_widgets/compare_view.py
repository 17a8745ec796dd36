"""The view of several searches side by side: one widget, fed with rows of float64 of each (`naslab_widgets.tracks`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from naslab.errors import SpecError, real
from naslab.events import Event
from naslab.quantities import Quantity
from naslab_widgets.figures import cell, svg
from naslab_widgets.figures.cell import frame_of
from naslab_widgets.figures.charts import charts_apart, rank, with_unit, words
from naslab_widgets.figures.palette import RUNS
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.stream import Message, StreamView
from naslab_widgets.strip import Choice
from naslab_widgets.tracks import AXES, RANKINGS, Track

DASHES = ([], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [4, 4])
"""Line dashes of the searches: the dash alone distinguishes them, without the colour."""


def axis_choice(axis: str, changed: Callable[[str], None]) -> Choice:
    """Returns the choice of the axis along which searches are compared."""
    return Choice("axis", AXES, axis, changed)


def frames(hz: float) -> float:
    """Returns `hz`, checked: frames per second, above 0 and at most 10.

    Raises:
        SpecError: outside that range.
    """
    if not 0 < (hz := real("hz", hz)) <= 10:
        raise SpecError(f"hz, the frames a second, must be above 0 and at most 10, not {hz!r}")
    return hz


class CompareView(StreamView):
    """Shows several searches, a table of rows each."""

    _esm = bundle("compare.js")
    _css = styles("live.css", "trials.css", "compare.css")

    def __init__(self, tracks: Sequence[Track], *, notes: Sequence[str] = (), **options: Any) -> None:
        """
        Args:
            tracks: one for each search, without events.
            notes: caveats of the tasks, shown beside the results.
            options: keyword arguments of `StreamView`.
        """
        self.tracks = list(tracks)
        looks = [
            {**track.description(), "colours": list(RUNS[place % len(RUNS)]), "dash": DASHES[place % len(DASHES)]}
            for place, track in enumerate(self.tracks)
        ]
        described = {
            "tracks": looks,
            "charts": _charts(self.tracks),
            "rankings": list(RANKINGS),
            "axes": dict(AXES),
            "notes": list(dict.fromkeys(notes)),
        }
        super().__init__(described, **options)

    # --- events ----------------------------------------------------------------------------------

    def follow(self, place: int, events: Sequence[Event], seconds: float) -> None:
        """Take the new events among all events of a search so far; `place` is its index in `tracks`."""
        with self._lock:
            rows, back = self.tracks[place].follow(events, seconds)
            if back:
                self._begin_anew()
            self._queue(rows, place)

    def _take(self, events: Sequence[tuple[int, Event, float]]) -> None:
        """Take items (index of the search, event, seconds that the search has taken)."""
        for place, event, seconds in events:
            row = self.tracks[place].take(event, seconds)
            self._queue([] if row is None else [row], place)

    def forget(self, place: int) -> None:
        """Forget the events of a search that was rewound."""
        with self._lock:
            self.tracks[place].clear()
            self._begin_anew()

    def _forget(self) -> None:
        for track in self.tracks:
            track.clear()

    # --- to the browser --------------------------------------------------------------------------

    def _status(self, status: dict[str, Any]) -> dict[str, Any]:
        """Returns the status with the progress of each track added to its state in `status["tracks"]`."""
        states = zip(self.tracks, status["tracks"], strict=True)
        return {**status, "tracks": [{**state, **_standing(track)} for track, state in states]}

    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        if fresh:
            return {"type": "snapshot"}, [track.history.rows() for track in self.tracks]
        return {"type": "rows"}, [np.array(self._queued[place]) for place in range(len(self.tracks))]

    def _on_request(self, kind: str, message: Mapping[str, Any]) -> None:
        """Send the picture of a cell that the page requested."""
        place, number = message.get("track"), message.get("cell")
        if kind != "portrait" or type(place) is not int or type(number) is not int:
            return
        if 0 <= place < len(self.tracks):
            with self._lock:
                told = self.tracks[place].portrait(number)
            self.tell({"type": "portrait", "track": place, "cell": number, "told": told})

    # --- without a browser -----------------------------------------------------------------------

    def picture(self) -> svg.Drawing:
        """Returns a static SVG of the current best cells, one search below the other."""
        with self._lock:
            best = [(track.name, track.space, track.best) for track in self.tracks]
        return svg.stacked(*(drawing for each in best for drawing in _titled(*each)))


def _standing(track: Track) -> dict[str, Any]:
    """Returns the progress of a search and the values shown beside its rows."""
    return {
        "step": track.step,
        "total": track.total,
        "lacks": track.lacks,
        "ranked": track.ranked,
        "measured": track.measured,
        "log": track.log.lines,
        "marks": track.log.marks,
    }


def _charts(tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """Returns a chart for each metric, with its column in each track, None where a track lacks it.

    Metrics of the same name share a chart if they have the same unit and direction.
    """
    found: dict[tuple[str, Quantity], dict[int, str]] = {}
    for place, track in enumerate(tracks):
        for chart in charts_apart(track.metrics):
            found.setdefault((chart.name, chart.quantity), {})[place] = chart.lines[0].metric
    drawn = sorted(found.items(), key=lambda each: rank(next(iter(each[1].values()))))
    for place, track in enumerate(tracks):
        if track.trials:
            own = (f"best {words(track.objective.name)}", track.objective.quantity)
            drawn = [*drawn, (own, {})] if all(key != own for key, _ in drawn) else drawn
            next(columns for key, columns in drawn if key == own)[place] = "best"
    return [
        {
            "title": with_unit(name, quantity.unit),
            **quantity.to_json(),
            "columns": [columns.get(place) for place in range(len(tracks))],
        }
        for (name, quantity), columns in drawn
    ]


def _titled(name: str, space: Any, best: Any) -> tuple[svg.Drawing, ...]:
    root = svg.document(520, 24)
    text = name if best is not None else f"{name}: no cell yet"
    svg.add(root, "text", text, x=8, y=17, font_size=14, font_weight=700, fill=svg.INK)
    return (svg.drawing(root),) if best is None else (svg.drawing(root), cell(space.graph(best), frame=frame_of(space)))
