"""`RankingView`: how well the shared weights rank architectures, live, below the view of the search."""

from __future__ import annotations

from collections.abc import Sequence
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
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.stream import Message, StreamView


class RankingView(StreamView):
    """Shows the rankings (`Ranked` events) of a search."""

    _esm = bundle("ranking.js")
    _css = styles("live.css", "ranking.css")

    def __init__(
        self, ranking: LiveRanking, *, objective: Objective = SCORE, units: str = "examples", **options: Any
    ) -> None:
        """
        Args:
            ranking: the architectures that are ranked, and the table with the ground truth.
            objective: objective of the scores with shared weights.
            units: what the validation data are counted in, for example "images".
            options: as of `StreamView`.
        """
        self._known, self._objective, self._units = ranking.known, objective, units
        super().__init__(_description(ranking, objective), **options)

    @classmethod
    def of(cls, search: Any, **options: Any) -> list[RankingView]:
        """Returns one view if the search or run has a live ranking, else none."""
        ranking = getattr(search, "ranking", None)
        if ranking is None:
            return []
        shown = shown_of(search)
        return [cls(ranking, objective=shown.objective or SCORE, units=shown.units, **options)]

    def _forget(self) -> None:
        self._rankings = Rankings(self._known, self._objective, self._units)
        self._sent = -1

    def _take(self, events: Sequence[Event]) -> None:
        self._rankings.take(events)

    def _status(self, status: dict[str, Any]) -> dict[str, Any]:
        rankings = self._rankings
        found = rankings.change_point
        return {
            "end": rankings.end,
            "total": status.get("total"),
            "headline": rankings.headline(),
            "story": rankings.story(),
            "turn": None if found is None else found._asdict(),
        }

    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        """Returns the path of the derived architecture, and the rankings if there is a new one."""
        rankings = self._rankings
        ranked = fresh or rankings.taken != self._sent
        self._sent = rankings.taken
        return {"type": "ranking", "rows": ranked}, [rankings.path, *([rankings.rows] if ranked else [])]

    def picture(self) -> Drawing:
        """Returns the current rankings as a static SVG."""
        with self._lock:
            return draw_rankings(self._rankings)


def _description(ranking: LiveRanking, objective: Objective) -> dict[str, Any]:
    known = ranking.known
    return {
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
