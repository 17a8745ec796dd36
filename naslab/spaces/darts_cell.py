"""The cells of DARTS (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 2.1).

An architecture is two cells, normal and reduction. Each of N nodes of a cell reads two of the earlier states (states 0
and 1 are the outputs of the two preceding cells, state 2 + n is node n), each through an operation, and is the sum of
the two results. The output of the cell is the concatenation of all nodes.

Node n chooses 2 of 2 + n states and 2 of K operations, so that a cell has  prod over n of C(2 + n, 2) K^2  forms: with
4 nodes and 7 operations 180 * 7^8 = 1.0e9, and there are 1.1e18 pairs of cells, as in the paper.

`DartsCellAllEdges` holds the cells of SNAS (Xie et al. 2019, https://arxiv.org/abs/1812.09926), whose nodes read every
earlier state, each through an operation, which may be "none": K^28 pairs of cells with 4 nodes (K counts "none").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from naslab.architecture import MAX_CHOICES, Architecture, Choice
from naslab.errors import SpecError, unknown
from naslab.networks.genotype import Genotype
from naslab.networks.single_path import SinglePathDarts
from naslab.spaces.darts_cells import PARTS, DartsCells
from naslab.spaces.requirements import requirements_of
from naslab.spaces.weight_sharing import weight_matrices
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class DartsCell(DartsCells):
    """A normal and a reduction cell in which every node reads two states, each through an operation.

    `"none"` takes part in the mixture of the supernet but is never kept.
    """

    name: ClassVar[str] = "darts_cell"
    reads = frozenset({"image"})

    def all_edges(self) -> DartsCellAllEdges:
        """Returns the space with the same supernet whose architectures keep every edge."""
        return DartsCellAllEdges(self.nodes, self.operations, self.channels, self.cells)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        # The two inputs are one choice of a pair, so that no pair occurs in two orders and none reads one state twice.
        choices = []
        for part, node in itertools.product(PARTS, range(self.nodes)):
            pairs = tuple(f"{first},{second}" for first, second in itertools.combinations(range(2 + node), 2))
            choices.append(Choice(f"{part}/{node}/inputs", pairs))
            choices.append(Choice(f"{part}/{node}/op_0", self.kept_operations))
            choices.append(Choice(f"{part}/{node}/op_1", self.kept_operations))
        return choices

    def entries(self, architecture: Architecture) -> dict[str, list[tuple[str, int]]]:
        """Returns part -> (operation, input) of the two edges of each node, as in a genotype; inputs ascend."""
        answers = self.answers(architecture)
        entries: dict[str, list[tuple[str, int]]] = {part: [] for part in PARTS}
        for part, node in itertools.product(PARTS, range(self.nodes)):
            for position, source in enumerate(str(answers[f"{part}/{node}/inputs"]).split(",")):
                entries[part].append((str(answers[f"{part}/{node}/op_{position}"]), int(source)))
        return entries

    # --- the published form ----------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> Genotype:
        """Returns the published form; the two entries of a node are in the order of their inputs."""
        entries = self.entries(architecture)
        return Genotype(tuple(entries["normal"]), self._concat, tuple(entries["reduce"]), self._concat)

    def from_genotype(self, genotype: Any) -> Architecture:
        """Returns the architecture of a genotype. The order of a node's two entries has no meaning and is lost."""
        genotype = Genotype.parse(genotype)
        choices: list[str] = []
        for part in PARTS:
            for position, node in enumerate(self._nodes_of(genotype, part)):
                if len(node) != 2:
                    raise self._not_here(
                        f"node {position} of {part!r} reads {len(node)} states, and here it is two. The space "
                        f"nl.spaces.{DartsCellAllEdges.__name__} holds cells with all edges"
                    )
                for operation, source in node:
                    if operation not in self.kept_operations:
                        found = unknown("operation", operation, self.kept_operations)
                        raise self._not_here(f"node {position} of {part!r}, from {source}: {found}")
                (first_op, first), (second_op, second) = sorted(node, key=lambda entry: entry[1])
                if first == second:
                    raise self._not_here(f"node {position} of {part!r} reads input {first} twice")
                choices += [f"{first},{second}", first_op, second_op]
        return self.architecture(choices)

    # --- from mixture weights to an architecture, and back ---------------------------------------

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """Returns the architecture that keeps for each node its two strongest edges (Liu et al. 2019, Sec. 2.4).

        The strength of an edge is the largest weight of its operations, `"none"` excluded; that operation is kept. The
        earlier edge and the earlier operation win ties.
        """
        columns = [self.operations.index(operation) for operation in self.kept_operations]
        matrices = weight_matrices(weights, self.edges(), len(self.operations))
        choices: list[str] = []
        for part, node in itertools.product(PARTS, range(self.nodes)):
            # [edges into the node, kept operations]
            kept = matrices[part][self._row(node, 0) : self._row(node + 1, 0), columns]
            # negated for descending order; stable, so that the earlier edge wins a tie on every platform
            strongest = np.argsort(-kept.max(axis=1), kind="stable")[:2]
            first, second = sorted(strongest.tolist())
            choices.append(f"{first},{second}")
            choices += [self.kept_operations[kept[source].argmax()] for source in (first, second)]
        return self.architecture(choices)

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        matrices = {}
        for part, entries in self.entries(architecture).items():
            matrix = np.zeros((self.edges()[part], len(self.operations)), dtype=np.float32)
            for position, (operation, source) in enumerate(entries):
                matrix[self._row(position // 2, source), self.operations.index(operation)] = 1
            matrices[part] = matrix
        return matrices

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        graph = self._nodes_and_outputs()
        for part, entries in self.entries(architecture).items():
            names = self._state_names(part)
            for position, (operation, source) in enumerate(entries):
                node = position // 2
                graph.add_edge(names[source], names[2 + node], op=operation, row=self._row(node, source))
        return graph

    def layers_of(self, architecture: Architecture) -> dict[str, list[tuple[str, int]]]:
        """Returns the two cells, as `entries` does."""
        return self.entries(architecture)

    def shared_weights(
        self, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> SinglePathDarts:
        """Returns the shared weights of all architectures; the argument `layers_of(architecture)` selects one."""
        return SinglePathDarts(
            self.kept_operations,
            self.nodes,
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )


@dataclass(frozen=True)
class DartsCellAllEdges(DartsCells):
    """A normal and a reduction cell whose nodes read every earlier state; `"none"` removes an edge.

    The authors of SNAS train such cells (https://github.com/SNAS-Series/SNAS-Series, SNAS/train_edge_all.py and the
    genotypes SNAS_..._edge_all). The supernet is that of `DartsCell`.
    """

    name: ClassVar[str] = "darts_cell_all_edges"
    reads = frozenset({"image"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if 2 * self._row(self.nodes, 0) > MAX_CHOICES:
            raise SpecError(f"{self.nodes} nodes have more edges than an architecture has choices, {MAX_CHOICES}")

    def all_edges(self) -> DartsCellAllEdges:
        """Returns the space itself."""
        return self

    def each_choice(self) -> Iterable[Choice]:
        return [
            Choice(f"{part}/{node}/from_{source}", self.operations)
            for part, node in itertools.product(PARTS, range(self.nodes))
            for source in range(2 + node)
        ]

    def entries(self, architecture: Architecture) -> dict[str, list[tuple[str, int]]]:
        """Returns part -> (operation, input) of all edges, node after node, inputs in ascending order."""
        answers = iter(self.check(architecture).choices)
        return {
            part: [(str(next(answers)), source) for node in range(self.nodes) for source in range(2 + node)]
            for part in PARTS
        }

    def genotype(self, architecture: Architecture) -> Genotype:
        entries = self.entries(architecture)
        return Genotype(tuple(entries["normal"]), self._concat, tuple(entries["reduce"]), self._concat)

    def from_genotype(self, genotype: Any) -> Architecture:
        genotype, choices = Genotype.parse(genotype), []
        for part in PARTS:
            for node, entries in enumerate(self._nodes_of(genotype, part)):
                read = {source: operation for operation, source in entries}
                if len(read) < len(entries):
                    raise self._not_here(f"node {node} of {part!r} reads one input twice: {list(entries)}")
                for source in range(2 + node):
                    operation = read.get(source, "none")
                    if operation not in self.operations:
                        found = unknown("operation", operation, self.operations)
                        raise self._not_here(f"node {node} of {part!r}, from {source}: {found}")
                    choices.append(operation)
        return self.architecture(choices)

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """Returns the architecture with the strongest operation of every edge, `"none"` included.

        The earlier operation wins a tie.
        """
        matrices = weight_matrices(weights, self.edges(), len(self.operations))
        return self.architecture(
            [self.operations[column] for part in PARTS for column in matrices[part].argmax(axis=1)]
        )

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        # Choices are in the order of rows and options in that of columns, so the encoding is the matrices, [2, E, O].
        rows = self.encode(architecture).reshape(2, -1, len(self.operations))
        return dict(zip(PARTS, rows, strict=True))

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph; an edge whose operation is `"none"` is left out."""
        graph, entries = self._nodes_and_outputs(), self.entries(architecture)
        for part, node in itertools.product(PARTS, range(self.nodes)):
            names = self._state_names(part)
            for source in range(2 + node):
                row = self._row(node, source)
                operation, _ = entries[part][row]
                if operation != "none":
                    graph.add_edge(names[source], names[2 + node], op=operation, row=row)
        return graph
