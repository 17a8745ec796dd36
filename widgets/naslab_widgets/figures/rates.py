"""Learning rate range tests: loss against learning rate, one panel per test."""

from __future__ import annotations

import numpy as np

from naslab.errors import SpecError
from naslab.searchers.rates import Rates
from naslab_widgets.figures import svg
from naslab_widgets.figures.axis import powers, ticks
from naslab_widgets.figures.charts import with_unit
from naslab_widgets.figures.themes import LINES

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 430.0, 250.0, 52.0, 14.0, 34.0, 44.0
DOTS, MEAN, TAKEN = "#8c8c8c", LINES[0], LINES[1]
TALL = 2.0
"""Upper end of the loss axis above the first smoothed loss, in multiples of the largest fall of the loss."""


def rates(*found: Rates) -> svg.Drawing:
    """Draws a panel for each range test (`naslab.searchers.lr_find`): losses as dots, the smoothed loss as a line, the
    suggested rate as a ring, the steepest descent as a diamond, the current rate as a dotted line.
    """
    if not found:
        raise SpecError("give at least one range test, as nl.searchers.lr_find(search) makes it")
    label = "; ".join(map(str, found))
    root = svg.document(WIDTH * len(found), HEIGHT, label)
    for place, one in enumerate(found):
        _panel(svg.add(root, "g", transform=f"translate({WIDTH * place:g} 0)"), one)
    return svg.drawing(root)


def shown(one: Rates) -> tuple[float, float]:
    """Returns the loss range of a panel: exploding losses are cut off at the top."""
    smoothed = one.smoothed
    low = float(min(smoothed.min(), one.losses.min()))
    fall = max(float(smoothed[0]) - low, 0.1 * abs(low), 1e-6)
    return low, min(float(max(smoothed.max(), one.losses.max())), float(smoothed[0]) + TALL * fall)


def _panel(group: svg.Element, one: Rates) -> None:
    lows, highs, marks = ticks(*shown(one))
    first, last = np.log(one.rates[0]), np.log(max(one.rates[-1], one.now))
    first = min(first, np.log(one.now)) if one.now > 0 else first
    span = max(float(last - first), 1e-12)

    def x(rate: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * float(np.log(rate) - first) / span

    def y(loss: float) -> float:
        share = (min(loss, highs) - lows) / (highs - lows)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    bottom = HEIGHT - BOTTOM
    title = f"{with_unit(one.metric, one.unit)} while {one.name} grows"
    svg.add(group, "text", title, x=LEFT, y=20, font_size=12, fill=svg.INK)
    for mark in marks:
        svg.add(group, "line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(mark), y2=y(mark), stroke=svg.FAINT, stroke_opacity=0.3)
        svg.add(group, "text", f"{mark:g}", x=LEFT - 6, y=y(mark) + 4, font_size=10, text_anchor="end", fill=svg.INK)
    for power in powers(float(np.exp(first)), float(np.exp(last))):
        svg.add(group, "line", x1=x(power), x2=x(power), y1=bottom, y2=bottom + 4, stroke=svg.FAINT)
        text = {"x": x(power), "y": bottom + 16, "font_size": 10, "text_anchor": "middle", "fill": svg.INK}
        svg.add(group, "text", f"{power:g}", **text)
    middle = (LEFT + WIDTH - RIGHT) / 2
    svg.add(group, "text", one.name, x=middle, y=HEIGHT - 8, font_size=11, text_anchor="middle", fill=svg.INK)
    if one.now > 0:
        line = {"x1": x(one.now), "x2": x(one.now), "y1": TOP, "y2": bottom, "stroke": svg.INK}
        svg.add(group, "line", **line, stroke_dasharray="2 3", class_="now")
    for rate, loss in zip(one.rates.tolist(), one.losses.tolist(), strict=True):
        if loss <= highs:
            svg.add(group, "circle", cx=x(rate), cy=y(loss), r=1.8, fill=DOTS, fill_opacity=0.6, class_="loss")
    path = " ".join(f"{x(r):.1f},{y(s):.1f}" for r, s in zip(one.rates.tolist(), one.smoothed.tolist(), strict=True))
    svg.add(group, "polyline", points=path, fill="none", stroke=MEAN, stroke_width=2)
    if one.suggestion is not None and one.steepest is not None:
        at = float(np.interp(np.log(one.steepest), np.log(one.rates), one.smoothed))
        corner = f"M{x(one.steepest):.1f} {y(at) - 6:.1f}l6 6l-6 6l-6 -6z"
        svg.add(group, "path", d=corner, fill=svg.PAPER, stroke=TAKEN, stroke_width=2, class_="steepest")
        at = float(np.interp(np.log(one.suggestion), np.log(one.rates), one.smoothed))
        ring = {"cx": max(LEFT, x(one.suggestion)), "cy": y(at), "r": 6, "fill": "none", "stroke": TAKEN}
        svg.add(group, "circle", **ring, stroke_width=2.5, class_="suggestion")
