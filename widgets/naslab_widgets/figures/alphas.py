"""Distribution over operations on every edge during the search: small multiples, one chart per edge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from naslab.events import Event, SupernetStep
from naslab_widgets.figures import svg
from naslab_widgets.figures.cell import edge_label
from naslab_widgets.figures.palette import colours

COLUMNS, CHART_WIDTH, CHART_HEIGHT, TITLE, LEGEND = 5, 104.0, 64.0, 26.0, 26.0
PART_WIDTH, GAP, POINTS = COLUMNS * CHART_WIDTH, 16.0, 60


def alphas(events: Iterable[Event], space: Any = None) -> svg.Drawing:
    """Draws the curves of softmax(alpha) as SVG.

    Args:
        events: events of one search, in order; only supernet steps are used.
        space: search space that names edges and operations; without it they are numbered.
    """
    steps = [event for event in events if isinstance(event, SupernetStep)]
    if not steps:
        root = svg.document(PART_WIDTH, 40)
        svg.add(root, "text", "No step has been done yet.", x=8, y=24, font_size=12, fill=svg.FAINT)
        return svg.drawing(root)
    shapes = {part: array.shape for part, array in steps[0].probabilities.items()}
    if space:
        operations, labels = list(space.operations), edge_labels(space)
    else:
        operations = [f"operation {number}" for number in range(max(shape[1] for shape in shapes.values()))]
        labels = {part: [f"edge {number}" for number in range(shape[0])] for part, shape in shapes.items()}
    steps = thinned(steps, POINTS)
    curves = {part: np.stack([event.probabilities[part] for event in steps]) for part in shapes}
    return draw_alphas(np.array([event.step for event in steps]), curves, labels, operations)


def draw_alphas(
    steps: np.ndarray, curves: dict[str, np.ndarray], labels: dict[str, list[str]], operations: Sequence[str]
) -> svg.Drawing:
    """Draws the same picture from arrays: steps [T], curves part -> [T, E, O], labels part -> E names."""
    rows = max(-(-array.shape[1] // COLUMNS) for array in curves.values())
    root = svg.document(len(curves) * (PART_WIDTH + GAP) - GAP, LEGEND + TITLE + rows * CHART_HEIGHT)
    hues = [light for light, _ in colours(operations).values()]
    _legend(root, operations, hues)
    for number, (part, array) in enumerate(curves.items()):
        group = svg.add(root, "g", transform=f"translate({number * (PART_WIDTH + GAP):g} {LEGEND:g})")
        low, high = limits(array)
        title = f"{part} cell: softmax(α), {low:.2f} to {high:.2f}"
        svg.add(group, "text", title, x=8, y=17, font_size=13, font_weight=600, fill=svg.INK)
        for edge, label in enumerate(labels[part]):
            x, y = (edge % COLUMNS) * CHART_WIDTH, TITLE + (edge // COLUMNS) * CHART_HEIGHT
            chart = svg.add(group, "g", transform=f"translate({x:g} {y:g})")
            _chart(chart, label, steps, array[:, edge], hues, low, high)
    return svg.drawing(root)


def limits(values: np.ndarray) -> tuple[float, float]:
    """Returns (bottom, top) of the axis that all edges of a part share: the range of the values, at least 0.02 wide."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    slack = max(0.0, 0.02 - (high - low)) / 2
    return max(0.0, low - slack), min(1.0, high + slack)


def thinned(items: list[Any], most: int) -> list[Any]:
    """Returns at most `most` of the items, evenly spaced, including the first and the last."""
    if len(items) <= most:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def edge_labels(space: Any) -> dict[str, list[str]]:
    """Returns part -> the label of each edge, in the order of the rows of its [E, O] matrix."""
    graph, labels = space.supergraph(), {part: [""] * edges for part, edges in space.edges().items()}
    for u, v, data in graph.edges(data=True):
        if "row" in data:
            labels[graph.nodes[u]["part"]][data["row"]] = edge_label(graph, u, v)
    return labels


def _legend(root: svg.Element, operations: Sequence[str], hues: Sequence[str]) -> None:
    x = 8.0
    for name, hue in zip(map(svg.short, operations), hues, strict=True):
        svg.add(root, "rect", x=x, y=8, width=10, height=10, rx=2, fill=hue)
        svg.add(root, "text", name, x=x + 14, y=17, font_size=11, fill=svg.INK)
        x += 28 + 6.3 * len(name)


def _chart(
    group: svg.Element, label: str, steps: np.ndarray, values: np.ndarray, hues: Sequence[str], low: float, high: float
) -> None:
    """Draw the chart of one edge; values [T, O]."""
    left, top, width, height = 8.0, 14.0, CHART_WIDTH - 16, CHART_HEIGHT - 22
    svg.add(group, "text", label, x=left, y=10, font_size=10, fill="#57606a")
    svg.add(group, "rect", x=left, y=top, width=width, height=height, fill="none", stroke="#d8dee4")
    x = left + width * (steps - steps[0]) / max(1, steps[-1] - steps[0])
    y = top + height * (1 - (values - low) / max(high - low, 1e-9))
    for operation, hue in enumerate(hues):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[:, operation], strict=True))
        svg.add(group, "polyline", points=points, fill="none", stroke=hue, stroke_width=1.3)
