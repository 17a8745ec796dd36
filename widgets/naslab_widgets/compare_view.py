"""The view of several searches side by side: one widget, fed with rows of float64 of each (`naslab_widgets.tracks`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from naslab.errors import SpecError, real
from naslab.events import Event
from naslab.quantities import Quantity
from naslab_widgets.figures import cell, svg
from naslab_widgets.figures.cell import frame_of
from naslab_widgets.figures.charts import charts_apart, rank, with_unit, words
from naslab_widgets.figures.palette import RUNS
from naslab_widgets.page import PageWidget
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.strip import Choice
from naslab_widgets.tracks import AXES, RANKINGS, Track
from naslab_widgets.wire import Wire

DASHES = ([], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [4, 4])
"""A dash and a colour for each search: either tells it from the others."""
MOST_PENDING = 2000


def axis_choice(axis: str, changed: Callable[[str], None]) -> Choice:
    """What the searches are brought in line by."""
    return Choice("axis", AXES, axis, changed)


def frames(hz: float) -> float:
    """Frames a second, if there can be so many."""
    if not 0 < (hz := real("hz", hz)) <= 10:
        raise SpecError(f"hz, the frames a second, must be above 0 and at most 10, not {hz!r}")
    return hz


class CompareView(PageWidget):
    """Shows the tracks it is given. `follow` and `publish` may be called from any thread."""

    _esm = bundle("compare.js")
    _css = styles("live.css", "trials.css", "compare.css")

    def __init__(
        self,
        tracks: Sequence[Track],
        *,
        poke: Callable[[], None],
        notes: Sequence[str] = (),
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            poke: called, at no cost, when the browser has asked for something: `publish` is then due.
            notes: what is to be said of the tasks.
        """
        self.tracks = list(tracks)
        looks = [
            {**track.description(), "colours": list(RUNS[place % len(RUNS)]), "dash": DASHES[place % len(DASHES)]}
            for place, track in enumerate(self.tracks)
        ]
        super().__init__(
            description={
                "tracks": looks,
                "charts": _charts(self.tracks),
                "rankings": list(RANKINGS),
                "axes": dict(AXES),
                "notes": list(dict.fromkeys(notes)),
            }
        )
        self._poke, self._wire = poke, Wire(hz, clock)
        self._lock = threading.Lock()
        self._pending: list[list[np.ndarray]] = [[] for _ in self.tracks]
        self._snapshot_due = True
        self._asked: list[tuple[int, int]] = []
        self.on_msg(self._hear)

    @property
    def listening(self) -> bool:
        """Whether a front end has asked for the view."""
        return self._wire.listening

    def follow(self, place: int, events: Sequence[Event], seconds: float) -> None:
        """All the events of a search so far, of which the view takes the new ones."""
        with self._lock:
            rows, back = self.tracks[place].follow(events, seconds)
            self._keep(place, rows, back)

    def take(self, place: int, event: Event, seconds: float) -> None:
        """One more event of a search."""
        with self._lock:
            row = self.tracks[place].take(event, seconds)
            self._keep(place, [] if row is None else [row], False)

    def clear(self, place: int) -> None:
        """Forget a search that has gone back."""
        with self._lock:
            self.tracks[place].clear()
            self._snapshot_due = True

    def _keep(self, place: int, rows: Sequence[np.ndarray], back: bool) -> None:
        self._snapshot_due = self._snapshot_due or back
        if self._snapshot_due or not self.listening:
            return
        self._pending[place] += rows
        if len(self._pending[place]) > MOST_PENDING:
            self._snapshot_due = True

    # --- to the browser --------------------------------------------------------------------------

    def publish(self, status: dict[str, Any], states: Sequence[dict[str, Any]]) -> bool:
        """Send what is new, unless it is too early; True if something has to wait for the next call.

        Args:
            states: of each search, for instance {"state": "running", "message": ""}.
        """
        with self._lock:
            self._answer()
            if not self._wire.open:
                return False
            status = {**status, "tracks": [self._about(*each) for each in zip(self.tracks, states, strict=True)]}
            if not (self._snapshot_due or any(self._pending) or self._wire.changed(status)):
                return False
            if self._wire.early:
                return True
            kind = "snapshot" if self._snapshot_due else "rows"
            rows = (
                [track.history.rows() for track in self.tracks]
                if self._snapshot_due
                else [np.array(some) for some in self._pending]
            )
            self._forget_pending()
            self.tell({"type": kind, **self._wire.next(status)}, rows)
            return False

    @staticmethod
    def _about(track: Track, state: dict[str, Any]) -> dict[str, Any]:
        return {
            **state,
            "step": track.step,
            "total": track.total,
            "lacks": track.lacks,
            "ranked": track.ranked,
            "measured": track.measured,
            "log": track.log.lines,
            "marks": track.log.marks,
        }

    def _forget_pending(self) -> None:
        self._pending, self._snapshot_due = [[] for _ in self.tracks], False

    def _answer(self) -> None:
        """The pictures that were asked for; these messages have no number."""
        asked, self._asked = self._asked, []
        for place, number in asked:
            told = self.tracks[place].portrait(number)
            self.tell({"type": "portrait", "track": place, "cell": number, "told": told})

    def _hear(self, _: Any, message: Any, buffers: Any) -> None:
        with self._lock:
            kind = self._wire.hear(message)
            if kind == "hello":
                self._forget_pending()
                self._snapshot_due = True
            elif kind == "portrait":
                place, number = int(message.get("track", -1)), int(message.get("cell", -1))
                if 0 <= place < len(self.tracks) and len(self._asked) < 100:
                    self._asked.append((place, number))
        self._poke()

    # --- without a browser -----------------------------------------------------------------------

    def picture(self) -> svg.Drawing:
        """The cells as they stand, one search below the other, as a static SVG."""
        with self._lock:
            best = [(track.name, track.space, track.best) for track in self.tracks]
        return svg.stacked(*(drawing for each in best for drawing in _titled(*each)))


def _charts(tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """A chart for each metric, and the column that it has in each track, None where it has none.

    Metrics of one name are in one chart if they have one unit and direction.
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
