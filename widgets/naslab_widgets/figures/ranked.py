"""Ranking quality of a supernet during training: rank correlations over the steps, true objective of the architecture
that would be derived, and the current scores against the true ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from naslab.analysis import ChangePoint, GroundTruth, change_point
from naslab.errors import SpecError
from naslab.events import Event, Ranked
from naslab.quantities import Objective
from naslab_widgets.figures import svg
from naslab_widgets.figures.axis import ticks
from naslab_widgets.figures.charts import with_unit, words
from naslab_widgets.figures.palette import GREY, HUES
from naslab_widgets.figures.sampled import Sampled

FIGURES = ("kendall", "spearman", "overlap", "regret")
BEST = ("best_score", "best_truth", "best_rank", "best_regret")
HEAD = 1 + 3 * len(FIGURES) + len(BEST)
"""Columns before the N scores: step, (value, low, high) of each of `FIGURES`, `BEST` of the derived architecture."""
DRAWN = {"kendall": ("Kendall's tau", HUES[2]), "spearman": ("Spearman", HUES[1]), "overlap": ("top {top}", HUES[0])}
"""Metric of the ranking -> (label, colours)."""
DERIVED = HUES[3]
MOST, PATH = 400, 4000
"""Maximum number of rankings kept of a search, and of changes of the derived architecture."""
SCORE = Objective("score", "max")
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 300.0, 210.0, 44.0, 30.0, 36.0


class Rankings:
    """The rankings of a search, and the true objective of the derived architecture whenever it changes.

    Args:
        known: the ranked architectures with their true objective.
        objective: objective of the scores with the shared weights; scores are negated if lower is better.
        units: name of the validation examples, in the plural.
    """

    def __init__(self, known: GroundTruth, objective: Objective = SCORE, units: str = "examples") -> None:
        self.known, self.objective, self.units = known, objective, units
        self._rows, self._path = Sampled(MOST), Sampled(PATH)
        self._last_row: list[float] | None = None
        self._last: tuple[object, list[float]] | None = None
        self.end = self.taken = 0
        """The last step, and the number of rankings so far."""
        self.latest: Ranked | None = None

    def take(self, events: Iterable[Event]) -> None:
        """Add events of the search, in order."""
        for event in events:
            if isinstance(event, Ranked):
                if not np.array_equal(event.numbers, self.known.numbers):
                    raise SpecError(
                        f"these events rank {len(event.numbers)} other architectures than `known` holds "
                        f"({len(self.known)}); take search.ranking.known, or Known.of(table, event.numbers)"
                    )
                self.latest, self._last_row, self.taken = event, row(event), self.taken + 1
                self._rows.extend([self._last_row])
            elif (best := getattr(event, "best", None)) is not None:
                self.end = event.step
                if self._last is None or best != self._last[0]:
                    place = self.known.place(best)
                    there = [np.nan] * 3 if place is None else [place.truth, place.rank, place.regret]
                    self._last = best, [float(event.step), *there]
                    self._path.extend([self._last[1]])

    @property
    def rows(self) -> np.ndarray:
        """Rankings as [T, HEAD + N] float64; the last row is always the latest ranking."""
        kept = list(self._rows.kept)
        if self._last_row is not None and kept[-1] is not self._last_row:
            kept.append(self._last_row)
        return np.array(kept, dtype=np.float64).reshape(len(kept), HEAD + len(self.known))

    @property
    def path(self) -> np.ndarray:
        """[P, 4] float64: step at which the derived architecture changed, its true objective, rank and regret."""
        kept = list(self._path.kept)
        if self._last is not None and kept[-1] is not self._last[1]:
            kept.append(self._last[1])
        return np.array(kept, dtype=np.float64).reshape(len(kept), 4)

    @property
    def change_point(self) -> ChangePoint | None:
        """The step at which the derived architecture became worse, if it did."""
        path = self.path
        path = path[np.isfinite(path[:, 1])]
        return change_point(path[:, 0].astype(int).tolist(), path[:, 1], max(self.end, 1)) if len(path) else None

    def headline(self) -> str:
        """Returns one line about the latest ranking."""
        event = self.latest
        if event is None:
            return f"no ranking yet; {len(self.known)} architectures of {self.known.name}"
        tau = (
            "none: all scores are equal"
            if event.kendall is None
            else "{:.2f} ({:.2f} to {:.2f})".format(*event.kendall)
        )
        return (
            f"step {event.step:,}: Kendall's tau {tau}; {len(event.scores)} architectures of {event.table}, "
            f"{event.images} {self.units}, batch norm: {event.batch_norm}"
        )

    def story(self) -> str:
        """Returns one line about the architecture that would be derived now, and when it became worse."""
        path, found = self.path, self.change_point
        if not len(path):
            return ""
        _, truth, rank, regret = path[-1]
        if not np.isfinite(truth):
            return "derived now: not in the table"
        told = f"derived now: {truth:.2f}, rank {rank:,.0f} of {self.known.size:,}, regret {regret:.2f}"
        if found is not None:
            told += f"; on average {found.before:.2f} before step {found.step:,}, {found.after:.2f} from then on"
        return told


def row(event: Ranked) -> list[float]:
    """Returns the row of a ranking, [HEAD + N]; NaN for unknown values."""
    figures = [value for name in FIGURES for value in getattr(event, name) or (np.nan,) * 3]
    best = [np.nan if (value := getattr(event, name)) is None else float(value) for name in BEST]
    return [float(event.step), *figures, *best, *event.scores]


def ranked(
    events: Iterable[Event], known: GroundTruth, *, objective: Objective = SCORE, units: str = "examples"
) -> svg.Drawing:
    """Draws the rankings of a search as SVG.

    Args:
        events: events of one search (`search.events`), in order.
        known: the ranked architectures with their true objective, `search.ranking.known`.
        objective: objective of the scores with the shared weights.
        units: name of the validation examples (`task.units`).
    """
    rankings = Rankings(known, objective, units)
    rankings.take(events)
    return draw_rankings(rankings)


def score_title(objective: Objective) -> str:
    """Returns the title of the chart of the scores."""
    return with_unit(f"{words(objective.name)} with the shared weights", objective.unit)


def draw_rankings(rankings: Rankings) -> svg.Drawing:
    """Draws the picture from the collected rankings."""
    root = svg.document(3 * WIDTH, HEIGHT + 40)
    svg.add(root, "text", rankings.headline(), x=8, y=16, font_size=11, font_weight=600, fill=svg.INK)
    svg.add(root, "text", rankings.story(), x=8, y=34, font_size=12, fill=svg.INK)
    for place, draw in enumerate((_figures, _derived, _scatter)):
        draw(svg.add(root, "g", transform=f"translate({place * WIDTH:g} 40)"), rankings)
    return svg.drawing(root)


class _Axes:
    """The axes of a chart: draws frame and labels, and maps data to pixels."""

    def __init__(
        self,
        group: svg.Element,
        title: str,
        across: tuple[float, float],
        up: tuple[float, float],
        labels: tuple[str, str],
        marks: list[float],
    ) -> None:
        self.group, self.across, self.up = group, across, up
        right, bottom = WIDTH - 12, HEIGHT - BOTTOM
        svg.add(group, "text", title, x=LEFT, y=18, font_size=12, font_weight=600, fill=svg.INK)
        for value in marks:
            y = self.y(value)
            svg.add(group, "line", x1=LEFT, x2=right, y1=y, y2=y, stroke=svg.FAINT, stroke_width=0.5, opacity=0.6)
            svg.add(group, "text", f"{value:.4g}", x=LEFT - 5, y=y + 4, font_size=10, fill=svg.INK, text_anchor="end")
        for value, anchor in zip(across, ("start", "end"), strict=True):
            x = self.x(value)
            svg.add(group, "text", f"{value:,.0f}", x=x, y=bottom + 14, font_size=10, fill=svg.INK, text_anchor=anchor)
        middle = (LEFT + right) / 2
        look = {"font_size": 10, "fill": svg.INK, "text_anchor": "middle"}
        svg.add(group, "text", labels[0], x=middle, y=bottom + 14, **look)
        svg.add(group, "text", labels[1], x=middle, y=bottom + 28, **look)

    def x(self, value: float) -> float:
        low, high = self.across
        return LEFT + (WIDTH - 12 - LEFT) * (value - low) / ((high - low) or 1)

    def y(self, value: float) -> float:
        low, high = self.up
        return TOP + (HEIGHT - BOTTOM - TOP) * (high - value) / (high - low)

    def line(self, steps: np.ndarray, values: np.ndarray, colour: str, **look: Any) -> None:
        there = np.isfinite(values)
        points = " ".join(f"{self.x(s):.1f},{self.y(v):.1f}" for s, v in zip(steps[there], values[there], strict=True))
        svg.add(self.group, "polyline", points=points, fill="none", stroke=colour, **look)


def _figures(group: svg.Element, rankings: Rankings) -> None:
    rows = rankings.rows
    ends = (float(rows[0, 0]), float(rows[-1, 0])) if len(rows) else (0.0, 1.0)
    low = min(-0.2, float(np.nanmin(rows[:, 1:7]))) if np.isfinite(rows[:, 1:7]).any() else -1.0
    axes = _Axes(group, "what the ranking is worth", ends, (max(-1.0, low), 1.0), ("step", ""), [0.0, 0.5, 1.0])
    x = 8.0 + LEFT
    for place, (name, dash) in enumerate(zip(DRAWN, (None, "6 3", "2 3"), strict=True)):
        label, (colour, _) = DRAWN[name]
        value, below, above = (rows[:, 1 + 3 * place + end] for end in range(3))
        there = np.isfinite(value)
        edge = [
            *zip(rows[there, 0], above[there], strict=True),
            *zip(rows[there, 0][::-1], below[there][::-1], strict=True),
        ]
        if name == "kendall" and len(edge):
            points = " ".join(f"{axes.x(s):.1f},{axes.y(v):.1f}" for s, v in edge)
            svg.add(group, "polygon", points=points, fill=colour, fill_opacity=0.15)
        dashes: dict[str, Any] = {} if dash is None else {"stroke_dasharray": dash}
        axes.line(rows[:, 0], value, colour, stroke_width=1.8, **dashes)
        text = label.format(top=rankings.latest.top if rankings.latest else "k")
        svg.add(group, "line", x1=x, x2=x + 16, y1=HEIGHT - 8, y2=HEIGHT - 8, stroke=colour, stroke_width=2, **dashes)
        svg.add(group, "text", text, x=x + 20, y=HEIGHT - 4, font_size=10, fill=svg.INK)
        x += 36 + 5.6 * len(text)


def _derived(group: svg.Element, rankings: Rankings) -> None:
    path, optimum = rankings.path, rankings.known.optimum
    seen = path[np.isfinite(path[:, 1]), 1]
    low, high, marks = ticks(min([*seen, optimum - 1]), optimum)
    end = float(max(rankings.end, 2))
    axes = _Axes(group, "true worth of what would be derived", (1.0, end), (low, high), ("step", ""), marks)
    axes.line(np.array([1.0, end]), np.full(2, optimum), GREY[0], stroke_dasharray="4 3")
    above = {"x": WIDTH - 12, "y": axes.y(optimum) - 4, "text_anchor": "end", "font_size": 10}
    svg.add(group, "text", "best of the table", fill=svg.FAINT, **above)
    steps = np.repeat(np.append(path[:, 0], end), 2)[1:-1]
    axes.line(steps, np.repeat(path[:, 1], 2), DERIVED[0], stroke_width=1.8)
    if (found := rankings.change_point) is not None:
        x = axes.x(found.step)
        svg.add(group, "line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, stroke=svg.INK, stroke_dasharray="2 3")
        anchor = "end" if found.step > end / 2 else "start"
        text = f"worse from step {found.step:,}"
        svg.add(group, "text", text, x=x, y=HEIGHT - 6, font_size=10, fill=svg.INK, text_anchor=anchor)


def _scatter(group: svg.Element, rankings: Rankings) -> None:
    event, known = rankings.latest, rankings.known
    own = rankings.objective.sign * rankings.objective.scale
    scores, best = own * np.array(event.scores if event else []), own * (event.best_score if event else 0.0)
    low, high, marks = ticks(min([0.0, *scores, best]), max([*scores, best, 0.1 * rankings.objective.scale]))
    labels = ("true rank, of all in the table", "")
    axes = _Axes(group, score_title(rankings.objective), (float(known.size), 1.0), (low, high), labels, marks)
    for score, rank in zip(scores, known.ranks, strict=False):
        svg.add(group, "circle", cx=axes.x(rank), cy=axes.y(score), r=3, fill=HUES[2][0], fill_opacity=0.55)
    if event is not None and event.best_rank is not None:
        x, y = axes.x(event.best_rank), axes.y(best)
        svg.add(group, "path", d=f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z", fill=DERIVED[0], stroke=svg.INK)
        svg.add(group, "path", d=f"M{LEFT + 6} {HEIGHT - 13}l5 5l-5 5l-5 -5z", fill=DERIVED[0], stroke=svg.INK)
        svg.add(group, "text", "what would be derived", x=LEFT + 18, y=HEIGHT - 4, font_size=10, fill=svg.INK)
