"""The ranking panel: what the shared weights' ranking is worth, live, below the view of the search."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from naslab.events import Event
from naslab.quantities import Objective
from naslab.runs import LiveRanking
from naslab_widgets.about import shown_of
from naslab_widgets.figures.ranked import (
    DERIVED,
    DRAWN,
    FIGURES,
    HEAD,
    SCORE,
    Rankings,
    draw_rankings,
    score_title,
)
from naslab_widgets.figures.svg import Drawing
from naslab_widgets.page import PageWidget
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.wire import Wire


class RankingView(PageWidget):
    """Shows the rankings among the events it is given. `take` and `publish` may be called from any thread."""

    _esm = bundle("ranking.js")
    _css = styles("live.css", "ranking.css")

    def __init__(
        self,
        ranking: LiveRanking,
        *,
        poke: Callable[[], None],
        panel: str = "",
        objective: Objective = SCORE,
        units: str = "examples",
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            ranking: what is ranked, and against which table.
            objective: what the shared weights are judged by.
            units: what the validation data are counted in, in words.
            panel: the name under which the widgets of one panel find one another on the page.
            poke: called, at no cost, when the browser has asked for something: `publish` is then due.
        """
        self._known, self._objective, self._units = ranking.known, objective, units
        known = ranking.known
        super().__init__(
            description={
                "panel": panel,
                "columns": {name: 1 + 3 * place for place, name in enumerate(FIGURES)},
                "best": 1 + 3 * len(FIGURES),
                "scores": HEAD,
                "lines": [
                    {"figure": name, "label": label.format(top=ranking.top), "colours": list(hues)}
                    for name, (label, hues) in DRAWN.items()
                ],
                "derived": list(DERIVED),
                "score": {"title": score_title(objective), "scale": objective.sign * objective.scale},
                "size": known.size,
                "optimum": known.optimum,
                "truth": known.truth.tolist(),
                "ranks": known.ranks.tolist(),
                "names": [" ".join(map(str, architecture.choices)) for architecture in known.architectures],
            }
        )
        self._poke, self._wire = poke, Wire(hz, clock)
        self._lock = threading.Lock()
        self.on_msg(self._hear)
        self.clear()

    @classmethod
    def of(cls, search: Any, **looks: Any) -> list[RankingView]:
        """One, if there is a ranking in the search or in the run that is watched."""
        ranking = getattr(search, "ranking", None)
        if ranking is None:
            return []
        shown = shown_of(search)
        told = {"objective": shown.objective or SCORE, "units": shown.units}
        return [cls(ranking, **looks, **told)]

    def clear(self) -> None:
        """Forget all; the browser gets a new snapshot."""
        with self._lock:
            self._rankings = Rankings(self._known, self._objective, self._units)
            self._sent = -1

    def take(self, *events: Event) -> None:
        """Events, to be shown with the next message."""
        with self._lock:
            self._rankings.take(events)

    def publish(self, status: dict[str, Any]) -> bool:
        """Send what is new, unless it is too early; True if something has to wait for the next call."""
        with self._lock:
            if not self._wire.open:
                return False
            rankings = self._rankings
            found = rankings.turn
            status = {
                "end": rankings.end,
                "total": status.get("total"),
                "headline": rankings.headline(),
                "story": rankings.story(),
                "turn": None if found is None else found._asdict(),
            }
            if self._sent >= 0 and not self._wire.changed(status):
                return False
            if self._wire.early:
                return True
            path = rankings.path
            fresh = rankings.taken != self._sent
            rows = [rankings.rows] if fresh else []
            self._sent = rankings.taken
            self.tell({"type": "ranking", "rows": fresh, **self._wire.next(status)}, [path, *rows])
            return False

    def _hear(self, _: Any, message: Any, buffers: Any) -> None:
        with self._lock:
            if self._wire.hear(message) == "hello":
                self._sent = -1
        self._poke()

    def picture(self) -> Drawing:
        """All of it as it stands, as a static SVG."""
        with self._lock:
            return draw_rankings(self._rankings)
