"""NAS-Bench-101: 423,624 cells whose training is tabulated (Ying et al. 2019, https://arxiv.org/abs/1902.09635).

A cell is a directed acyclic graph of at most seven vertices and nine edges. The first vertex is the input, the last the
output, and each vertex between them has one of three operations; every vertex lies on a path from the input to the
output. The choices are ordered so that only such cells can arise: the number of vertices; then for each vertex the
earlier ones that it reads (at least one, and not so many that too few edges are left to connect the later vertices) and
its operation; the output reads every vertex that no other reads, and possibly more.

Differences from the paper: the authors draw 21 edges and five operations at random, reject cells without a path or with
too many edges, and prune vertices that lie on no path. Here nothing is rejected or pruned, and sampling is uniform for
each choice, so that cells with few vertices are much more frequent (one in six has only input and output). A cell has
several descriptions in either form, three on average: 1,293,208 sequences of choices for 423,624 cells. `canonical`
identifies them.
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
from naslab.spaces.requirements import requirements_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "cell"
OPERATIONS = tuple(NASBENCH101_OPERATIONS)
INPUT, OUTPUT = "input", "output"
MAX_VERTICES = 10
"""Limit of `vertices`: a vertex behind nine others has 511 sets of inputs. The benchmark stops at seven vertices."""


class PartialCell(NamedTuple):
    """The part of an incomplete cell that the choices of later vertices depend on."""

    vertices: int
    """Number of vertices of the complete cell."""
    vertex: int
    """Vertex whose inputs are chosen next."""
    edges: int
    """Number of edges so far."""
    loose_ends: frozenset[int]
    """Vertices that nothing reads yet."""

    def fewest_edges(self) -> int:
        """Returns the smallest number of edges of any completion.

        Each later vertex needs an edge into it. The last loose end is read by the next vertex at no extra cost; each
        other one needs a further edge.
        """
        return self.edges + self.vertices - self.vertex + max(len(self.loose_ends) - 1, 0)

    def with_vertex(self, inputs: Sequence[int]) -> PartialCell:
        """Returns the partial cell after the next vertex has chosen these inputs."""
        return PartialCell(
            self.vertices, self.vertex + 1, self.edges + len(inputs), self.loose_ends.difference(inputs) | {self.vertex}
        )


@lru_cache(maxsize=4096)
def _inputs(partial: PartialCell, max_edges: int) -> Choice:
    """Returns the choice of the earlier vertices that the next one reads, in a cell of at most `max_edges` edges."""
    earlier = range(partial.vertex)
    sets = itertools.chain.from_iterable(itertools.combinations(earlier, n) for n in range(1, partial.vertex + 1))
    if partial.vertex < partial.vertices - 1:
        return Choice(
            f"{PART}/{partial.vertex}/inputs",
            tuple(_format_inputs(inputs) for inputs in sets if partial.with_vertex(inputs).fewest_edges() <= max_edges),
        )
    room = max_edges - partial.edges  # the output: it must read all loose ends
    return Choice(
        f"{PART}/{OUTPUT}/inputs",
        tuple(_format_inputs(inputs) for inputs in sets if len(inputs) <= room and partial.loose_ends.issubset(inputs)),
    )


def _format_inputs(inputs: Sequence[int]) -> str:
    return ",".join(map(str, inputs))


def _parse_inputs(inputs: Any) -> list[int]:
    return [int(source) for source in str(inputs).split(",")]


@dataclass(frozen=True)
class NASBench101(Space):
    """One cell: a small graph with an operation at each vertex."""

    name: ClassVar[str] = "nasbench101"
    reads = frozenset({"image"})

    vertices: int = 7
    """Maximal number of vertices, input and output included."""
    edges: int = 9
    """Maximal number of edges."""
    channels: int = 128
    """Channels of the first of three stages; the later ones have 2 and 4 times as many."""
    cells: int = 3
    """Number of cells in each stage."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "vertices", "edges", "channels", "cells")
        if not 2 <= self.vertices <= MAX_VERTICES:
            raise SpecError(f"a cell has an input, an output and at most {MAX_VERTICES} vertices, not {self.vertices}")

    @classmethod
    def paper(cls) -> NASBench101:
        """Returns the space of the benchmark."""
        return cls()

    @classmethod
    def laptop(cls) -> NASBench101:
        """Returns a space whose cells can be trained in seconds."""
        return cls(channels=16, cells=1)

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        if not prefix:
            # n vertices on paths need at least n - 1 edges
            return Choice(f"{PART}/vertices", tuple(range(2, min(self.vertices, self.edges + 1) + 1)))
        partial = self._partial_cell(prefix)
        if partial.vertex == partial.vertices:
            return None
        # After the number of vertices, inputs (odd positions) and operations (even positions) alternate.
        if len(prefix) > 1 and len(prefix) % 2 == 0:
            return Choice(f"{PART}/{partial.vertex - 1}/op", OPERATIONS)
        return _inputs(partial, self.edges)

    def future(self, prefix: Prefix) -> Hashable:
        """Returns the state of the partial cell: which vertices are loose ends does not matter, only how many."""
        if not prefix:
            return None
        vertices, vertex, edges, loose_ends = self._partial_cell(prefix)
        return vertices, vertex, edges, len(loose_ends), len(prefix) % 2

    @staticmethod
    def _partial_cell(prefix: Prefix) -> PartialCell:
        partial = PartialCell(int(prefix[0]), 1, 0, frozenset())
        for inputs in prefix[1::2]:
            partial = partial.with_vertex(_parse_inputs(inputs))
        return partial

    # --- the published form ----------------------------------------------------------------------

    def cell(self, architecture: Architecture) -> tuple[np.ndarray, tuple[str, ...]]:
        """Returns the adjacency matrix, [V, V] int8 with 1 at (source, target), and the operation of each vertex.

        The first operation is "input", the last "output".
        """
        architecture = self.check(architecture)
        matrix = np.zeros((int(architecture.choices[0]),) * 2, dtype=np.int8)
        for vertex, inputs in enumerate(architecture.choices[1::2], start=1):
            matrix[_parse_inputs(inputs), vertex] = 1
        return matrix, (INPUT, *(str(operation) for operation in architecture.choices[2::2]), OUTPUT)

    def from_cell(self, matrix: Any, operations: Sequence[str]) -> Architecture:
        """Returns the architecture of a published cell; vertices on no path from input to output are pruned.

        Args:
            matrix: [V, V] of 0 and 1 above the diagonal, 1 at (source, target).
            operations: V operations; the first and the last are not read.

        Raises:
            SpecError: on anything that is no cell of this space.
        """
        edges = _adjacency(matrix, operations)
        kept = _on_a_path(edges)
        if not kept:
            raise SpecError(f"{self.name}: no path leads from the input to the output of this cell: {edges.tolist()}")
        edges = edges[np.ix_(kept, kept)]
        choices: list[str | int] = [len(kept)]
        for vertex in range(1, len(kept)):
            choices.append(_format_inputs(np.flatnonzero(edges[:, vertex]).tolist()))
            if vertex < len(kept) - 1:
                choices.append(str(operations[kept[vertex]]))
        if (count := int(edges.sum())) > self.edges or len(kept) > self.vertices:
            raise SpecError(
                f"{self.name}: this cell has {len(kept)} vertices and {count} edges, "
                f"the space at most {self.vertices} and {self.edges}"
            )
        return self.architecture(choices)

    def canonical(self, architecture: Architecture) -> str:
        """Returns the benchmark's key of the cell: 32 hexadecimal digits that are equal for isomorphic cells."""
        matrix, operations = self.cell(architecture)
        # The labels -1 and -2 of input and output are the benchmark's, without which the hashes would differ from its.
        return cell_hash(matrix, [-1, *(OPERATIONS.index(operation) for operation in operations[1:-1]), -2])

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the operations at its nodes."""
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
        """Returns the benchmark's network; `cells` is the number in each of the three stages."""
        matrix, operations = self.cell(architecture)
        return NASBench101Network(
            matrix,
            operations[1:-1],
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )


def _adjacency(matrix: Any, operations: Sequence[str]) -> np.ndarray:
    """Returns the matrix as int8. Raises `SpecError` unless both together describe a graph."""
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
    """Returns the vertices on a path from the first to the last, in order; empty if there is no path."""
    # reachable from the input, and vertices from which the output is reachable; the order of vertices is topological
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
    """Returns an isomorphism-invariant hash of a graph with labelled vertices, digit for digit the benchmark's.

    This is the Weisfeiler-Lehman refinement: the hash of a vertex begins as that of (out-degree, in-degree, label); in
    each of V rounds it is replaced by the hash of its predecessors' hashes, its successors' (both sorted) and itself.
    The graph is the hash of all vertex hashes, sorted.

    Args:
        matrix: [V, V], not 0 at (source, target) of an edge.
        labels: label of each vertex.
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
    # The text of Python's tuples and lists is part of the published hash.
    return md5(str(value).encode(), usedforsecurity=False).hexdigest()
