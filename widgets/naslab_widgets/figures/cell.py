"""A cell as a picture: nodes are tensors, edges are operations.

Edge attributes: `op` (name of the operation), `strength` in [0, 1] (line width; 0.4 if missing) and `kept` (False for
an edge that is drawn faint). A graph of several parts is drawn as several cells side by side.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from naslab.analysis.cell_shape import parts
from naslab_widgets.figures import svg
from naslab_widgets.figures.layout import LABEL_HEIGHT, RADIUS, Layout, layered
from naslab_widgets.figures.palette import colours

if TYPE_CHECKING:
    import networkx as nx

CELL_WIDTH, CELL_HEIGHT, TITLE, GAP = 520.0, 230.0, 26.0, 16.0
_SUBSCRIPTS = dict(zip("0123456789-+kt", "₀₁₂₃₄₅₆₇₈₉₋₊ₖₜ", strict=True))


def cell(
    graph: nx.DiGraph, *, engine: str = "layered", width: float = CELL_WIDTH, frame: nx.DiGraph | None = None
) -> svg.Drawing:
    """Draw an architecture's graph (`space.graph(...)`) or a supergraph with `op`, `strength` and `kept`.

    Args:
        engine: "layered" needs no program; "dot" uses graphviz, and falls back to "layered" if it is not installed.
        width: width of each cell in pixels, for the layered layout.
        frame: graph of all edges that the cells may have, `frame_of(space)`: nodes then have the same positions in
            every picture of the space.
    """
    if engine == "dot":
        if shutil.which("dot"):
            import graphviz

            return svg.Drawing(graphviz.Source(to_dot(graph)).pipe("svg").decode())
        warnings.warn("graphviz's `dot` is not installed; drawing with the layered layout instead", stacklevel=2)
    elif engine != "layered":
        raise ValueError(f"engine is 'layered' or 'dot', not {engine!r}")
    cells = parts(graph)
    frames = {} if frame is None else parts(frame)
    root = svg.document(len(cells) * (width + GAP) - GAP, CELL_HEIGHT + TITLE)
    for position, (name, part) in enumerate(cells.items()):
        group = svg.add(root, "g", transform=f"translate({position * (width + GAP):g} 0)")
        _draw(group, name, part, width, frames.get(name))
    return svg.drawing(root)


def frame_of(space: Any) -> nx.DiGraph | None:
    """Returns the graph of all edges that an architecture of the space may have; None if the space has none."""
    return space.supergraph() if hasattr(space, "supergraph") else None


def cell_layout(
    part: nx.DiGraph, longest: int = 0, width: float = CELL_WIDTH, frame: nx.DiGraph | None = None
) -> Layout:
    """Returns the layout of one part; each named edge has room for its label, or for `longest` characters."""

    def room(u: Hashable, v: Hashable) -> float:
        data = part.edges[u, v]
        characters = longest if longest and "row" in data else len(str(data.get("op", "")))
        return text_width(characters) if characters else 0.0

    frame = None if frame is None else in_order(frame)
    return layered(in_order(part), width=width, height=CELL_HEIGHT, label_width=room, frame=frame)


def in_order(part: nx.DiGraph) -> nx.DiGraph:
    """Returns the graph with inputs first and output last, so that the picture does not depend on insertion order."""
    import networkx as nx

    rank = {"input": 0, "node": 1, "output": 2}
    ordered = nx.DiGraph()
    ordered.add_nodes_from(sorted(part.nodes(data=True), key=lambda item: rank.get(item[1].get("role", "node"), 1)))
    ordered.add_edges_from(part.edges(data=True))
    return ordered


def text_width(characters: int) -> float:
    """Returns the pixels that a label of `characters` characters takes at 10 px, including its frame."""
    return 5.7 * min(characters, svg.LABEL) + 9


def pretty(label: str) -> str:
    """`c_{k-2}` -> `cₖ₋₂`: Unicode subscripts, which both canvas and SVG can draw."""
    head, brace, tail = label.partition("_{")
    if brace and tail.endswith("}") and all(character in _SUBSCRIPTS for character in tail[:-1]):
        return head + "".join(_SUBSCRIPTS[character] for character in tail[:-1])
    return label


def edge_label(graph: nx.DiGraph, u: Hashable, v: Hashable) -> str:
    return f"{pretty(node_label(graph, u))} → {pretty(node_label(graph, v))}"


def node_label(graph: nx.DiGraph, node: Hashable) -> str:
    return svg.short(graph.nodes[node].get("label", node))


def mixture(space: Any, probabilities: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]) -> nx.DiGraph:
    """Returns the supergraph with the strongest operation on each searched edge, and the derived cell marked.

    Args:
        probabilities: part -> [E, O].
        kept: part -> [E, O], 1 where `best` keeps the operation (`space.one_hot(best)`).
    """
    graph = space.supergraph().copy()
    for u, _, data in graph.edges(data=True):
        if "row" not in data:
            continue
        name = graph.nodes[u]["part"]
        weights, chosen = probabilities[name][data["row"]], kept[name][data["row"]]
        data["kept"] = bool(chosen.any())
        strongest = int(chosen.argmax()) if data["kept"] else int(weights.argmax())
        data["op"], data["strength"] = space.operations[strongest], strength(float(weights[strongest]), len(weights))
    return graph


def strength(probability: float, operations: int) -> float:
    """Returns 0 for a probability of 1 / operations or less, 1 for a probability of 1.

    The square root makes the first small steps away from the uniform distribution visible.
    """
    share = np.log(max(probability, 1e-9) * operations) / np.log(max(operations, 2))
    return float(np.sqrt(np.clip(share, 0, 1)))


def _draw(group: svg.Element, name: str, part: nx.DiGraph, width: float, frame: nx.DiGraph | None) -> None:
    title = name if name == "cell" else f"{svg.short(name)} cell"
    svg.add(group, "text", title, x=8, y=17, font_size=13, font_weight=600, fill=svg.INK)
    body = svg.add(group, "g", transform=f"translate(0 {TITLE:g})")
    layout = cell_layout(part, width=width, frame=frame)
    hues = colours(sorted({str(data["op"]) for _, _, data in part.edges(data=True) if "op" in data}))
    for (u, v), route in sorted(layout.routes.items(), key=lambda item: bool(part.edges[item[0]].get("kept", True))):
        data = part.edges[u, v]
        kept, named = data.get("kept", True), "op" in data
        colour = hues[str(data["op"])][0] if named else svg.FAINT
        svg.add(
            body,
            "path",
            d=route.path,
            fill="none",
            stroke=colour,
            stroke_width=1.5 + 4.5 * float(data.get("strength", 0.4)) if named else 1.2,
            stroke_opacity=0.9 if kept and named else 0.25 if named else 0.6,
            stroke_linecap="round",
            **({} if named else {"stroke_dasharray": "3 4"}),
        )
    for (u, v), route in layout.routes.items():
        data = part.edges[u, v]
        if "op" in data and data.get("kept", True):
            _label(body, str(data["op"]), hues[str(data["op"])][0], *route.label)
    for node, (x, y) in layout.nodes.items():
        _node(body, part, node, x, y)


def _label(body: svg.Element, text: str, colour: str, x: float, y: float) -> None:
    text = svg.short(text)
    width = text_width(len(text))
    svg.add(
        body,
        "rect",
        x=x - width / 2,
        y=y - LABEL_HEIGHT / 2,
        width=width,
        height=LABEL_HEIGHT,
        rx=4,
        fill=svg.PAPER,
        stroke=colour,
    )
    svg.add(body, "text", text, x=x, y=y + 3.5, font_size=10, text_anchor="middle", fill=svg.INK)


def _node(body: svg.Element, part: nx.DiGraph, node: Hashable, x: float, y: float) -> None:
    role, operation = part.nodes[node].get("role", "node"), part.nodes[node].get("op")
    svg.add(
        body,
        "circle",
        cx=x,
        cy=y,
        r=RADIUS,
        fill="#eef1f4" if role == "node" else "#dce3ea",
        stroke="#57606a",
        stroke_width=1.2,
    )
    label = pretty(node_label(part, node))
    size = 11 if len(label) <= 4 else 8
    svg.add(body, "text", label, x=x, y=y + 4, font_size=size, text_anchor="middle", fill=svg.INK)
    if operation is not None:
        svg.add(
            body, "text", svg.short(operation), x=x, y=y + RADIUS + 11, font_size=10, text_anchor="middle", fill=svg.INK
        )


def to_dot(graph: nx.DiGraph) -> str:
    """Returns the Graphviz source of the same picture, for papers; works without `dot`."""
    lines = ["digraph cell {", "  rankdir=LR; node [shape=circle]; edge [fontsize=10];"]
    names = {node: f"n{position}" for position, node in enumerate(graph)}
    for number, part in enumerate(parts(graph).values()):
        lines.append(f"  subgraph cluster_{number} {{ color=none;")
        lines += [f"    {names[node]} [label={_quoted(node_label(graph, node))}];" for node in part]
        lines.append("  }")
    for u, v, data in graph.edges(data=True):
        label = f" [label={_quoted(str(data['op']))}]" if "op" in data else " [style=dashed]"
        lines.append(f"  {names[u]} -> {names[v]}{label};")
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    """Returns a quoted dot string, with all markup and escapes neutralized."""
    text = svg.short(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
    return f'"{text}"'
