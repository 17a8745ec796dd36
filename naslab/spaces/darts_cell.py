"""The cells of DARTS (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 2.1).

An architecture is two cells, normal and reduction. Each node of a cell picks two of the states before it (the outputs
of the two cells before, and the earlier nodes) and an operation for either; it is the sum of the two results, and the
cell gives out all of its nodes.

`DartsCellAllEdges` holds the cells of SNAS (Xie et al. 2019, https://arxiv.org/abs/1812.09926), whose nodes read every
state before them, each by an operation of its own, which may be "none".
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from naslab.architecture import MAX_CHOICES, Architecture, Choice
from naslab.errors import SpecError, unknown
from naslab.networks import sizes
from naslab.networks.darts import DartsNetwork
from naslab.networks.darts_supernet import DartsSupernet
from naslab.networks.genotype import Genotype
from naslab.networks.genotype_text import MAX_NODES
from naslab.networks.single_path import SinglePathDarts
from naslab.operations.images import DARTS_OPERATIONS, DARTS_SEARCHED
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import asked
from naslab.spaces.weight_sharing import weight_matrices
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PARTS = ("normal", "reduce")


BUILD_ANY = (
    "Any genotype can be built without a space: nl.networks.DartsNetwork(nl.networks.Genotype.parse(text), "
    "task.input_shape, task.classes, channels=36, cells=20)"
)


@dataclass(frozen=True)
class _DartsCells(FixedSpace):
    """What the spaces of DARTS cells have in common, whichever edges an architecture keeps."""

    nodes: int = 4
    """Nodes of a cell, beside its two inputs."""
    operations: tuple[str, ...] = DARTS_SEARCHED
    """Candidates, in the order of the columns of the weights."""
    channels: int = 16
    """Of the nodes of the first cells, in the supernet and, unless said otherwise, in a built network."""
    cells: int = 8
    """How many cells are stacked; those at 1/3 and 2/3 of the depth are reduction cells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "nodes", "channels", "cells")
        if self.nodes > MAX_NODES:
            raise SpecError(f"a cell has at most {MAX_NODES} nodes, not {self.nodes}")
        object.__setattr__(self, "operations", sizes.operations(self.operations, DARTS_OPERATIONS))
        if not self.kept_operations:
            raise SpecError("operations must hold at least one besides 'none', or there is nothing to keep")

    @classmethod
    def paper(cls) -> Self:
        """The sizes of the paper's search on CIFAR-10 (build the found cell with channels=36, cells=20)."""
        return cls()

    @classmethod
    def laptop(cls) -> Self:
        """Small enough to search on two cores while one watches: about a third of a second for the gradient of a
        mini-batch of 32 images of 28 x 28. Without the 5 x 5 convolutions, which take half of the time."""
        operations = tuple(operation for operation in DARTS_SEARCHED if "5x5" not in operation)
        return cls(nodes=3, operations=operations, channels=8, cells=3)

    @cached_property
    def kept_operations(self) -> tuple[str, ...]:
        """The operations that an architecture may hold: all but `"none"`."""
        return tuple(operation for operation in self.operations if operation != "none")

    # --- the published form ----------------------------------------------------------------------

    @abstractmethod
    def genotype(self, architecture: Architecture) -> Genotype:
        """The published form."""

    @abstractmethod
    def from_genotype(self, genotype: Any) -> Architecture:
        """The architecture of a genotype, if this space holds it: a `Genotype`, or the namedtuple of the authors' code
        (anything that `Genotype.parse` reads)."""

    def parse(self, text: Any, *, which: str | int | None = None) -> Architecture:
        """Read the published text `Genotype(normal=[...], ...)`, in any of its forms (`Genotype.parse`).

        Args:
            text: for instance "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ...], ...)".
            which: where a text holds several, the name of one, "DARTS_V2", or its number (-1 the last).
        """
        return self.from_genotype(Genotype.parse(text, which=which))

    @property
    def _concat(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + self.nodes))

    def _nodes_of(self, genotype: Genotype, part: str) -> list[tuple[tuple[str, int], ...]]:
        """The entries of each node, if the cell has as many nodes as those here, and gives out all of them."""
        nodes, concat = genotype.nodes(part), getattr(genotype, f"{part}_concat")
        if len(nodes) != self.nodes or set(concat) != set(self._concat):
            raise self._not_here(
                f"expected {self.nodes} nodes in {part!r}, all of them concatenated; got {len(nodes)} and the "
                f"concatenation {list(concat)}"
            )
        return nodes

    def _not_here(self, why: str) -> SpecError:
        return SpecError(f"{self.name}: {why}. {BUILD_ANY}")

    # --- the supernet ----------------------------------------------------------------------------

    def edges(self) -> dict[str, int]:
        return dict.fromkeys(PARTS, self._row(self.nodes, 0))

    @staticmethod
    def _row(node: int, source: int) -> int:
        """Row of the edge from `source` to `node`: nodes before it have 2, 3, ... edges."""
        return node * (node + 3) // 2 + source

    # --- graphs ----------------------------------------------------------------------------------

    def supergraph(self) -> nx.DiGraph:
        graph = self._nodes_and_outputs()
        for part, node in itertools.product(PARTS, range(self.nodes)):
            names = self._state_names(part)
            for source in range(2 + node):
                graph.add_edge(names[source], names[2 + node], row=self._row(node, source))
        return graph

    def _state_names(self, part: str) -> list[str]:
        return [f"{part}/c_{{k-2}}", f"{part}/c_{{k-1}}", *(f"{part}/{node}" for node in range(self.nodes))]

    def _nodes_and_outputs(self) -> nx.DiGraph:
        """All nodes, and the fixed edges to the outputs."""
        import networkx as nx

        graph = nx.DiGraph()
        for part in PARTS:
            names = self._state_names(part)
            output = f"{part}/c_{{k}}"
            for position, name in enumerate([*names, output]):
                role = "input" if position < 2 else "output" if name == output else "node"
                graph.add_node(name, part=part, label=name.removeprefix(f"{part}/"), role=role)
            graph.add_edges_from((name, output) for name in names[2:])
        return graph

    # --- networks --------------------------------------------------------------------------------

    def build(
        self,
        architecture: Architecture,
        task: TaskLike,
        *,
        channels: int | None = None,
        cells: int | None = None,
        stem: str = "cifar",
        auxiliary: bool = False,
        drop_path: float = 0.0,
    ) -> DartsNetwork:
        """The evaluation network; see `DartsNetwork` for the auxiliary head and drop path. For images of 224 x 224
        pixels the paper's has `channels=48, cells=14, stem="imagenet"`."""
        return DartsNetwork(
            self.genotype(architecture),
            *asked(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
            stem=stem,
            auxiliary=auxiliary,
            drop_path=drop_path,
        )

    def supernet(
        self, task: TaskLike, *, channels: int | None = None, cells: int | None = None, one_in: int = 1
    ) -> DartsSupernet:
        """Operations on one channel in `one_in` (`naslab.networks.partial_channels`)."""
        return DartsSupernet(
            self.operations,
            self.nodes,
            *asked(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
            one_in=one_in,
        )


@dataclass(frozen=True)
class DartsCell(_DartsCells):
    """A normal and a reduction cell with an operation on each of two edges into every node. `"none"` takes part in the
    mixture of a supernet but is never kept."""

    name: ClassVar[str] = "darts_cell"

    def all_edges(self) -> DartsCellAllEdges:
        """The space with the same supernet whose architectures keep every edge."""
        return DartsCellAllEdges(self.nodes, self.operations, self.channels, self.cells)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        choices = []
        for part, node in itertools.product(PARTS, range(self.nodes)):
            pairs = tuple(f"{first},{second}" for first, second in itertools.combinations(range(2 + node), 2))
            choices.append(Choice(f"{part}/{node}/inputs", pairs))
            choices.append(Choice(f"{part}/{node}/op_0", self.kept_operations))
            choices.append(Choice(f"{part}/{node}/op_1", self.kept_operations))
        return choices

    def entries(self, architecture: Architecture) -> dict[str, list[tuple[str, int]]]:
        """Part -> (operation, input) twice a node, node after node: a genotype's entries, inputs in order."""
        answers = self.answers(architecture)
        entries: dict[str, list[tuple[str, int]]] = {part: [] for part in PARTS}
        for part, node in itertools.product(PARTS, range(self.nodes)):
            for position, source in enumerate(str(answers[f"{part}/{node}/inputs"]).split(",")):
                entries[part].append((str(answers[f"{part}/{node}/op_{position}"]), int(source)))
        return entries

    # --- the published form ----------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> Genotype:
        """The published form; the two entries of a node are in the order of their inputs."""
        entries = self.entries(architecture)
        return Genotype(tuple(entries["normal"]), self._concat, tuple(entries["reduce"]), self._concat)

    def from_genotype(self, genotype: Any) -> Architecture:
        """The order of a node's two entries is forgotten."""
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

    # --- derivation and back ---------------------------------------------------------------------

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """Keep for each node the two edges whose strongest operation, `"none"` aside, is strongest, each with that
        operation (Liu et al. 2019, Sec. 2.4). The earlier edge and the earlier operation win a tie."""
        columns = [self.operations.index(operation) for operation in self.kept_operations]
        matrices = weight_matrices(weights, self.edges(), len(self.operations))
        choices: list[str] = []
        for part, node in itertools.product(PARTS, range(self.nodes)):
            kept = matrices[part][self._row(node, 0) : self._row(node + 1, 0), columns]
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
        """The two cells, as `entries` writes them."""
        return self.entries(architecture)

    def shared_weights(
        self, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> SinglePathDarts:
        """The weights of all networks at once, of which one path is computed; `layers_of` says which."""
        return SinglePathDarts(
            self.kept_operations,
            self.nodes,
            *asked(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )


@dataclass(frozen=True)
class DartsCellAllEdges(_DartsCells):
    """A normal and a reduction cell whose nodes read every state before them; `"none"` on an edge leaves it out.

    The authors of SNAS train such cells (https://github.com/SNAS-Series/SNAS-Series, SNAS/train_edge_all.py and the
    genotypes SNAS_..._edge_all). The supernet is that of `DartsCell`.
    """

    name: ClassVar[str] = "darts_cell_all_edges"

    def __post_init__(self) -> None:
        super().__post_init__()
        if 2 * self._row(self.nodes, 0) > MAX_CHOICES:
            raise SpecError(f"{self.nodes} nodes have more edges than an architecture has choices, {MAX_CHOICES}")

    def all_edges(self) -> DartsCellAllEdges:
        """The space itself."""
        return self

    def each_choice(self) -> Iterable[Choice]:
        return [
            Choice(f"{part}/{node}/from_{source}", self.operations)
            for part, node in itertools.product(PARTS, range(self.nodes))
            for source in range(2 + node)
        ]

    def entries(self, architecture: Architecture) -> dict[str, list[tuple[str, int]]]:
        """Part -> (operation, input) of all edges, node after node, inputs in order."""
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
        """Keep every edge with its strongest operation, `"none"` included; the earlier operation wins a tie."""
        matrices = weight_matrices(weights, self.edges(), len(self.operations))
        return self.architecture(
            [self.operations[column] for part in PARTS for column in matrices[part].argmax(axis=1)]
        )

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        rows = self.encode(architecture).reshape(2, -1, len(self.operations))
        return dict(zip(PARTS, rows, strict=True))

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """An edge whose operation is `"none"` is not there."""
        graph, entries = self._nodes_and_outputs(), self.entries(architecture)
        for part, node in itertools.product(PARTS, range(self.nodes)):
            names = self._state_names(part)
            for source in range(2 + node):
                row = self._row(node, source)
                operation, _ = entries[part][row]
                if operation != "none":
                    graph.add_edge(names[source], names[2 + node], op=operation, row=row)
        return graph
