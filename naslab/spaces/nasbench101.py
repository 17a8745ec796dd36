"""NAS-Bench-101: 423,624 cells whose training is tabulated (Ying et al. 2019, https://arxiv.org/abs/1902.09635).

A cell is a graph of at most seven vertices and nine edges. The first vertex is the input, the last the output, and one
of three operations stands at each vertex between them; every vertex lies on a path from the input to the output. The
choices are asked so that this cannot fail: how many vertices; then for each of them which earlier ones it reads (one at
least, and not so many that the later ones cannot be joined) and its operation; the output reads every vertex that
nothing else reads, and any others.

Differences from the paper: it draws 21 edges and five operations at random, until there is a path and are few enough
edges, and prunes what leads nowhere; here nothing is rejected or pruned, and a draw is uniform choice by choice, so
that cells with few vertices are much more frequent (every sixth has none but input and output). A cell can be written
in several ways in either form, on average in three; `canonical` says which ones are the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from naslab.architecture import Architecture, Choice, Prefix
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.nasbench101 import NASBENCH101_OPERATIONS, NASBench101Network
from naslab.spaces.requirements import asked
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "cell"
OPERATIONS = tuple(NASBENCH101_OPERATIONS)
INPUT, OUTPUT = "input", "output"
MAX_VERTICES = 10
"""A vertex with nine before it has 511 sets of inputs to choose from; the benchmark stops at seven vertices."""


class Grown(NamedTuple):
    """What of a cell without its last vertices matters for the vertices to come."""

    vertices: int
    """How many the cell is to have."""
    vertex: int
    """The one that is to choose its inputs next."""
    edges: int
    """So far."""
    loose: frozenset[int]
    """Vertices that nothing reads yet."""

    def least(self) -> int:
        """The fewest edges of any cell that this can become: one into each vertex to come, and a further one into the
        output for each loose vertex but one."""
        return self.edges + self.vertices - self.vertex + max(len(self.loose) - 1, 0)

    def reading(self, inputs: Sequence[int]) -> Grown:
        """After the next vertex has chosen these inputs."""
        return Grown(
            self.vertices, self.vertex + 1, self.edges + len(inputs), self.loose.difference(inputs) | {self.vertex}
        )


@lru_cache(maxsize=4096)
def _inputs(grown: Grown, most: int) -> Choice:
    """Which earlier vertices the next one reads, in a cell of so many edges at most."""
    earlier = range(grown.vertex)
    sets = itertools.chain.from_iterable(itertools.combinations(earlier, n) for n in range(1, grown.vertex + 1))
    if grown.vertex < grown.vertices - 1:
        return Choice(
            f"{PART}/{grown.vertex}/inputs",
            tuple(_written(inputs) for inputs in sets if grown.reading(inputs).least() <= most),
        )
    room = most - grown.edges
    return Choice(
        f"{PART}/{OUTPUT}/inputs",
        tuple(_written(inputs) for inputs in sets if len(inputs) <= room and grown.loose.issubset(inputs)),
    )


def _written(inputs: Sequence[int]) -> str:
    return ",".join(map(str, inputs))


def _read(inputs: Any) -> list[int]:
    return [int(source) for source in str(inputs).split(",")]


@dataclass(frozen=True)
class NASBench101(Space):
    """One cell: a small graph with an operation at each vertex."""

    name: ClassVar[str] = "nasbench101"

    vertices: int = 7
    """At most, with the input and the output."""
    edges: int = 9
    """At most."""
    channels: int = 128
    """Of the first of three stages; the later ones have 2 and 4 times as many."""
    cells: int = 3
    """Of each stage."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "vertices", "edges", "channels", "cells")
        if not 2 <= self.vertices <= MAX_VERTICES:
            raise SpecError(f"a cell has an input, an output and at most {MAX_VERTICES} vertices, not {self.vertices}")

    @classmethod
    def paper(cls) -> NASBench101:
        """The sizes of the benchmark."""
        return cls()

    @classmethod
    def laptop(cls) -> NASBench101:
        """Small enough to train a cell in seconds."""
        return cls(channels=16, cells=1)

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        if not prefix:
            return Choice(f"{PART}/vertices", tuple(range(2, min(self.vertices, self.edges + 1) + 1)))
        grown = self._grown(prefix)
        if grown.vertex == grown.vertices:
            return None
        if len(prefix) > 1 and len(prefix) % 2 == 0:
            return Choice(f"{PART}/{grown.vertex - 1}/op", OPERATIONS)
        return _inputs(grown, self.edges)

    def future(self, prefix: Prefix) -> Hashable:
        """Which of the vertices are loose does not matter, only how many."""
        if not prefix:
            return None
        vertices, vertex, edges, loose = self._grown(prefix)
        return vertices, vertex, edges, len(loose), len(prefix) % 2

    @staticmethod
    def _grown(prefix: Prefix) -> Grown:
        grown = Grown(int(prefix[0]), 1, 0, frozenset())
        for inputs in prefix[1::2]:
            grown = grown.reading(_read(inputs))
        return grown

    # --- the published form ----------------------------------------------------------------------

    def cell(self, architecture: Architecture) -> tuple[np.ndarray, tuple[str, ...]]:
        """The adjacency matrix, [V, V] int8 with 1 at (source, target), and an operation for each vertex, the first
        of which is "input" and the last "output"."""
        architecture = self.check(architecture)
        matrix = np.zeros((int(architecture.choices[0]),) * 2, dtype=np.int8)
        for vertex, inputs in enumerate(architecture.choices[1::2], start=1):
            matrix[_read(inputs), vertex] = 1
        return matrix, (INPUT, *(str(operation) for operation in architecture.choices[2::2]), OUTPUT)

    def from_cell(self, matrix: Any, operations: Sequence[str]) -> Architecture:
        """The architecture of a published cell; what lies on no path from the input to the output is pruned.

        Raises `SpecError`, and nothing else, on anything that is no cell of this space.
        """
        edges = _adjacency(matrix, operations)
        kept = _on_a_path(edges)
        if not kept:
            raise SpecError(f"{self.name}: no path leads from the input to the output of this cell: {edges.tolist()}")
        edges = edges[np.ix_(kept, kept)]
        choices: list[str | int] = [len(kept)]
        for vertex in range(1, len(kept)):
            choices.append(_written(np.flatnonzero(edges[:, vertex]).tolist()))
            if vertex < len(kept) - 1:
                choices.append(str(operations[kept[vertex]]))
        if (count := int(edges.sum())) > self.edges or len(kept) > self.vertices:
            raise SpecError(
                f"{self.name}: this cell has {len(kept)} vertices and {count} edges, "
                f"the space at most {self.vertices} and {self.edges}"
            )
        return self.architecture(choices)

    def canonical(self, architecture: Architecture) -> str:
        """The benchmark's key of the cell: 32 hexadecimal digits, the same for all ways to write it."""
        matrix, operations = self.cell(architecture)
        return cell_hash(matrix, [-1, *(OPERATIONS.index(operation) for operation in operations[1:-1]), -2])

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """The operations stand at the nodes."""
        import networkx as nx

        matrix, operations = self.cell(architecture)
        graph = nx.DiGraph()
        for vertex, operation in enumerate(operations):
            role = operation if operation in (INPUT, OUTPUT) else "node"
            graph.add_node(f"{PART}/{vertex}", part=PART, label=str(vertex), role=role)
            if role == "node":
                graph.nodes[f"{PART}/{vertex}"]["op"] = operation
        graph.add_edges_from((f"{PART}/{source}", f"{PART}/{target}") for source, target in np.argwhere(matrix))
        return graph

    def build(
        self, architecture: Architecture, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> NASBench101Network:
        """The benchmark's network; `cells` is the number in each of the three stages."""
        matrix, operations = self.cell(architecture)
        return NASBench101Network(
            matrix,
            operations[1:-1],
            *asked(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )


def _adjacency(matrix: Any, operations: Sequence[str]) -> np.ndarray:
    """The matrix as an array, if the two describe a graph."""
    try:
        edges = np.asarray(matrix)
        square = edges.shape == (len(operations),) * 2 and len(edges) > 1
        if square and np.isin(edges, (0, 1)).all() and not np.tril(edges).any():
            return edges.astype(np.int8)
    except (TypeError, ValueError):
        pass
    raise SpecError(
        "a cell is a square matrix of 0 and 1, nothing but 0 on and below its diagonal, and an operation for each "
        f"vertex; got {matrix!r:.200} and {operations!r:.200}"
    )


def _on_a_path(matrix: np.ndarray) -> list[int]:
    """The vertices on a path from the first to the last, in order; none if there is no path."""
    forward, backward = {0}, {len(matrix) - 1}
    for vertex in range(1, len(matrix)):
        if forward.intersection(np.flatnonzero(matrix[:, vertex]).tolist()):
            forward.add(vertex)
    for vertex in range(len(matrix) - 2, -1, -1):
        if backward.intersection(np.flatnonzero(matrix[vertex]).tolist()):
            backward.add(vertex)
    kept = sorted(forward & backward)
    return kept if len(kept) > 1 else []


def cell_hash(matrix: np.ndarray, labels: Sequence[int]) -> str:
    """The isomorphism-invariant hash of a graph [V, V] with labelled vertices, digit for digit the benchmark's.

    A vertex begins as the hash of (edges out of it, edges into it, its label); V times it becomes the hash of its
    predecessors' hashes, its successors' (both sorted) and its own; the graph is the hash of all of them, sorted.
    """
    vertices = range(len(labels))
    before = [[source for source in vertices if matrix[source, vertex]] for vertex in vertices]
    after = [[target for target in vertices if matrix[vertex, target]] for vertex in vertices]
    hashes = [_digest((len(after[v]), len(before[v]), int(labels[v]))) for v in vertices]
    for _ in vertices:
        hashes = [
            _digest(
                "|".join(
                    ("".join(sorted(hashes[s] for s in before[v])), "".join(sorted(hashes[t] for t in after[v])), own)
                )
            )
            for v, own in enumerate(hashes)
        ]
    return _digest(sorted(hashes))


def _digest(value: object) -> str:
    return md5(str(value).encode(), usedforsecurity=False).hexdigest()
