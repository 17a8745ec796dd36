"""The micro space of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.4).

An architecture is two cells, normal and reduction. Each node of a cell reads two earlier states (the outputs of the two
preceding cells, and the earlier nodes; possibly one of them twice), each through one of five operations, and is the sum
of the two results. The output of the cell is the concatenation of all states that nothing reads, nodes or inputs.

With five nodes there are (2 * 3 * 4 * 5 * 6 * 5^5)^2 = 5.1e12 cells, and 2.6e25 pairs of them. The paper, whose B
counts the two inputs, gives (5 (B - 2)!)^4, which is 1.3e11 for B = 7; this formula counts the operations of one node
only, and leaves out the inputs of the last. With independent decisions, as the paper describes them, the number is
(5^(B - 2) (B - 1)!)^4, the one above.

The published form is that of the authors' code: for each node, the normal cell's first, four numbers,

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
from naslab.networks.enas_micro import MICRO_OPERATIONS, EnasMicroNetwork, MicroCell, Node, unused_states
from naslab.networks.enas_micro_supernet import EnasMicroSupernet
from naslab.spaces.cell_graph import OUTPUT, cell_graph, state_names
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.numbers import read_numbers
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PARTS = ("normal", "reduce")
MAX_NODES = 64
Value = TypeVar("Value")


def _swapped(values: Sequence[Value]) -> list[Value]:
    """Returns the values with the middle two of every four exchanged.

    A node's choices are state, state, operation, operation; its published numbers are state, operation, state,
    operation. The exchange converts either order into the other.
    """
    return [values[place + each] for place in range(0, len(values), 4) for each in (0, 2, 1, 3)]


@dataclass(frozen=True)
class EnasMicro(FixedSpace):
    """A normal and a reduction cell of nodes that sum two operations."""

    name: ClassVar[str] = "enas_micro"
    reads = frozenset({"image"})

    nodes: int = 5
    """Number of nodes of a cell, its two inputs not counted."""
    channels: int = 20
    """Channels of the states of the first cells; doubled by each reduction."""
    cells: int = 8
    """Number of stacked cells; those at 1/3 and 2/3 of the depth are reduction cells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "nodes", "channels", "cells")
        if self.nodes > MAX_NODES:
            raise SpecError(f"a cell has at most {MAX_NODES} nodes, not {self.nodes}")

    @classmethod
    def paper(cls) -> EnasMicro:
        """Returns the space of the authors' search on CIFAR-10: six normal cells, two reduction cells."""
        return cls()

    @classmethod
    def laptop(cls) -> EnasMicro:
        """Returns a space with three nodes and five cells, less than half as wide."""
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
        """Returns part -> its nodes."""
        architecture = self.check(architecture)
        answers = iter(architecture.choices)
        cells: dict[str, list[Node]] = {part: [] for part in PARTS}
        for part, _ in itertools.product(PARTS, range(self.nodes)):
            first, second, first_op, second_op = itertools.islice(answers, 4)
            cells[part].append(Node((int(first), int(second)), (str(first_op), str(second_op))))
        return cells

    def layers_of(self, architecture: Architecture, cells: int | None = None) -> list[MicroCell]:
        """Returns the nodes of each cell of the stack, first to last."""
        parts, count = self.cells_of(architecture), self.cells if cells is None else sizes.positive("cells", cells)
        return [parts["reduce" if position in reductions(count) else "normal"] for position in range(count)]

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Reads the published numbers. Raises `SpecError` on anything else."""
        what = (
            f"two cells of {self.nodes} nodes",
            "for each node a state, its operation, another state and its operation",
        )
        return self.architecture(_swapped(read_numbers(self.name, text, _swapped(self.fixed_choices), *what)))

    def format(self, architecture: Architecture) -> str:
        """Returns the published numbers."""
        architecture = self.check(architecture)
        numbers = [choice.options.index(value) for choice, value in self.walk(architecture.choices)]
        return " ".join(map(str, _swapped(numbers)))

    # --- graphs and networks ---------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the operations on its edges; two from one state to one node are joined by "+"."""
        return cell_graph(
            {
                part: ([zip(node.inputs, node.operations, strict=True) for node in nodes], unused_states(nodes))
                for part, nodes in self.cells_of(architecture).items()
            }
        )

    def supergraph(self) -> nx.DiGraph:
        """Returns the graph in which every state is read by every later node and by the output."""
        graph = cell_graph({part: ([()] * self.nodes, []) for part in PARTS})
        for part in PARTS:
            names = state_names(part, self.nodes)
            graph.add_edges_from(itertools.combinations(names, 2))
            graph.remove_edge(*names[:2])  # from one input of the cell to the other
            graph.add_edges_from((name, f"{part}/{OUTPUT}") for name in names)
        return graph

    def build(
        self, architecture: Architecture, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> EnasMicroNetwork:
        return EnasMicroNetwork(
            self.layers_of(architecture, cells),
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
        )

    def shared_weights(self, task: TaskLike, *, channels: int | None = None) -> EnasMicroSupernet:
        """Returns the shared weights of all architectures; the argument `layers_of(architecture)` selects one."""
        return EnasMicroSupernet(
            self.nodes,
            self.cells,
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
        )
