"""Hierarchical representations (Liu et al. 2018, https://arxiv.org/abs/1711.00436, Sec. 2).

Level 1 is six primitive operations. Level 2 is six motifs of four nodes, with a primitive operation or none on each of
their 6 edges. Level 3 is the cell: five nodes, with a motif or none on each of its 10 edges. That is 7^36 * 7^10 =
7.5e38 genotypes; many are the same network, because edges that lie on no path from input to output are dropped.

The mutation is the paper's (Sec. 3.1): it draws uniformly a level above the first, a motif of that level, a node, an
earlier node, and a new operation for the edge between them. Difference: the operation is never the old one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.hierarchical import MERGES, HierarchicalNetwork, edges_on_paths
from naslab.operations.hierarchical import PRIMITIVES
from naslab.randomness import generator_of
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

CELL = "cell"
NONE = "none"
MAX_NODES, MAX_MOTIFS = 16, 16


def _motif(number: int) -> str:
    return f"motif_{number}"


@dataclass(frozen=True)
class Hierarchical(FixedSpace):
    """A cell whose edges are motifs, which are small graphs of primitive operations."""

    name: ClassVar[str] = "hierarchical"
    reads = frozenset({"image"})

    motifs: int = 6
    """Number of motifs of level 2."""
    nodes: int = 4
    """Number of nodes of a motif, its input and output included."""
    cell_nodes: int = 5
    """Number of nodes of the cell, its input and output included."""
    channels: int = 16
    """Channels of the first of three groups of cells; doubled by each later one."""
    cells: int = 1
    """Number of cells in each of three groups."""
    merge: str = "concat"
    """Operation that merges the inputs of a node: "concat" (followed by a 1 x 1 convolution) or "sum"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "motifs", "nodes", "cell_nodes", "channels", "cells")
        sizes.one_of("merge", self.merge, MERGES)
        if self.motifs > MAX_MOTIFS:
            raise SpecError(f"there are at most {MAX_MOTIFS} motifs, not {self.motifs}")
        for name in ("nodes", "cell_nodes"):
            if not 2 <= getattr(self, name) <= MAX_NODES:
                raise SpecError(f"{name} is a number from 2 (input and output) to {MAX_NODES}")

    @classmethod
    def paper(cls) -> Hierarchical:
        """Returns the space of the paper's search on CIFAR-10."""
        return cls()

    @classmethod
    def laptop(cls) -> Hierarchical:
        """Returns a space with three motifs of three nodes in a cell of four."""
        return cls(motifs=3, nodes=3, cell_nodes=4, channels=8)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        primitives = (NONE, *PRIMITIVES)
        motifs = tuple(_motif(number) for number in range(1, self.motifs + 1))
        choices = [
            Choice(f"{motif}/{source}_{node}", primitives) for motif in motifs for source, node in _pairs(self.nodes)
        ]
        choices += [Choice(f"{CELL}/{source}_{node}", (NONE, *motifs)) for source, node in _pairs(self.cell_nodes)]
        return choices

    @cached_property
    def _places(self) -> dict[str, int]:
        """Name of a choice -> its position."""
        return {choice.name: place for place, choice in enumerate(self._choices)}

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns a copy with one edge of the cell or of one motif changed; see the module."""
        rng = generator_of(rng)
        architecture = self.check(architecture)
        # First the level, then the motif: the cell changes as often as all motifs together, although it is smaller.
        part = CELL if rng.integers(2) else _motif(1 + int(rng.integers(self.motifs)))
        node = 1 + int(rng.integers((self.cell_nodes if part == CELL else self.nodes) - 1))
        place = self._places[f"{part}/{rng.integers(node)}_{node}"]
        others = [option for option in self._choices[place].options if option != architecture.choices[place]]
        new = others[rng.integers(len(others))]
        return Architecture(self.name, (*architecture.choices[:place], new, *architecture.choices[place + 1 :]))

    def identity(self) -> Architecture:
        """Returns the trivial genotype: every motif is a chain of identities, and the cell a chain of the first motif.

        The paper diversifies its first population from it by 1000 random mutations.
        """
        chain = {f"{source}_{source + 1}" for source in range(MAX_NODES)}
        first = {CELL: _motif(1)}
        parts = [choice.name.split("/") for choice in self._choices]
        return self.architecture([first.get(part, "identity") if edge in chain else NONE for part, edge in parts])

    def motifs_of(self, architecture: Architecture) -> dict[str, dict[tuple[int, int], str]]:
        """Returns part -> (source, target) -> operation, for the cell and the motifs that it uses.

        Edges that lie on no path from input to output are left out; so are motifs without any path, which count as
        "none" in the cell.
        """
        edges: dict[str, dict[tuple[int, int], str]] = {CELL: {}}
        for name, value in self.answers(architecture).items():
            part, edge = name.split("/")
            source, target = edge.split("_")
            if value != NONE:
                edges.setdefault(part, {})[int(source), int(target)] = str(value)
        motifs = {part: edges_on_paths(inside, self.nodes) for part, inside in edges.items() if part != CELL}
        alive = {edge: motif for edge, motif in edges[CELL].items() if motifs.get(motif)}
        cell = edges_on_paths(alive, self.cell_nodes)
        return {CELL: cell, **{part: inside for part, inside in motifs.items() if part in cell.values()}}

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph of the cell and of the motifs that it uses, each a part, with operations on the edges."""
        import networkx as nx

        graph = nx.DiGraph()
        for part, edges in self.motifs_of(architecture).items():
            nodes = self.cell_nodes if part == CELL else self.nodes
            for node in range(nodes):
                role = "input" if node == 0 else "output" if node == nodes - 1 else "node"
                graph.add_node(f"{part}/{node}", part=part, label=str(node), role=role)
            for (source, target), operation in edges.items():
                graph.add_edge(f"{part}/{source}", f"{part}/{target}", op=operation)
        return graph

    def build(
        self, architecture: Architecture, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> HierarchicalNetwork:
        motifs = self.motifs_of(architecture)
        return HierarchicalNetwork(
            motifs.pop(CELL),
            motifs,
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
            merge=self.merge,
        )


def _pairs(nodes: int) -> list[tuple[int, int]]:
    """Returns (source, node) of every possible edge, node after node."""
    return [(source, node) for node in range(1, nodes) for source in range(node)]
