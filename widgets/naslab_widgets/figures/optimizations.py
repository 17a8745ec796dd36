"""Speedup of each optimization of a supernet: the time of a step without it, relative to all of them."""

from __future__ import annotations

from collections.abc import Sequence

from naslab.analysis.steps import Speedup
from naslab_widgets.figures.axis import ticks
from naslab_widgets.figures.palette import HUES
from naslab_widgets.figures.svg import FAINT, INK, Drawing, add, document, drawing

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 720.0, 40.0, 190.0, 60.0, 34.0, 44.0
STEPS = (("weight_step", "step of the weights"), ("alpha_step", "step of the alphas"))


def optimizations(bought: Sequence[Speedup]) -> Drawing:
    """Draws one row per optimization, one bar per kind of step; 1 is the step with all optimizations on."""
    found = [*((row.weight_step, row.alpha_step) for row in bought), (1.0, 1.0)]
    low, high, marks = ticks(min(0.9, *map(min, found)), max(map(max, found)), 5)
    root = document(WIDTH, TOP + ROW * len(bought) + BOTTOM)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    bottom = TOP + ROW * len(bought)
    for mark in marks:
        add(root, "line", x1=x(mark), x2=x(mark), y1=TOP, y2=bottom, stroke=FAINT, stroke_width=0.5, opacity=0.6)
        add(root, "text", f"{mark:g}", x=x(mark), y=bottom + 16, font_size=11, fill=INK, text_anchor="middle")
    middle = (LEFT + WIDTH - RIGHT) / 2
    told = "times as long without it"
    add(root, "text", told, x=middle, y=bottom + 34, font_size=12, fill=INK, text_anchor="middle")
    for index, (_, label) in enumerate(STEPS):
        at = LEFT + 190 * index
        add(root, "rect", x=at, y=TOP - 24, width=12, height=12, fill=HUES[index][0])
        add(root, "text", label, x=at + 18, y=TOP - 14, font_size=12, fill=INK)
    for index, row in enumerate(bought):
        y = TOP + ROW * (index + 0.5)
        name = "all of them" if row.trick == "all" else row.trick.replace("_", " ")
        add(root, "text", name, x=LEFT - 12, y=y + 4, font_size=13, fill=INK, text_anchor="end")
        for place, (field, _) in enumerate(STEPS):
            value = getattr(row, field)
            left, right = sorted((x(1), x(value)))
            top = y - 13 + 14 * place
            add(root, "rect", x=left, y=top, width=max(right - left, 1.0), height=11, fill=HUES[place][0])
            add(root, "text", f"{value:.2f}", x=max(right, x(1)) + 6, y=top + 9.5, font_size=11, fill=INK)
    add(root, "line", x1=x(1), x2=x(1), y1=TOP - 4, y2=bottom, stroke=INK, stroke_width=1.5)
    return drawing(root)
