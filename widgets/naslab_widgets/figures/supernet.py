"""A child architecture highlighted inside the supernet, which is drawn faint.

The space needs a `supergraph` (`naslab.spaces.DrawnSupernet`). The highlighted child is `space.graph(child)`, whose
nodes and edges have the same names as those of the supergraph.

    cells           nodes are states, edges are operations: parts side by side, the child's edges named
    whole networks  a row of states; below, between two states, the candidates of the layer, one row per operation;
                    above, the skip connections
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from naslab.analysis.cell_shape import parts
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.spaces import DrawnSupernet
from naslab_widgets.figures import svg
from naslab_widgets.figures.cell import in_order, node_label, pretty, text_width
from naslab_widgets.figures.layout import LABEL_HEIGHT, PLACES, RADIUS, Box, Layout, Point, layered, overlap
from naslab_widgets.figures.palette import colours

if TYPE_CHECKING:
    import networkx as nx

WIDTH, GAP, TITLE = 1080.0, 20.0, 22.0
CELL_HEIGHT = 270.0
SMALL, NAMES, ROW, BELOW = 11.0, 96.0, 17.0, 30.0
"""Pixels: radius of a state in a row, width of the operations' names, distance between two rows of operations, distance
from the states to the first row."""
LIT, THIN = 3.2, 1.0


def supernet(space: Any, child: Architecture | None = None) -> svg.Drawing:
    """Draws the supernet of a space and highlights one architecture in it.

    Args:
        space: a space with a `supergraph`, for instance `naslab.spaces.EnasMacro.laptop()`.
        child: architecture to highlight; None draws the supernet alone.
    """
    if not isinstance(space, DrawnSupernet):
        raise SpecError(f"{space.name!r} has no supergraph to light a child in; figures.cell draws one by itself")
    return SupernetPicture(space).drawing(child)


class SupernetPicture:
    """The drawing of a supernet: the layout is computed once, for any number of highlighted children."""

    def __init__(self, space: Any) -> None:
        self._space = space
        graph = space.supergraph()
        names = operation_names(space, graph)
        pairs = colours(names)
        hues = {name: pairs[name][0] for name in names}
        chain = in_a_row(graph)
        self._form = Cells(graph, hues) if chain is None else Rows(graph, chain, hues)

    def document(self) -> svg.Element:
        """Returns the faint supernet."""
        root = svg.document(self._form.width, self._form.height)
        self._form.draw(root)
        return root

    def drawing(self, child: Architecture | None) -> svg.Drawing:
        """Returns the supernet with the child highlighted."""
        root = self.document()
        if child is not None:
            root.append(self.lit(child))
        return svg.drawing(root)

    def lit(self, child: Architecture) -> svg.Element:
        """Returns the highlighted child, an overlay of the supernet."""
        group = svg.element("g", class_="naslab-lit")
        self._form.light(group, self._space.graph(child))
        return group


def operation_names(space: Any, graph: nx.DiGraph) -> list[str]:
    """Returns all operations of a space, in its order."""
    stated = [data.get("ops") or () for *_, data in (*graph.nodes(data=True), *graph.edges(data=True))]
    named = [name for names in stated for name in names] or list(getattr(space, "operations", ()))
    if not named:
        named = [option for choice in space.fixed_choices or () for option in choice.options if isinstance(option, str)]
    return list(dict.fromkeys(map(str, named)))


def in_a_row(graph: nx.DiGraph) -> dict[Hashable, tuple[str, ...]] | None:
    """Returns node -> candidates between the previous node and it, in topological order.

    None unless the order is unique and every node but the first has candidates.
    """
    import networkx as nx

    order = list(nx.topological_sort(graph))
    between = {order[0]: ()}
    for u, v in nx.utils.pairwise(order):
        between[v] = tuple(graph.nodes[v].get("ops") or graph.edges.get((u, v), {}).get("ops") or ())
    return between if all(graph.has_edge(*pair) and between[pair[1]] for pair in nx.utils.pairwise(order)) else None


class Rows:
    """Whole networks: layers, each with its candidates, and skip connections between them."""

    def __init__(self, graph: nx.DiGraph, between: dict[Hashable, tuple[str, ...]], hues: dict[str, str]) -> None:
        self._graph, self._between, self._hues = graph, between, hues
        self._order = order = list(between)
        self._rows = {name: number for number, name in enumerate(hues)}
        self._across = max(46.0, (WIDTH - NAMES - 2 * SMALL - 8) / max(1, len(order) - 1))
        longest = max((self._span(*edge) for edge in graph.edges), default=1)
        self._rise = min(26.0, 150 / max(1, longest - 1))
        """Additional height in pixels of a skip connection per layer skipped."""
        self._middle = 14 + SMALL + self._rise * (longest - 1)
        self.width = NAMES + self._across * (len(order) - 1) + 2 * SMALL + 8
        self.height = self._middle + BELOW + ROW * len(hues)

    def _span(self, u: Hashable, v: Hashable) -> int:
        return self._order.index(v) - self._order.index(u)

    def _state(self, node: Hashable) -> Point:
        return NAMES + SMALL + self._across * self._order.index(node), self._middle

    def _candidate(self, node: Hashable, operation: str) -> Point:
        """Returns the position of a candidate: halfway between the previous state and the layer's own."""
        return self._state(node)[0] - self._across / 2, self._middle + BELOW + ROW * self._rows[operation]

    def _through(self, node: Hashable, operation: str) -> str:
        """Returns the SVG path from the previous state through the candidate to the layer's state."""
        (x, y), (_, low) = self._state(node), self._candidate(node, operation)
        half, bend = self._across / 2, 0.55 * self._across / 2
        left, middle, right = x - self._across + SMALL * 0.7, x - half, x - SMALL * 0.7
        top = y + SMALL * 0.7
        points = ((left, top), (left + 0.4 * bend, low), (middle - bend, low), (middle, low))
        back = ((right - 0.4 * bend, low), (right, top))
        return "M{}C{} {} {}S{} {}".format(*(f"{x:.1f} {y:.1f}" for x, y in (*points, *back)))

    def _skip(self, u: Hashable, v: Hashable) -> str:
        (a, y), (b, _) = self._state(u), self._state(v)
        top = y - SMALL
        high = top - self._rise * (self._span(u, v) - 1) * 4 / 3
        bend = 0.18 * (b - a)
        return f"M{a + 4:.1f} {top:.1f}C{a + bend:.1f} {high:.1f} {b - bend:.1f} {high:.1f} {b - 4:.1f} {top:.1f}"

    def draw(self, root: svg.Element) -> None:
        faint = svg.add(root, "g", fill="none", stroke=svg.FAINT, stroke_width=THIN, stroke_opacity=0.42)
        for u, v in self._graph.edges:
            if self._span(u, v) > 1:
                svg.add(faint, "path", d=self._skip(u, v))
        for node, operations in self._between.items():
            for operation in operations:
                svg.add(faint, "path", d=self._through(node, operation))
        for node, operations in self._between.items():
            for operation in operations:
                x, y = self._candidate(node, operation)
                svg.add(root, "circle", cx=x, cy=y, r=3.4, fill="#dce3ea", stroke=svg.FAINT, stroke_width=0.8)
        for operation, row in self._rows.items():
            y = self._middle + BELOW + ROW * row + 3.5
            svg.add(root, "text", svg.short(operation), x=NAMES - 6, y=y, font_size=10, text_anchor="end", fill=svg.INK)
        for node in self._order:
            _state(root, *self._state(node), pretty(node_label(self._graph, node)), SMALL)

    def light(self, group: svg.Element, child: nx.DiGraph) -> None:
        import networkx as nx

        for u, v in child.edges:
            if self._span(u, v) > 1:
                line = svg.add(group, "path", d=self._skip(u, v), fill="none", stroke=svg.INK, stroke_width=1.5)
                svg.add(line, "title", f"layer {node_label(child, v)} also reads {node_label(child, u)}")
        for before, node in nx.utils.pairwise(self._order):
            operation = str(child.nodes[node].get("op") or child.edges[before, node]["op"])
            hue, path = self._hues[operation], self._through(node, operation)
            line = svg.add(group, "path", d=path, fill="none", stroke=hue, stroke_width=LIT, data_op=operation)
            svg.add(line, "title", f"layer {node_label(child, node)}: {operation}")
            x, y = self._candidate(node, operation)
            svg.add(group, "circle", cx=x, cy=y, r=6, fill=hue)
        for node in child:
            _state(group, *self._state(node), pretty(node_label(child, node)), SMALL, lit=True)


