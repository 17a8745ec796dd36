"""The graph of cells that read the two outputs before them: what NASNet's cells and ENAS's have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx


OUTPUT = "c_{k}"

Reads = Iterable[tuple[int, str]]
"""Of a node: (state, operation) of each input; states 0 and 1 are what the cell reads, state 2 is node 0."""


def state_names(part: str, nodes: int) -> list[str]:
    """Names of the states of a cell: its two inputs, then its nodes."""
    return [f"{part}/c_{{k-2}}", f"{part}/c_{{k-1}}", *(f"{part}/{node}" for node in range(nodes))]


def cell_graph(cells: Mapping[str, tuple[Sequence[Reads], Iterable[int]]]) -> nx.DiGraph:
    """Operations stand on the edges; two from one state to the same node are named together, `a + b`.

    Args:
        cells: part -> (what its nodes read, the states that are its output).
    """
    import networkx as nx

    graph = nx.DiGraph()
    for part, (nodes, output) in cells.items():
        names = state_names(part, len(nodes))
        for position, name in enumerate([*names, f"{part}/{OUTPUT}"]):
            role = "input" if position < 2 else "output" if position == len(names) else "node"
            graph.add_node(name, part=part, label=name.removeprefix(f"{part}/"), role=role)
        for name, reads in zip(names[2:], nodes, strict=True):
            for source, operation in reads:
                if graph.has_edge(names[source], name):
                    operation = f"{graph.edges[names[source], name]['op']} + {operation}"
                graph.add_edge(names[source], name, op=operation)
        graph.add_edges_from((names[state], f"{part}/{OUTPUT}") for state in output)
    return graph
