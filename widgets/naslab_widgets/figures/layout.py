"""Layered layout of the nodes, edges and labels of a small DAG: deterministic, in NumPy alone.

A node is in the column of its topological generation. Columns of one node alternate above and below the middle, so that
an edge that skips a column has room. Each edge is a quadratic Bézier curve; its bend and the position of its label are
chosen together, among a few dozen candidates, so that neither touches a node or an existing label, and no label
lies on another edge. A cell takes some tens of milliseconds, once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import networkx as nx

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""

RADIUS = 15.0
LABEL_HEIGHT = 15.0
GAP = np.array([-6.0, -3.0, 6.0, 3.0])
"""Margin around a label in pixels, added to its (left, top, right, bottom)."""
BENDS = (0.0, 0.12, -0.12, 0.24, -0.24, 0.36, -0.36, 0.5, -0.5)
SAMPLES = 32
SAMPLES_AT = np.linspace(0, 1, SAMPLES + 1)
PASSES = 2
"""Number of times that each edge is placed; from the second time on all other edges are known."""
PLACES = (0.5, 0.43, 0.57, 0.36, 0.64, 0.29, 0.71, 0.23, 0.77)


@dataclass(frozen=True)
class Route:
    """A quadratic Bézier curve between the rims of two nodes, and the centre of its label on it."""

    start: Point
    control: Point
    end: Point
    label: Point

    def at(self, t: float) -> Point:
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        return tuple(a * s + b * m + c * e for s, m, e in zip(self.start, self.control, self.end, strict=True))  # type: ignore[return-value]

    @property
    def path(self) -> str:
        """The curve as the `d` attribute of an SVG path."""
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
    frame: nx.DiGraph | None = None,
) -> Layout:
    """Place a DAG of up to about ten nodes.

    Args:
        label_width: width in pixels of the label of the edge (u, v); 0 for an edge without one.
        frame: a graph with the same nodes and more edges, whose node positions are used.
    """
    known = frame is not None and all(node in frame for node in graph)
    found = _columns(frame if known and frame is not None else graph, width, height)
    nodes = {node: found[node] for node in graph}
    boxes: dict[tuple[Hashable, Hashable], Box] = {}
    routes: dict[tuple[Hashable, Hashable], Route] = {}
    curves: dict[tuple[Hashable, Hashable], np.ndarray] = {}
    # Short edges first: a bend is a share of the length, so that they can avoid least.
    shortest = sorted(graph.edges, key=lambda edge: (math.dist(nodes[edge[0]], nodes[edge[1]]), str(edge)))
    for u, v in shortest * PASSES:
        obstacles = [point for name, point in nodes.items() if name not in (u, v)]
        others = [points for edge, points in curves.items() if edge != (u, v)]
        labels = [box for edge, box in boxes.items() if edge != (u, v)]
        label = label_width(u, v)
        routes[u, v], curves[u, v], box = _best_route(
            nodes[u], nodes[v], obstacles, list(nodes.values()), labels, others, label, height
        )
        if label:
            boxes[u, v] = box
    return Layout(width, height, nodes, routes)


def _columns(graph: nx.DiGraph, width: float, height: float) -> dict[Hashable, Point]:
    import networkx as nx

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
    others: Sequence[np.ndarray],
    label: float,
    height: float,
) -> tuple[Route, np.ndarray, Box]:
    """Returns the candidate of least cost: penalties for touching nodes, covering or crossing labels, and bending.

    Shapes: B bends, P places of the label, S samples of a curve.
    """
    bends, places = np.array(BENDS), np.array(PLACES if label else PLACES[:1])
    begin, finish = np.array(start), np.array(end)
    along = finish - begin
    controls: np.ndarray = (begin + finish) / 2 + bends[:, None] * np.array([-along[1], along[0]])  # [B, 2]
    ends = _rims(begin, controls), controls, _rims(finish, controls)
    curves, centres = _curves(*ends, SAMPLES_AT), _curves(*ends, places)  # [B, S, 2], [B, P, 2]
    half = np.array([label / 2, LABEL_HEIGHT / 2])
    labels = np.concatenate([centres - half, centres + half], axis=2)  # [B, P, 4]
    coarse = curves[:, ::2]  # every second point is enough for distances
    apart = np.sqrt(((coarse[:, :, None] - np.reshape(obstacles, (-1, 2))) ** 2).sum(axis=-1))
    # Penalties: 20 per pixel of touching, 8 per crossing, 5 per square pixel covered.
    touch = np.maximum(0, RADIUS + 9 - apart).sum(axis=(1, 2))
    outside = np.maximum(0, np.maximum(4 - coarse[..., 1], coarse[..., 1] - height + 4)).sum(axis=1)
    placed = np.reshape(boxes, (-1, 4))
    cost = 20 * (touch + outside) + 8 * _crossings(curves, placed).sum(axis=1) + 40 * np.abs(bends)
    cost = cost[:, None] + 10 * np.abs(places - 0.5)
    if label:
        circles = np.array(nodes)
        taken = np.concatenate([placed + GAP, np.concatenate([circles - RADIUS, circles + RADIUS], axis=1)])
        drawn = np.reshape(others, (-1, SAMPLES + 1, 2))
        flat = labels.reshape(-1, 4)
        covered = _overlaps(flat, taken).sum(axis=1) * 5 + _crossings(drawn, flat).sum(axis=0) * 8
        cut = np.maximum(0, np.maximum(-flat[:, 1], flat[:, 3] - height))  # pixels of the label outside the picture
        cost = cost + (covered + 20 * cut).reshape(cost.shape)
    bend, place = np.unravel_index(cost.round(9).argmin(), cost.shape)  # rounded: stable ties
    control, middle = controls[bend], centres[bend, place]
    first, last = curves[bend, 0], curves[bend, -1]
    return Route(_point(first), _point(control), _point(last), _point(middle)), curves[bend], _box(labels[bend, place])


def _curves(start: np.ndarray, control: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Returns the points of B quadratic Bézier curves at parameters t [T], as [B, T, 2]; control points are [B, 2]."""
    t = t[:, None]
    return (1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * control[:, None] + t**2 * end[:, None]


def _rims(centre: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Returns where the lines from the centre of a node towards points [B, 2] cross its rim, [B, 2]."""
    away = towards - centre
    length = np.sqrt((away**2).sum(axis=-1, keepdims=True))
    return centre + away * RADIUS / np.where(length, length, 1)


def _point(values: np.ndarray) -> Point:
    x, y = values.tolist()
    return x, y


def _box(values: np.ndarray) -> Box:
    left, top, right, bottom = values.tolist()
    return left, top, right, bottom


def _crossings(curves: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns [M, N] bool: curve m [M, S, 2] passes through label n [N, 4], or within 2 pixels of it."""
    points, boxes = curves[:, None], boxes[None, :, None]
    inside = (points >= boxes[..., :2] - 2) & (points <= boxes[..., 2:] + 2)
    return np.asarray(inside.all(axis=-1).any(axis=-1))


def _overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the areas [M, N] that boxes [M, 4] and boxes [N, 4] have in common, in square pixels."""
    one, other = first[:, None], second[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    return np.maximum(0, sides).prod(axis=2)


def overlap(first: Box, second: Box) -> float:
    """Returns the area that two boxes have in common, in square pixels."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, across) * max(0.0, down)
