"""Graphs of cells whose two inputs are the outputs of the two preceding cells, as in NASNet and ENAS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx


OUTPUT = "c_{k}"
"""Label of the output of cell k, in the notation of DARTS; the inputs are c_{k-2} and c_{k-1}."""

Reads = Iterable[tuple[int, str]]
"""(state, operation) of each input of a node. States 0 and 1 are the inputs of the cell, state 2 is node 0."""


def state_names(part: str, nodes: int) -> list[str]:
    """Returns the names of the states of a cell: its two inputs, then its nodes."""
    return [f"{part}/c_{{k-2}}", f"{part}/c_{{k-1}}", *(f"{part}/{node}" for node in range(nodes))]


def cell_graph(cells: Mapping[str, tuple[Sequence[Reads], Iterable[int]]]) -> nx.DiGraph:
    """Returns the graph of all cells, with the operations as attribute `op` of the edges.

    A graph has one edge from a state to a node, so two operations between them are joined as `a + b`.

    Args:
        cells: part -> (inputs of each node, states that the output of the cell concatenates).
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
