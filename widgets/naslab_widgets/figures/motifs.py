"""Motifs of the cells found by a search: each as a small graph, with its frequency relative to random cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from naslab.analysis.motifs import Motif, Motifs
from naslab_widgets.figures.axis import ticks
from naslab_widgets.figures.palette import HUES, colours
from naslab_widgets.figures.svg import FAINT, INK, PAPER, Drawing, Element, add, document, drawing

WIDTH, ROW, GRAPH, LEFT, RIGHT, TOP, BOTTOM = 900.0, 58.0, 290.0, 310.0, 210.0, 34.0, 44.0
MORE, LESS = HUES[2][0], HUES[1][0]
MOST = 7.0
"""Longest bar, as log2 of the ratio; also used for motifs that do not occur on one side."""


def motifs(found: Motifs, *kinds: str, most: int = 10, level: float = 0.05) -> Drawing:
    """Draws the most significant motifs, one per row; a bar to the right is more frequent than by chance.

    Args:
        kinds: kinds of motif, of "operation", "place", "pair" and "triple"; all by default.
        most: maximum number of rows.
        level: significance level of the Holm-corrected p value; motifs above it are pale.
    """
    chosen = (found.of(*kinds) if kinds else found.motifs)[:most]
    if not chosen:
        root = document(WIDTH, 40)
        add(root, "text", "No motif was seen.", x=8, y=24, font_size=12, fill=FAINT)
        return drawing(root)
    lengths = [_length(motif) for motif in chosen]
    low, high, marks = ticks(min(0.0, *lengths), max(1.0, *lengths), 6)
    root = document(WIDTH, TOP + ROW * len(chosen) + BOTTOM)
    bottom = TOP + ROW * len(chosen)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    told = f"{found.architectures} found architectures against {found.random} random ones of {found.space}"
    add(root, "text", told, x=8, y=18, font_size=13, font_weight=600, fill=INK)
    for mark in marks:
        add(root, "line", x1=x(mark), x2=x(mark), y1=TOP, y2=bottom, stroke=FAINT, stroke_width=0.5, opacity=0.6)
        text = f"{2**mark:g}" if mark >= 0 else f"1/{2**-mark:g}"
        if float(mark).is_integer():
            add(root, "text", text, x=x(mark), y=bottom + 16, font_size=11, fill=INK, text_anchor="middle")
    middle = (LEFT + WIDTH - RIGHT) / 2
    label = "times as frequent as in random architectures"
    add(root, "text", label, x=middle, y=bottom + 34, font_size=12, fill=INK, text_anchor="middle")
    hues = colours(sorted({op for motif in chosen for op in _operations(motif)}))
    for index, (motif, length) in enumerate(zip(chosen, lengths, strict=True)):
        y = TOP + ROW * (index + 0.5)
        _picture(root, motif, y, {name: light for name, (light, _) in hues.items()})
        left, right = sorted((x(0), x(length)))
        fill, pale = (MORE if length > 0 else LESS), motif.holm > level
        width = max(right - left, 1.0)
        add(root, "rect", x=left, y=y - 8, width=width, height=16, fill=fill, opacity=0.3 if pale else 1.0)
        add(root, "text", _figures(motif), x=WIDTH - RIGHT + 14, y=y - 2, font_size=12, fill=INK)
        p = f"corrected p {motif.holm:.2g}"
        add(root, "text", p, x=WIDTH - RIGHT + 14, y=y + 13, font_size=11, fill=FAINT if pale else INK)
    add(root, "line", x1=x(0), x2=x(0), y1=TOP - 4, y2=bottom, stroke=INK, stroke_width=1.5)
    return drawing(root)


def _length(motif: Motif) -> float:
    """Returns log2 of the ratio, clipped to [-MOST, MOST]."""
    if motif.ratio in (0, math.inf):
        return MOST if motif.ratio else -MOST
    return max(-MOST, min(MOST, math.log2(motif.ratio)))


def _figures(motif: Motif) -> str:
    ratio = "none by chance" if motif.ratio == math.inf else f"{motif.ratio:.3g} x"
    return f"{motif.found:.2f} : {motif.random:.2f}  ({ratio})"


def _operations(motif: Motif) -> Sequence[str]:
    labels, edges = motif.pattern.form
    return [op for _, _, op in edges if op] if edges else [labels[0].rpartition(": ")[2]]


def _picture(root: Element, motif: Motif, y: float, hues: dict[str, str]) -> None:
    """Draw the graph of a motif left of its bar, or its name if it has no edges."""
    import networkx as nx

    pattern = motif.pattern
    add(root, "text", pattern.part, x=8, y=y - 16, font_size=10, fill=FAINT)
    if not pattern.form[1]:
        name = pattern.form[0][0]
        add(root, "rect", x=8, y=y - 7, width=12, height=12, rx=2, fill=hues[_operations(motif)[0]])
        add(root, "text", name, x=28, y=y + 4, font_size=12, fill=INK)
        return
    graph = pattern.graph()
    order = list(nx.lexicographical_topological_sort(graph))
    step = GRAPH - 56
    places = {node: (34 + step * place / (len(order) - 1), y) for place, node in enumerate(order)}
    for u, v, op in sorted(graph.edges(data="op"), key=lambda edge: order.index(edge[1]) - order.index(edge[0])):
        (a, _), (b, _) = places[u], places[v]
        far = order.index(v) - order.index(u) > 1
        end, peak = (y - 8, y - 44) if far else (y, y)
        path = f"M{a + 11:.1f} {end:.1f}Q{(a + b) / 2:.1f} {peak:.1f} {b - 11:.1f} {end:.1f}"
        hue = hues.get(str(op), FAINT)
        add(root, "path", d=path, fill="none", stroke=hue, stroke_width=2.4)
        if op:
            text, centre, height = str(op), (a + b) / 2, (y - 30 if far else y + 1)
            width = 5.1 * len(text) + 6
            box = {"x": centre - width / 2, "y": height - 8, "width": width, "height": 13, "rx": 3}
            add(root, "rect", **box, fill=PAPER, stroke=hue, stroke_width=0.8)
            add(root, "text", text, x=centre, y=height + 2, font_size=9, fill=INK, text_anchor="middle")
    for node, (across, down) in places.items():
        label = str(graph.nodes[node]["label"])
        named = {"input": "in", "output": "out", "node": ""}.get(label, label)
        add(root, "circle", cx=across, cy=down, r=10, fill="#eef1f4", stroke="#57606a", stroke_width=1.1)
        small = named if len(named) <= 3 else ""
        add(root, "text", small, x=across, y=down + 3.5, font_size=9, fill=INK, text_anchor="middle")
        if not small and named:
            add(root, "text", named, x=across, y=down + 21, font_size=9, fill=INK, text_anchor="middle")