class Cells:
    """Cells: operations on the edges between states."""

    def __init__(self, graph: nx.DiGraph, hues: dict[str, str]) -> None:
        self._hues, self._parts = hues, parts(graph)
        count = len(self._parts)
        wide = (WIDTH - GAP * (count - 1)) / count if count > 1 else 0.62 * WIDTH
        self._placed: dict[str, Layout] = {
            name: layered(in_order(part), width=wide, height=CELL_HEIGHT) for name, part in self._parts.items()
        }
        self._left = {name: position * (wide + GAP) for position, name in enumerate(self._parts)}
        self.width, self.height = count * (wide + GAP) - GAP, CELL_HEIGHT + TITLE

    def _group(self, root: svg.Element, name: str) -> svg.Element:
        return svg.add(root, "g", transform=f"translate({self._left[name]:g} {TITLE:g})")

    def draw(self, root: svg.Element) -> None:
        for name, layout in self._placed.items():
            group = self._group(root, name)
            title = name if name == "cell" else f"{name} cell"
            svg.add(group, "text", title, x=2, y=-8, font_size=12, font_weight=600, fill=svg.INK)
            for route in layout.routes.values():
                line = {"fill": "none", "stroke": svg.FAINT, "stroke_width": THIN, "stroke_opacity": 0.42}
                svg.add(group, "path", d=route.path, **line)
            for node, (x, y) in layout.nodes.items():
                _state(group, x, y, pretty(node_label(self._parts[name], node)), RADIUS)

    def light(self, group: svg.Element, child: nx.DiGraph) -> None:
        for name, part in parts(child).items():
            self._light(self._group(group, name), self._placed[name], part)

    def _light(self, group: svg.Element, layout: Layout, child: nx.DiGraph) -> None:
        named = {edge: str(op).split(" + ") for *edge_, op in child.edges(data="op") if op and (edge := tuple(edge_))}
        for edge in child.edges:
            if edge not in named:
                line = {"fill": "none", "stroke": svg.INK, "stroke_width": 1.8, "stroke_opacity": 0.75}
                svg.add(group, "path", d=layout.routes[edge].path, **line)
        for edge, operations in named.items():
            for number, operation in enumerate(dict.fromkeys(operations)):
                line = {"fill": "none", "stroke": self._hues[operation], "stroke_width": LIT, "data_op": operation}
                dashes = {"stroke_dasharray": "9 9"} if number else {}
                svg.add(group, "path", d=layout.routes[edge].path, **line, **dashes)
        for node in child:
            if child.degree(node):
                _state(group, *layout.nodes[node], pretty(node_label(child, node)), RADIUS, lit=True)
        rims = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in layout.nodes.values()]
        taken: list[Box] = []
        for edge in sorted(named, key=lambda e: math.dist(layout.nodes[e[0]], layout.nodes[e[1]])):
            names = _counted(named[edge])
            wide, high = max(map(text_width, map(len, names))), LABEL_HEIGHT * len(names)
            x, y, box = _free(layout, edge, wide, high, rims, taken)
            taken.append(box)
            for number, (text, operation) in enumerate(names.items()):
                _name(group, text, self._hues[operation], x, y + LABEL_HEIGHT * (number - (len(names) - 1) / 2))


