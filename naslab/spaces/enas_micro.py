"""The micro space of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.4).

An architecture is two cells, normal and reduction. Each node of a cell picks two of the states before it (the outputs
of the two cells before, and the earlier nodes; twice the same, if it likes) and one of five operations for either; it
is the sum of the two results, and the cell gives out what nothing has read, be it a node or one of its two inputs.

With five nodes that is (2 3 4 5 6 x 5^5)^2 = 5.1 10^12 cells, and 2.6 10^25 pairs of them. The paper, whose B counts
the two inputs, gives (5 (B - 2)!)^4, which is 1.3 10^11 for B = 7: that has the operations of one node only, and not
the inputs of the last. With all decisions independent, as it says, it is (5^(B - 2) (B - 1)!)^4, the number above.

A pair is written as in the authors' code: for each node, first the normal cell's, four numbers,

    0 2  0 0   1 4  0 1  ...   (node 0: operation 2 on state 0, operation 0 on state 0; node 1: 4 on 1, 1 on 0; ...)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.darts import reductions
from naslab.networks.enas_micro import MICRO_OPERATIONS, EnasMicroNetwork, MicroCell, Node, unread
from naslab.networks.enas_micro_supernet import EnasMicroSupernet
from naslab.spaces.cell_graph import OUTPUT, cell_graph, state_names
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.numbers import read_numbers
from naslab.spaces.requirements import asked
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PARTS = ("normal", "reduce")
MAX_NODES = 64
Value = TypeVar("Value")


def _swapped(values: Sequence[Value]) -> list[Value]:
    """Of each four the middle two change places: a node's two states come before its two operations, but not as it is
    written, and this leads from either order to the other."""
    return [values[place + each] for place in range(0, len(values), 4) for each in (0, 2, 1, 3)]


@dataclass(frozen=True)
class EnasMicro(FixedSpace):
    """A normal and a reduction cell of nodes that sum two operations."""

    name: ClassVar[str] = "enas_micro"

    nodes: int = 5
    """Of a cell, beside its two inputs."""
    channels: int = 20
    """Of the states of the first cells; doubled by each reduction."""
    cells: int = 8
    """How many are stacked; those at 1/3 and 2/3 of the depth are reduction cells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "nodes", "channels", "cells")
        if self.nodes > MAX_NODES:
            raise SpecError(f"a cell has at most {MAX_NODES} nodes, not {self.nodes}")

    @classmethod
    def paper(cls) -> EnasMicro:
        """The sizes of the authors' search on CIFAR-10: six normal cells, two reduction cells."""
        return cls()

    @classmethod
    def laptop(cls) -> EnasMicro:
        """Three nodes, five cells, less than half as wide."""
        return cls(nodes=3, channels=8, cells=5)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        choices = []
        for part, node in itertools.product(PARTS, range(self.nodes)):
            states = tuple(range(2 + node))
            choices += [Choice(f"{part}/{node}/input_{side}", states) for side in range(2)]
            choices += [Choice(f"{part}/{node}/op_{side}", MICRO_OPERATIONS) for side in range(2)]
        return choices

    def cells_of(self, architecture: Architecture) -> dict[str, list[Node]]:
        """Part -> its nodes."""
        architecture = self.check(architecture)
        answers = iter(architecture.choices)
        cells: dict[str, list[Node]] = {part: [] for part in PARTS}
        for part, _ in itertools.product(PARTS, range(self.nodes)):
            first, second, first_op, second_op = itertools.islice(answers, 4)
            cells[part].append(Node((int(first), int(second)), (str(first_op), str(second_op))))
        return cells

    def layers_of(self, architecture: Architecture, cells: int | None = None) -> list[MicroCell]:
        """For each cell of the stack, first to last, its nodes."""
        found, many = self.cells_of(architecture), self.cells if cells is None else sizes.positive("cells", cells)
        return [found["reduce" if position in reductions(many) else "normal"] for position in range(many)]

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Read the published numbers. Raises `SpecError`, and nothing else, on anything else."""
        what = (
            f"two cells of {self.nodes} nodes",
            "for each node a state, its operation, another state and its operation",
        )
        return self.architecture(_swapped(read_numbers(self.name, text, _swapped(self.fixed_choices), *what)))

    def format(self, architecture: Architecture) -> str:
        """The published numbers."""
        architecture = self.check(architecture)
        numbers = [choice.options.index(value) for choice, value in self.walk(architecture.choices)]
        return " ".join(map(str, _swapped(numbers)))

    # --- graphs and networks ---------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """The operations stand on the edges; two from one state are named together."""
        return cell_graph(
            {
                part: ([zip(node.inputs, node.operations, strict=True) for node in nodes], unread(nodes))
                for part, nodes in self.cells_of(architecture).items()
            }
        )

    def supergraph(self) -> nx.DiGraph:
        """Every state is read by every later node, and by the output."""
        graph = cell_graph({part: ([()] * self.nodes, []) for part in PARTS})
        for part in PARTS:
            names = state_names(part, self.nodes)
            graph.add_edges_from(itertools.combinations(names, 2))
            graph.remove_edge(*names[:2])
            graph.add_edges_from((name, f"{part}/{OUTPUT}") for name in names)
        return graph

    def build(
        self, architecture: Architecture, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> EnasMicroNetwork:
        return EnasMicroNetwork(
            self.layers_of(architecture, cells),
            *asked(task),
            channels=self.channels if channels is None else channels,
        )

    def shared_weights(self, task: TaskLike, *, channels: int | None = None) -> EnasMicroSupernet:
        """The weights of all networks at once; `layers_of` says what of them an architecture is made of."""
        return EnasMicroSupernet(
            self.nodes,
            self.cells,
            *asked(task),
            channels=self.channels if channels is None else channels,
        )
