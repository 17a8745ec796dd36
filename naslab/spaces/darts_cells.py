"""Base class of the spaces of DARTS cells (`naslab.spaces.darts_cell`)."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.darts import DartsNetwork
from naslab.networks.darts_supernet import DartsSupernet
from naslab.networks.genotype import Genotype
from naslab.networks.genotype_text import MAX_NODES
from naslab.operations.images import DARTS_OPERATIONS, DARTS_SEARCHED
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PARTS = ("normal", "reduce")


BUILD_ANY = (
    "Any genotype can be built without a space: nl.networks.DartsNetwork(nl.networks.Genotype.parse(text), "
    "task.input_shape, task.classes, channels=36, cells=20)"
)


@dataclass(frozen=True)
class DartsCells(FixedSpace):
    """Base class of the spaces of DARTS cells: sizes, supernet and genotypes, for either rule of keeping edges."""

    nodes: int = 4
    """Number of nodes of a cell, its two inputs not counted."""
    operations: tuple[str, ...] = DARTS_SEARCHED
    """Candidate operations, in the order of the columns of the mixture weights."""
    channels: int = 16
    """Channels of the nodes of the first cells, in the supernet and by default in a built network."""
    cells: int = 8
    """Number of stacked cells; those at 1/3 and 2/3 of the depth are reduction cells."""

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
        """Returns the space of the paper's search on CIFAR-10 (build the found cell with channels=36, cells=20)."""
        return cls()

    @classmethod
    def laptop(cls) -> Self:
        """Returns a space that can be searched interactively on two CPU cores.

        A gradient of a mini-batch of 32 images of 28 x 28 takes about a third of a second. The 5 x 5 convolutions,
        which would take half of the time, are left out.
        """
        operations = tuple(operation for operation in DARTS_SEARCHED if "5x5" not in operation)
        return cls(nodes=3, operations=operations, channels=8, cells=3)

    @cached_property
    def kept_operations(self) -> tuple[str, ...]:
        """Operations that an architecture may hold: all but `"none"`, which only takes part in the mixture."""
        return tuple(operation for operation in self.operations if operation != "none")

    # --- the published form ----------------------------------------------------------------------

    @abstractmethod
    def genotype(self, architecture: Architecture) -> Genotype:
        """Returns the published form."""

    @abstractmethod
    def from_genotype(self, genotype: Any) -> Architecture:
        """Returns the architecture of a genotype.

        Args:
            genotype: a `Genotype`, or anything that `Genotype.parse` reads (the namedtuple of the authors' code).

        Raises:
            SpecError: if it is no genotype, or its cells are not in this space.
        """

    def parse(self, text: Any, *, which: str | int | None = None) -> Architecture:
        """Reads the published text `Genotype(normal=[...], ...)`, in any of its forms (`Genotype.parse`).

        Args:
            text: for instance "DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ...], ...)".
            which: where a text holds several, the name of one, "DARTS_V2", or its number (-1 the last).
        """
        return self.from_genotype(Genotype.parse(text, which=which))

    @property
    def _concat(self) -> tuple[int, ...]:
        """The states that the output concatenates: all nodes."""
        return tuple(range(2, 2 + self.nodes))

    def _nodes_of(self, genotype: Genotype, part: str) -> list[tuple[tuple[str, int], ...]]:
        """Returns (operation, input) of each edge of each node, and checks the number of nodes and the output."""
        nodes, concat = genotype.nodes(part), getattr(genotype, f"{part}_concat")
        if len(nodes) != self.nodes or set(concat) != set(self._concat):
            raise self._not_here(
                f"expected {self.nodes} nodes in {part!r}, all of them concatenated; got {len(nodes)} and the "
                f"concatenation {list(concat)}"
            )
        return nodes

    def _not_here(self, why: str) -> SpecError:
        """Returns the error for a genotype that this space does not hold."""
        return SpecError(f"{self.name}: {why}. {BUILD_ANY}")

    # --- the supernet ----------------------------------------------------------------------------

    def edges(self) -> dict[str, int]:
        """Returns part -> N (N + 3) / 2, the number of edges of the densest cell: 14 with 4 nodes."""
        return dict.fromkeys(PARTS, self._row(self.nodes, 0))

    @staticmethod
    def _row(node: int, source: int) -> int:
        """Returns the row of the edge from state `source` to `node` in the mixture weights of a part.

        Rows are sorted by node, then by source, as in the authors' code. The nodes before this one have 2, 3, ...,
        node + 1 edges, in total node (node + 3) / 2.
        """
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
        """Returns the graph of all nodes and of the fixed edges to the outputs."""
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
        """Returns the evaluation network; see `DartsNetwork` for the auxiliary head and drop path.

        The paper's network for images of 224 x 224 pixels has `channels=48, cells=14, stem="imagenet"`.
        """
        return DartsNetwork(
            self.genotype(architecture),
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
            stem=stem,
            auxiliary=auxiliary,
            drop_path=drop_path,
        )

    def supernet(
        self, task: TaskLike, *, channels: int | None = None, cells: int | None = None, one_in: int = 1
    ) -> DartsSupernet:
        """Returns the supernet of both cells.

        Args:
            one_in: operations see one channel in this many (PC-DARTS, `naslab.networks.partial_channels`).
        """
        return DartsSupernet(
            self.operations,
            self.nodes,
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
            one_in=one_in,
        )
