"""Groups of retrained architectures compared: a dot for every sample, a bar for the mean and its 95 % interval."""

from __future__ import annotations

import math

from naslab.trainers import Comparison
from naslab_widgets.figures.axis import ticks
from naslab_widgets.figures.charts import words
from naslab_widgets.figures.palette import HUES
from naslab_widgets.figures.svg import FAINT, INK, Drawing, add, document, drawing, short

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 720.0, 46.0, 130.0, 190.0, 14.0, 44.0


def comparison(found: Comparison) -> Drawing:
    """Draws one row per group; the axis is the objective, shares in per cent."""
    groups, scale = found.groups, found.objective.scale
    rows = {group: [scale * value for value in found.samples(group)] for group in groups}
    ends = {group: tuple(scale * end for end in found.interval(group)) for group in groups}
    shown = [v for group in groups for v in (*rows[group], *ends[group]) if math.isfinite(v)]
    low, high, marks = ticks(min(shown), max(max(shown), min(shown) + 0.5))
    digits = max(1, 1 - math.floor(math.log10(marks[1] - marks[0])))
    height = TOP + ROW * len(groups) + BOTTOM
    root = document(WIDTH, height)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    bottom = TOP + ROW * len(groups)
    for tick in marks:
        add(root, "line", x1=x(tick), x2=x(tick), y1=TOP, y2=bottom, stroke=FAINT, stroke_width=0.5, opacity=0.6)
        add(root, "text", f"{tick:g}", x=x(tick), y=bottom + 16, font_size=11, fill=INK, text_anchor="middle")
    add(
        root,
        "text",
        words(found.what),
        x=(LEFT + WIDTH - RIGHT) / 2,
        y=bottom + 34,
        font_size=12,
        fill=INK,
        text_anchor="middle",
    )
    for index, group in enumerate(groups):
        y, colour = TOP + ROW * (index + 0.5), HUES[index % len(HUES)][0]
        mean = scale * found.mean(group)
        add(root, "text", short(group), x=LEFT - 12, y=y + 4, font_size=13, fill=INK, text_anchor="end")
        reach = ends[group]
        if all(map(math.isfinite, reach)):
            add(root, "line", x1=x(reach[0]), x2=x(reach[1]), y1=y, y2=y, stroke=colour, stroke_width=6, opacity=0.35)
        for value in rows[group]:
            add(root, "circle", cx=x(value), cy=y, r=4, fill=colour, fill_opacity=0.55)
        add(root, "line", x1=x(mean), x2=x(mean), y1=y - 11, y2=y + 11, stroke=colour, stroke_width=3)
        span = f" ({reach[0]:.{digits}f} to {reach[1]:.{digits}f})" if all(map(math.isfinite, reach)) else ""
        add(
            root,
            "text",
            f"{mean:.{digits}f}{span}, n = {len(rows[group])}",
            x=WIDTH - RIGHT + 14,
            y=y + 4,
            font_size=12,
            fill=INK,
        )
    return drawing(root)
