"""The trials of a search: objective against order of evaluation, hurdles, and the family tree."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from naslab.benchmarks import Benchmark
from naslab.events import Evaluated, Event
from naslab.quantities import FITNESS, Objective
from naslab_widgets.figures import svg
from naslab_widgets.figures.alphas import thinned
from naslab_widgets.figures.axis import DECADES, powers, widened
from naslab_widgets.figures.charts import with_unit, words
from naslab_widgets.figures.families import SLOTS, leading
from naslab_widgets.figures.palette import GREY, HUES, of_runs
from naslab_widgets.figures.trial_table import TrialTable
from naslab_widgets.figures.truth import Truth

WIDTH, HEIGHT, TREE, LEFT, RIGHT, TOP, BOTTOM = 900.0, 320.0, 240.0, 64.0, 16.0, 34.0, 40.0
POINTS = 1500
Hurdles = Sequence[tuple[int, Sequence[float]]]
"""Items (step, hurdles in force after it)."""


def trials(events: Iterable[Event], benchmark: Benchmark | None = None, objective: Objective = FITNESS) -> svg.Drawing:
    """Draws the objective against the order of evaluation: dots, the best so far and hurdles as lines, failures below.

    Args:
        events: events of one search, in order; only evaluations are used.
        benchmark: if given, its true regret is drawn instead, on a logarithmic axis.
        objective: objective of the scores (`search.objectives[0]`), used if the events do not name it.
    """
    events = [event for event in events if isinstance(event, Evaluated)]
    table = TrialTable(Truth(benchmark) if benchmark is not None else None)
    table.take(events)
    own = next((event.objectives[0] for event in events if event.objectives), objective)
    return draw_trials(table, hurdles_of([(event.step, event.details) for event in events]), own)


def family_tree(events: Iterable[Event]) -> svg.Drawing:
    """Draws the family tree: generations downwards, the largest families in colour, the ancestors of the best bold."""
    table = TrialTable()
    table.take(events)
    return draw_family_tree(table)


def hurdles_of(details: Iterable[tuple[int, Mapping[str, Any]]]) -> Hurdles:
    """Returns the hurdles among the diagnostics of a searcher."""
    return [(step, figures["hurdles"]) for step, figures in details if np.ndim(figures.get("hurdles", 0)) == 1]


def draw_trials(table: TrialTable, hurdles: Hurdles = (), objective: Objective = FITNESS) -> svg.Drawing:
    """Draws the picture of `trials` from a table."""
    if why := why_empty(table):
        return svg.sentences(why, width=WIDTH)
    root = svg.document(WIDTH, HEIGHT)
    regret = table.truth is not None
    own = objective.sign * objective.scale
    values, best = table.column("regret"), table.column("best_regret")
    if not regret:
        values, best = own * table.column("fitness"), own * table.column("best")
    steps, stopped = table.column("step"), _stopped(table)
    axis = _LogAxis(values) if regret else _own_axis(values, objective)
    hues = [pair[0] for pair in of_runs(list(table.origins)).values()]
    _frame(root, HEIGHT, table.since, steps[-1], axis)
    _legend(
        root, list(table.origins), hues, axis.name, lines=["hurdle"] * bool(hurdles and not regret) + ["best so far"]
    )
    x, bottom = _across(table.since, steps[-1]), HEIGHT - BOTTOM
    if not regret:
        for line in _hurdle_lines(hurdles, int(steps[-1])):
            points = " ".join(f"{x(step):.1f},{axis.y(own * value):.1f}" for step, value in line)
            svg.add(root, "polyline", points=points, fill="none", stroke=svg.INK, stroke_width=1.6, class_="hurdle")
        _promotions(root, table, values, axis, x)
    for place in thinned(list(range(len(table))), POINTS):
        at, hue = x(steps[place]), hues[int(table.column("origin")[place])]
        if not np.isfinite(table.column("fitness")[place]):
            path = f"M{at - 3:.1f} {bottom - 7:.1f}l6 6m0 -6l-6 6"
            svg.add(root, "path", d=path, stroke="#b3261e", stroke_width=1.3, fill="none", class_="failed")
        elif np.isfinite(values[place]):
            shade = 0.22 if stopped[place] else 0.75
            svg.add(root, "circle", cx=at, cy=axis.y(values[place]), r=2.4, fill=hue, fill_opacity=shade)
    rises = np.flatnonzero(np.isfinite(best) & (np.diff(best, prepend=np.nan) != 0))
    corners = [(x(steps[i]), axis.y(best[i])) for i in thinned(rises.tolist(), POINTS)]
    path = "".join(f"{'H' if i else 'M'}{a:.1f}{'V' if i else ' '}{b:.1f}" for i, (a, b) in enumerate(corners))
    if path:
        path += f"H{x(steps[-1]):.1f}"
        svg.add(root, "path", d=path, fill="none", stroke=svg.INK, stroke_width=1.4, opacity=0.8)
    return svg.drawing(root)


def why_empty(table: TrialTable) -> str:
    """Returns the reason if there is no fitness to draw, else ""."""
    if not len(table):
        return "No candidate has been evaluated yet."
    if table.best is not None:
        return ""
    last = table.completed[-1]
    why = textwrap.shorten(last.message or last.status, 300, placeholder=" …")
    return (
        f"The one candidate failed: {why}"
        if len(table) == 1
        else f"All {len(table):,} candidates failed; the last: {why}"
    )


def draw_family_tree(table: TrialTable) -> svg.Drawing:
    """Draws the picture of `family_tree` from a table."""
    if not len(table):
        return svg.sentences(why_empty(table), width=WIDTH)
    root = svg.document(WIDTH, TREE)
    steps, generations, families = (table.column(name) for name in ("step", "generation", "family"))
    slots = leading(families, len(table), [None] * SLOTS)
    hue = {family: HUES[slot][0] for slot, family in enumerate(slots) if family is not None}
    x, deepest = _across(table.since, steps[-1]), max(1.0, float(generations.max()))

    def y(generation: float) -> float:
        return TOP + (TREE - TOP - BOTTOM) * generation / deepest

    title = "family tree: one generation a line, downwards; bold: the descent of the best"
    svg.add(root, "text", title, x=LEFT, y=18, font_size=12, fill=svg.INK)
    _order_axis(root, TREE, table.since, steps[-1])
    for value in sorted({0, int(deepest / 2), int(deepest)}):
        svg.add(root, "text", str(value), x=LEFT - 8, y=y(value) + 4, font_size=11, fill=svg.INK, text_anchor="end")
    line = [] if table.best is None else table.ancestry(int(table.column("number")[table.best]))
    for bold, places in ((False, thinned(list(range(len(table))), POINTS)), (True, line)):
        look = {"stroke_width": 2.4 if bold else 0.8, "stroke_opacity": 1 if bold else 0.45}
        for place in places:
            colour = svg.INK if bold else hue.get(int(families[place]), GREY[0])
            at, before = (x(steps[place]), y(generations[place])), table.column("parent_step")[place]
            if np.isfinite(before):
                rise = table.column("stage")[place] == 0
                start = x(before), y(generations[place] - rise)
                svg.add(root, "line", x1=start[0], y1=start[1], x2=at[0], y2=at[1], stroke=colour, **look)
            svg.add(root, "circle", cx=at[0], cy=at[1], r=2.6 if bold else 1.6, fill=colour)
    return svg.drawing(root)


# --- parts of the picture ----------------------------------------------------------------------------


class _Axis:
    """A linear axis; the worst 5 % of the values are clipped to its end, because outliers would squeeze the others."""

    def __init__(self, values: np.ndarray, objective: Objective) -> None:
        self.name = with_unit(words(objective.name), objective.unit)
        finite = values[np.isfinite(values)]
        ends = (0.05, 1.0) if objective.sign > 0 else (0.0, 0.95)
        low, high = np.quantile(finite, ends) if len(finite) else (0.0, 1.0)
        self.low, self.high = widened(float(low), float(high), 0.06)
        self.ticks = [self.low + part * (self.high - self.low) for part in (0, 0.25, 0.5, 0.75, 1)]

    def y(self, value: Any) -> float:
        share = (float(value) - self.low) / (self.high - self.low)
        return TOP + (HEIGHT - TOP - BOTTOM - 12) * (1 - min(max(share, 0.0), 1.0))


class _PowersAxis:
    """A logarithmic axis for positive values over several powers of ten, such as zero-cost scores."""

    def __init__(self, values: np.ndarray, objective: Objective) -> None:
        self.name = f"{with_unit(words(objective.name), objective.unit)}, log"
        finite = values[np.isfinite(values)]
        self.ticks = powers(float(finite.min()), float(finite.max()))
        self.low, self.high = widened(float(np.log10(finite.min())), float(np.log10(finite.max())), 0.06)

    def y(self, value: Any) -> float:
        share = (np.log10(value) - self.low) / (self.high - self.low) if value > 0 else 0.0
        return TOP + (HEIGHT - TOP - BOTTOM - 12) * (1 - min(max(float(share), 0.0), 1.0))


class _LogAxis:
    """A logarithmic axis for regret, with 0 at the bottom."""

    name = "regret"

    def __init__(self, values: np.ndarray) -> None:
        positive = values[np.isfinite(values) & (values > 0)]
        low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
        self.low, self.high = float(np.floor(np.log10(low))) - 0.3, float(np.ceil(np.log10(high)))
        self.ticks = [0.0, *powers(10.0 ** (self.low + 0.3), 10.0**self.high)]

    def y(self, value: Any) -> float:
        share = (np.log10(value) - self.low) / (self.high - self.low) if value > 0 else 0.0
        return TOP + (HEIGHT - TOP - BOTTOM - 12) * (1 - min(max(float(share), 0.0), 1.0))


def _own_axis(values: np.ndarray, objective: Objective) -> _Axis | _PowersAxis:
    finite = values[np.isfinite(values)]
    wide = len(finite) and finite.min() > 0 and np.log10(finite.max()) - np.log10(finite.min()) > DECADES
    return (_PowersAxis if wide else _Axis)(values, objective)


def _across(first: float, last: float):
    """Returns a function from steps to pixels."""
    before = float(first) - 1
    return lambda step: LEFT + (WIDTH - LEFT - RIGHT) * (float(step) - before - 0.5) / max(float(last) - before, 2.0)


def _frame(root: svg.Element, height: float, first: float, last: float, axis: _Axis | _PowersAxis | _LogAxis) -> None:
    for tick in axis.ticks:
        y = axis.y(tick)
        svg.add(root, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, stroke=svg.FAINT, stroke_width=0.5, opacity=0.5)
        svg.add(root, "text", f"{tick:.4g}", x=LEFT - 8, y=y + 4, font_size=11, fill=svg.INK, text_anchor="end")
    _order_axis(root, height, first, last)


def _order_axis(root: svg.Element, height: float, first: float, last: float) -> None:
    x, y = _across(first, last), height - BOTTOM + 16
    for step in sorted({int(first), round((float(first) + float(last)) / 2), int(last)} - {0}):
        svg.add(root, "text", f"{step:,}", x=x(step), y=y, font_size=11, fill=svg.INK, text_anchor="middle")
    middle = (LEFT + WIDTH - RIGHT) / 2
    svg.add(root, "text", "evaluation", x=middle, y=y + 16, font_size=12, fill=svg.INK, text_anchor="middle")


def _legend(root: svg.Element, origins: Sequence[str], hues: Sequence[str], title: str, lines: Sequence[str]) -> None:
    svg.add(root, "text", title, x=8, y=18, font_size=12, font_weight=600, fill=svg.INK)
    x = LEFT + 12 + 7.0 * len(title)
    for name, hue in zip(map(svg.short, origins), hues, strict=True):
        svg.add(root, "circle", cx=x, cy=14, r=4, fill=hue)
        svg.add(root, "text", name, x=x + 9, y=18, font_size=11, fill=svg.INK)
        x += 30 + 6.3 * len(name)
    for name in lines:
        width = 1.6 if name == "hurdle" else 1.2
        svg.add(root, "line", x1=x - 4, x2=x + 12, y1=14, y2=14, stroke=svg.INK, stroke_width=width)
        svg.add(root, "text", name, x=x + 17, y=18, font_size=11, fill=svg.INK)
        x += 38 + 6.3 * len(name)


def _stopped(table: TrialTable) -> np.ndarray:
    """Returns [n] bool, True for the last evaluation of a candidate whose training was stopped early.

    With hurdles: it missed its hurdle. Without: its fidelity, or its stage, is below the highest of the table.
    """
    candidates, stage, fidelity = (table.column(name) for name in ("candidate", "stage", "fidelity"))
    last = np.zeros(len(table), dtype=bool)
    last[list({int(candidate): place for place, candidate in enumerate(candidates)}.values())] = True
    if np.isfinite(table.column("hurdle")).any():
        return last & (table.column("missed") == 1)
    longest = np.nanmax(fidelity) if np.isfinite(fidelity).any() else np.inf
    return last & ((fidelity < longest) | ((stage < stage.max()) & ~np.isfinite(fidelity)))


def _hurdle_lines(hurdles: Hurdles, last: int) -> list[list[tuple[int, float]]]:
    """Returns the points (step, value) of each hurdle, from its first appearance to the last step."""
    lines: dict[int, list[tuple[int, float]]] = {}
    for step, values in thinned(list(hurdles), 300):
        for number, value in enumerate(values):
            lines.setdefault(number, []).append((step, float(value)))
    return [[*line, (last, line[-1][1])] for line in lines.values()]


def _promotions(
    root: svg.Element, table: TrialTable, values: np.ndarray, axis: _Axis | _PowersAxis | _LogAxis, x: Any
) -> None:
    """Draw a thin line from each evaluation of a candidate to its next one."""
    latest: dict[int, int] = {}
    steps = table.column("step")
    for place in np.flatnonzero(table.column("stage") > 0)[-POINTS:]:
        candidate = int(table.column("candidate")[place])
        before = latest.get(candidate, table.place(candidate))
        latest[candidate] = int(place)
        if before is not None and np.isfinite([values[before], values[place]]).all():
            ends = {"x1": x(steps[before]), "y1": axis.y(values[before])}
            ends |= {"x2": x(steps[place]), "y2": axis.y(values[place])}
            svg.add(root, "line", **ends, stroke=svg.FAINT, stroke_width=0.9, class_="promotion")
