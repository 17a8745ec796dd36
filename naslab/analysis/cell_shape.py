"""Width and depth of a cell (Shu, Wang & Cai 2020, https://arxiv.org/abs/1909.09569, Sec. 3.1).

    depth   number of connections on the longest path from an input to the output
    width   sum over the intermediate nodes of the share of a node's connections that come from inputs, in units of the
            width c of a node: 1 for a node that reads only inputs, 1/2 for one that reads an input and a node

Values of the paper for published cells (width and depth): NASNet 5c and 2, ENAS 5c and 2, SNAS 4c and 2, DARTS (second
order) 3.5c and 3, AmoebaNet 4c and 4. All of them are wide and shallow.

The graph of any space can be measured. An edge with the operation "none" is no connection; a node on no path from an
input to the output is ignored, and a cell without any such path has width 0 and depth 0. Two connections between the
same nodes count as one.
"""

from __future__ import annotations

from collections.abc import Hashable
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.networks.genotype import Genotype
from naslab.spaces.space import Space

if TYPE_CHECKING:
    import networkx as nx

NO_CONNECTION = "none"


class CellShape(NamedTuple):
    """Width and depth of one cell."""

    width: float
    """Width in units of a node's width."""
    depth: int
    """Depth in connections."""
    nodes: int
    """Number of intermediate nodes on a path from an input to the output, the largest possible width."""
    reach: int
    """Sum over these nodes of the longest path to each, in connections. It distinguishes cells of equal depth."""

    def __str__(self) -> str:
        return f"{self.width:g}c wide, {self.depth} deep"


def cell_shapes(space: Space, architecture: Architecture) -> dict[str, CellShape]:
    """Returns part -> shape of that cell, the parts being `"normal"` and `"reduce"`, for instance."""
    return {name: cell_shape(part) for name, part in parts(space.graph(architecture)).items()}


def genotype_shapes(genotype: Genotype) -> dict[str, CellShape]:
    """Returns the same for a published cell."""
    return {part: cell_shape(genotype_graph(genotype, part)) for part in ("normal", "reduce")}


def cell_shape(graph: nx.DiGraph) -> CellShape:
    """Returns the shape of one cell, whose nodes have the attribute `role`: "input", "node" or "output"."""
    roles = dict(graph.nodes(data="role", default="node"))
    if not {"input", "output"} <= set(roles.values()):
        raise SpecError(
            "a cell needs nodes with the roles 'input' and 'output', as space.graph(architecture) gives them; "
            f"these have {sorted(set(map(str, roles.values())))}"
        )
    sources = connections(graph)
    depth: dict[Hashable, int] = {}
    width, between = 0.0, []
    for node, read in sources.items():
        depth[node] = 1 + max((depth[source] for source in read), default=-1)
        if roles[node] == "node":
            between.append(node)
            width += sum(roles[source] == "input" for source in read) / len(read)
    outputs = [depth[node] for node in sources if roles[node] == "output"]
    return CellShape(width, max(outputs, default=0), len(between), sum(depth[node] for node in between))


def connections(graph: nx.DiGraph) -> dict[Hashable, list[Hashable]]:
    """Returns each node on a path from an input to an output, in topological order -> the nodes that it reads. Edges
    with the operation "none" are left out.
    """
    edges = [(u, v) for u, v, op in graph.edges(data="op") if op != NO_CONNECTION]
    sources: dict[Hashable, list[Hashable]] = {node: [] for node in graph}
    for source, node in edges:
        sources[node].append(source)
    try:
        order = list(TopologicalSorter(sources).static_order())
    except CycleError:
        raise SpecError("the graph of a cell has no cycles, and this one has") from None
    roles = graph.nodes(data="role")
    # A node is on such a path if it is reachable from an input (forwards) and reaches an output (backwards).
    fed, read = set[Hashable](), set[Hashable]()
    for node in order:
        if roles[node] == "input" or fed.intersection(sources[node]):
            fed.add(node)
    for node in reversed(order):
        if roles[node] == "output" or node in read:
            read.add(node)
            read.update(sources[node])
    alive = fed & read
    return {node: [source for source in sources[node] if source in alive] for node in order if node in alive}


def parts(graph: nx.DiGraph) -> dict[str, nx.DiGraph]:
    """Returns part -> its subgraph, in the order of the nodes."""
    named = [(str(data.get("part", "cell")), node) for node, data in graph.nodes(data=True)]
    return {
        name: graph.subgraph([node for part, node in named if part == name])
        for name in dict.fromkeys(part for part, _ in named)
    }


def genotype_graph(genotype: Genotype, part: str) -> nx.DiGraph:
    """Returns the cell as a graph: inputs 0 and 1, nodes 2, 3, ..., output -1. Two operations between the same nodes
    are one edge, named "first + second".
    """
    import networkx as nx

    graph = nx.DiGraph()
    nodes = genotype.nodes(part)
    for state in range(2 + len(nodes)):
        graph.add_node(state, part=part, label=str(state), role="input" if state < 2 else "node")
    graph.add_node(-1, part=part, label="c_{k}", role="output")
    for state, entries in enumerate(nodes, start=2):
        for operation, source in entries:
            if graph.has_edge(source, state):
                operation = f"{graph.edges[source, state]['op']} + {operation}"
            graph.add_edge(source, state, op=operation)
    graph.add_edges_from((state, -1) for state in getattr(genotype, f"{part}_concat"))
    return graph
