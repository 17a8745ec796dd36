"""Where the nodes, edges and labels of a small DAG go: layered, deterministic, without any binary.

A node stands in the column of its topological generation. Columns of one node alternate above and below the
middle, so that an edge which skips a column has room. Each edge is a quadratic Bézier curve; its bend and the place of
its label are chosen together, among a few dozen candidates, so that neither touches a node or a label that
is placed already. The whole takes some ten milliseconds for a cell, and is done once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import networkx as nx

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""left, top, right, bottom"""

RADIUS = 15.0
LABEL_HEIGHT = 15.0
BENDS = (0.0, 0.12, -0.12, 0.24, -0.24, 0.36, -0.36, 0.5, -0.5)
PLACES = (0.5, 0.43, 0.57, 0.36, 0.64, 0.29, 0.71, 0.23, 0.77)


@dataclass(frozen=True)
class Route:
    """A quadratic Bézier curve from rim to rim, and the centre of its label on it."""

    start: Point
    control: Point
    end: Point
    label: Point

    def at(self, t: float) -> Point:
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        return tuple(a * s + b * m + c * e for s, m, e in zip(self.start, self.control, self.end, strict=True))  # type: ignore[return-value]

    @property
    def path(self) -> str:
        """As the `d` of an SVG path."""
        (ax, ay), (bx, by), (cx, cy) = self.start, self.control, self.end
        return f"M{ax:.1f} {ay:.1f}Q{bx:.1f} {by:.1f} {cx:.1f} {cy:.1f}"


@dataclass(frozen=True)
class Layout:
    """Pixel coordinates: nodes are circles of `RADIUS`."""

    width: float
    height: float
    nodes: dict[Hashable, Point]
    routes: dict[tuple[Hashable, Hashable], Route]


def layered(
    graph: nx.DiGraph,
    *,
    width: float = 520,
    height: float = 230,
    label_width: Callable[[Hashable, Hashable], float] = lambda u, v: 0.0,
) -> Layout:
    """Place a DAG of up to about ten nodes.

    Args:
        label_width: pixels that the label of the edge (u, v) needs; 0 for an edge without one.
    """
    nodes = _columns(graph, width, height)
    boxes: list[Box] = []
    routes: dict[tuple[Hashable, Hashable], Route] = {}
    for u, v in sorted(graph.edges, key=lambda edge: (math.dist(nodes[edge[0]], nodes[edge[1]]), str(edge))):
        obstacles = [point for name, point in nodes.items() if name not in (u, v)]
        route, box = _best_route(nodes[u], nodes[v], obstacles, list(nodes.values()), boxes, label_width(u, v), height)
        routes[u, v] = route
        if label_width(u, v):
            boxes.append(box)
    return Layout(width, height, nodes, routes)


def _columns(graph: nx.DiGraph, width: float, height: float) -> dict[Hashable, Point]:
    generations = [sorted(generation, key=list(graph).index) for generation in nx.topological_generations(graph)]
    margin = RADIUS + 8
    across = (width - 2 * margin) / max(1, len(generations) - 1)
    middle, reach = height / 2, height / 2 - margin
    nodes: dict[Hashable, Point] = {}
    for column, generation in enumerate(generations):
        x = margin + column * across if len(generations) > 1 else width / 2
        for position, name in enumerate(generation):
            if len(generation) > 1:
                level = 2 * position / (len(generation) - 1) - 1
            elif column in (0, len(generations) - 1):
                level = 0.0
            else:
                level = -0.62 if column % 2 else 0.62
            nodes[name] = (x, middle + level * reach)
    return nodes


def _best_route(
    start: Point,
    end: Point,
    obstacles: Sequence[Point],
    nodes: Sequence[Point],
    boxes: Sequence[Box],
    label: float,
    height: float,
) -> tuple[Route, Box]:
    """The candidate with the least cost: touching a node, then covering a label, then bending."""
    best: tuple[float, Route, Box] | None = None
    length = math.dist(start, end)
    normal = ((start[1] - end[1]) / length, (end[0] - start[0]) / length)
    for bend in BENDS:
        control = tuple((a + b) / 2 + bend * length * n for a, b, n in zip(start, end, normal, strict=True))
        curve = Route(_rim(start, control), control, _rim(end, control), (0, 0))  # type: ignore[arg-type]
        points = [curve.at(t / 16) for t in range(17)]
        touch = sum(max(0.0, RADIUS + 9 - math.dist(p, o)) for p in points for o in obstacles)
        outside = sum(max(0.0, 4 - y, y - height + 4) for _, y in points)
        for place in PLACES if label else PLACES[:1]:
            x, y = curve.at(place)
            box = (x - label / 2, y - LABEL_HEIGHT / 2, x + label / 2, y + LABEL_HEIGHT / 2)
            covered = sum(overlap(box, other) for other in boxes) if label else 0.0
            rims = [(nx_ - RADIUS, ny - RADIUS, nx_ + RADIUS, ny + RADIUS) for nx_, ny in nodes]
            covered += sum(overlap(box, rim) for rim in rims) if label else 0.0
            cost = 20 * (touch + outside) + 5 * covered + 40 * abs(bend) + 10 * abs(place - 0.5)
            if best is None or cost < best[0] - 1e-9:
                best = cost, Route(curve.start, curve.control, curve.end, (x, y)), box
    assert best is not None
    return best[1], best[2]


def _rim(centre: Point, towards: Sequence[float]) -> Point:
    length = math.dist(centre, towards) or 1.0
    return (
        centre[0] + (towards[0] - centre[0]) * RADIUS / length,
        centre[1] + (towards[1] - centre[1]) * RADIUS / length,
    )


def overlap(first: Box, second: Box) -> float:
    """Area in common, in square pixels."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, across) * max(0.0, down)
