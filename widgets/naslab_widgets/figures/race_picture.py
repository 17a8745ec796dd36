"""A race as a static SVG, for front ends that cannot render widgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from naslab.analysis.curves import Band
from naslab.errors import SpecError, among, unknown
from naslab.quantities import FITNESS, Objective
from naslab_widgets.figures import svg
from naslab_widgets.figures.axis import ticks
from naslab_widgets.figures.race import KINDS, as_measured, curves, round_numbers, seen, title_of, why_empty, zero_line
from naslab_widgets.figures.themes import line_colours

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900.0, 360.0, 72.0, 50.0, 48.0
LABEL, LONGEST = 16.0, 28
"""Pixels between two names; maximum number of characters of a name."""
SAID = {
    "quartiles": "line: median of {}; band: the middle half",
    "interval": "line: mean of {}; band: its 95 % interval",
}
Place = Callable[[float], float]
"""Maps a value to [0, 1], from the bottom to the top of the axis."""


def race_picture(
    bands: Mapping[str, Band],
    *,
    kind: Literal["best", "regret", "rank"] = "best",
    shade: Literal["quartiles", "interval"] = "quartiles",
    x: str = "evaluations",
    objective: Objective = FITNESS,
) -> svg.Drawing:
    """Draws a line and a band per searcher, labelled at its end; the axis of the budget is logarithmic.

    Args:
        bands: name -> band, for instance `race.bands("regret")`.
        kind: kind of the curves; regret and rank have a logarithmic axis, with the best rank at the top.
        shade: as in `figures.race`.
        x: unit of the budget.
        objective: objective of the race (`race.objective`); the best is drawn in its direction and unit.
    """
    if not among(kind, KINDS):
        raise SpecError(unknown("kind", kind, KINDS))
    bands, title = as_measured(bands, kind, objective), title_of(kind, objective)
    shown = curves(bands, shade)
    if why := why_empty(bands):
        return svg.sentences(f"Race of {', '.join(map(_short, bands))}: {why}.", width=WIDTH)
    known = {name: np.isfinite(rows).all(axis=0) for name, rows in shown.items()}
    ends = {
        name: [float(values[here][-1]) for values in rows]
        for name, rows in shown.items()
        if (here := known[name]).any()
    }
    names = {name: _named(name, ends.get(name)) for name in bands}
    height = max(HEIGHT, TOP + BOTTOM + LABEL * len(bands))
    right = WIDTH - 44 - 6.4 * max(map(len, names.values()))
    said = "; ".join(
        f"{_short(name)} {middle:.4g} ({low:.4g} to {high:.4g})" for name, (middle, low, high) in ends.items()
    )
    root = svg.document(WIDTH, height, f"{title}, along {x}. At the end: {said}.")
    svg.add(root, "text", title, x=8, y=19, font_size=13, font_weight=600, fill=svg.INK)
    seeds = max(int(band.seeds.max(initial=0)) for band in bands.values())
    legend = "line: the one seed" if seeds == 1 else SAID[shade].format(f"{seeds} seeds")
    svg.add(root, "text", legend, x=8, y=36, font_size=11, fill=svg.INK)

    place, marks = _even(shown, objective.sign) if kind == "best" else _logarithmic(shown, kind)
    across, budget = _budget(bands, right)
    base = height - BOTTOM

    def down(value: float) -> float:
        return TOP + (base - TOP) * (1 - place(value))

    _frame(root, right, base, {down(value): label for value, label in marks}, budget, x)
    x0, y0, wide, high = LEFT, TOP - 3, right - LEFT, base - TOP + 5
    window = f"{x0:g} {y0:g} {wide:.5g} {high:.5g}"
    inner = svg.add(root, "svg", x=x0, y=y0, width=wide, height=high, viewBox=window)  # it clips
    hues = line_colours(list(bands))
    for name in ends:
        here = known[name]
        at = [across(value) for value in bands[name].x[here]]
        line, low, high = ([down(value) for value in values[here]] for values in shown[name])
        area = [*zip(at, low, strict=True), *reversed([*zip(at, high, strict=True)])]
        svg.add(inner, "polygon", points=_points(area), fill=hues[name], fill_opacity=0.17, class_="band")
        line = [*zip(at, line, strict=True)]
        look = {"fill": "none", "stroke": hues[name], "stroke_width": 2.2, "stroke_linejoin": "round"}
        svg.add(inner, "polyline", points=_points(line), **look, class_="line")
        svg.add(root, "circle", cx=line[-1][0], cy=line[-1][1], r=3, fill=hues[name])
    _names(
        root, names, hues, {name: (across(bands[name].x[known[name]][-1]), down(ends[name][0])) for name in ends}, right
    )
    return svg.drawing(root)


# --- axes --------------------------------------------------------------------------------------------


def _even(shown: Mapping[str, Sequence[np.ndarray]], sign: int) -> tuple[Place, list[tuple[float, str]]]:
    low, high = seen(shown, sign)
    marks = [tick for tick in ticks(low, high, 5)[2] if low <= tick <= high]
    step = (marks[1] - marks[0] if len(marks) > 1 else 0.0) or 1.0
    digits = min(8, max(0, -math.floor(math.log10(step) + 1e-9)))
    most = max(abs(low), abs(high))
    large = not 1e-4 < most < 1e7
    labels = [f"{tick:.5g}" if large else f"{tick:,.{digits}f}" for tick in marks]
    return lambda value: (value - low) / (high - low), list(zip(marks, labels, strict=True))


def _logarithmic(shown: Mapping[str, Sequence[np.ndarray]], kind: str) -> tuple[Place, list[tuple[float, str]]]:
    """Returns a logarithmic axis; for regrets that reach 0, with 0 at the bottom."""
    rows = [values[np.isfinite(values)] for group in shown.values() for values in group]
    zero = kind == "regret" and any((values <= 0).any() for values in rows)
    floor = zero_line(rows)
    most = max(values.max(initial=floor) for values in rows)
    low = math.log10(floor) if zero else math.log10(3 * floor) - 0.05
    high = max(math.log10(most) + 0.05, low + 0.3)

    def up(value: float) -> float:
        return max(0.0, (math.log10(value) - low) / (high - low)) if value > 0 else 0.0

    powers = range(math.floor(low), math.floor(high) + 1, 1 + int(high - low) // 8)
    bases = (1, 2, 5) if high - low < 1.5 else (1,)
    least = low + (0.07 * (high - low) if zero else 0)
    values = [base * 10.0**power for power in powers for base in bases]
    values = [value for value in values if least <= math.log10(value) <= high]
    if len(values) < 2:
        values = [value for value in ticks(10**least, 10**high)[2] if 10**least <= value <= 10**high]
    marks = [(value, f"{value:,.4g}" if value < 1e4 else f"{value:,g}") for value in values]
    marks += [(0.0, "0")] if zero else []
    return (lambda value: 1 - up(value)) if kind == "rank" else up, marks


def _budget(bands: Mapping[str, Band], right: float) -> tuple[Place, dict[float, str]]:
    """Returns budget -> pixels, and pixels -> label for the ticks whose labels do not overlap."""
    grid = np.concatenate([band.x[band.x > 0] for band in bands.values()])
    first, last = (float(grid.min()), float(grid.max())) if len(grid) else (1.0, 1.0)
    last = max(last, 1.5 * first)

    def across(value: float) -> float:
        return LEFT + (right - LEFT) * math.log(max(value, first) / first) / math.log(last / first)

    marks = round_numbers(bands)
    if len(marks) < 2:
        marks = [first, float(grid.max()) if len(grid) else last]
    labels: dict[float, str] = {}
    free = 0.0
    for mark in dict.fromkeys(marks):
        label = f"{mark:,.4g}" if mark < 1e4 else f"{mark:,.0f}"
        room = 3.4 * len(label) + 4
        if across(mark) - room >= free:
            labels[across(mark)] = label
            free = across(mark) + room
    return across, labels


# --- parts of the picture ----------------------------------------------------------------------------


def _frame(
    root: svg.Element, right: float, base: float, values: Mapping[float, str], budget: Mapping[float, str], x: str
) -> None:
    for y, label in values.items():
        svg.add(root, "line", x1=LEFT, x2=right, y1=y, y2=y, stroke=svg.FAINT, stroke_width=0.5, opacity=0.5)
        svg.add(root, "text", label, x=LEFT - 8, y=y + 4, font_size=11, fill=svg.INK, text_anchor="end")
    for at, label in budget.items():
        svg.add(root, "line", x1=at, x2=at, y1=base, y2=base + 4, stroke=svg.FAINT)
        svg.add(root, "text", label, x=at, y=base + 17, font_size=11, fill=svg.INK, text_anchor="middle")
    svg.add(root, "line", x1=LEFT, x2=right, y1=base, y2=base, stroke=svg.FAINT)
    middle = (LEFT + right) / 2
    svg.add(root, "text", x, x=middle, y=base + 36, font_size=12, fill=svg.INK, text_anchor="middle")


def _names(
    root: svg.Element,
    names: Mapping[str, str],
    hues: Mapping[str, str],
    ends: Mapping[str, tuple[float, float]],
    right: float,
) -> None:
    """Write each name beside the end of its line, moved so that none overlap; names without a line at the bottom."""
    bottom = float(root.get("height", 0)) - BOTTOM
    ordered = [*sorted(ends, key=lambda name: ends[name][1]), *(name for name in names if name not in ends)]
    wanted = [min(max(ends[name][1], TOP), bottom) if name in ends else bottom for name in ordered]
    for name, y in zip(ordered, _spread(wanted, TOP, bottom), strict=True):
        if name in ends:
            (x, end), left = ends[name], right + 16
            path = f"M{x + 5:.1f} {min(max(end, TOP), bottom):.1f}H{right + 4:.1f}L{left:.1f} {y:.1f}"
            svg.add(root, "path", d=path, fill="none", stroke=hues[name], stroke_width=0.8, opacity=0.7)
        svg.add(root, "rect", x=right + 18, y=y - 2, width=12, height=4, fill=hues[name])
        svg.add(root, "text", names[name], x=right + 35, y=y + 4, font_size=11, fill=svg.INK, class_="name")


def _spread(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Returns the heights, in order, moved to be at least a label apart and within [low, high].

    The first pass pushes labels down, the second pushes those beyond the end up again.
    """
    found: list[float] = []
    for y in wanted:
        found.append(max(y, found[-1] + LABEL if found else low))
    limit = high
    for number in reversed(range(len(found))):
        found[number] = min(found[number], limit)
        limit = found[number] - LABEL
    return found


def _named(name: str, end: Sequence[float] | None) -> str:
    return f"{_short(name)}: nothing yet" if end is None else f"{_short(name)}: {end[0]:.4g}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 9]}…{name[-8:]}"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