def _counted(operations: list[str]) -> dict[str, str]:
    """Returns label -> operation of an edge; a repeated operation is one label: "2 × sep 3x3"."""
    return {("2 × " if operations.count(name) > 1 else "") + short(name): name for name in dict.fromkeys(operations)}


def short(operation: str) -> str:
    """Returns an abbreviated operation name for a small label: `sep_conv_3x3` -> `sep 3x3`."""
    for kind in ("_conv", "_pool", "_connect"):
        operation = operation.replace(kind, "")
    return operation.replace("_", " ")


def _free(
    layout: Layout, edge: Any, wide: float, high: float, rims: list[Box], taken: list[Box]
) -> tuple[float, float, Box]:
    """Returns the position on an edge where a label overlaps nodes and existing labels least."""

    def at(place: float) -> tuple[float, float, Box]:
        x, y = layout.routes[edge].at(place)
        x = min(max(x, wide / 2), layout.width - wide / 2)
        return x, y, (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)

    best, least = at(PLACES[0]), math.inf
    for place in PLACES:  # the middle first
        found = at(place)
        covered = sum(overlap(found[2], other) for other in rims) + sum(overlap(found[2], other) for other in taken)
        if covered < least:
            best, least = found, covered
        if not covered:
            break
    return best


def _name(group: svg.Element, text: str, hue: str, x: float, y: float) -> None:
    wide = text_width(len(text))
    frame = {"width": wide, "height": LABEL_HEIGHT, "rx": 4, "fill": svg.PAPER, "stroke": hue, "stroke_width": 1.4}
    svg.add(group, "rect", x=x - wide / 2, y=y - LABEL_HEIGHT / 2, **frame)
    svg.add(group, "text", svg.short(text), x=x, y=y + 3.5, font_size=10, text_anchor="middle", fill=svg.INK)


def _state(group: svg.Element, x: float, y: float, label: str, radius: float, *, lit: bool = False) -> None:
    rim = {"stroke": svg.INK, "stroke_width": 1.8} if lit else {"stroke": svg.FAINT, "stroke_width": 1.0}
    svg.add(group, "circle", cx=x, cy=y, r=radius, fill="#dce3ea" if lit else "#eef1f4", **rim)
    size = 8 if len(label) > 4 else 11 if radius > 12 else 10
    svg.add(group, "text", label, x=x, y=y + 3.6, font_size=size, text_anchor="middle", fill=svg.INK)
