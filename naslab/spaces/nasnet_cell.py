"""The cells of NASNet (Zoph et al. 2018, https://arxiv.org/abs/1707.07012, Sec. 3.1), also those of AmoebaNet.

An architecture is two cells, normal and reduction, of five blocks each. A block reads two states (the outputs of the
two preceding cells, and the earlier blocks; possibly one of them twice), each through one of thirteen operations, and
adds or concatenates the results. The output of the cell is the concatenation of the states that no block reads. That is
(prod over b of (2 + b)^2 * 13^2 * 2)^2 = 5.2e36 pairs of cells with five blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from naslab.architecture import Architecture, Choice, Option
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.genotype import Genotype
from naslab.networks.nasnet import COMBINATIONS, Block, NASNetNetwork, unused_states
from naslab.operations.nasnet import NASNET_OPERATIONS
from naslab.spaces.cell_graph import cell_graph, state_names
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PARTS = ("normal", "reduce")
OPERATIONS = tuple(NASNET_OPERATIONS)
MAX_BLOCKS = 64


@dataclass(frozen=True)
class NASNetCell(FixedSpace):
    """A normal and a reduction cell of blocks of two operations."""

    name: ClassVar[str] = "nasnet_cell"
    reads = frozenset({"image"})

    blocks: int = 5
    """Number of blocks of a cell."""
    channels: int = 32
    """Channels of the blocks of the first cells."""
    cells: int = 20
    """Number of stacked cells; those at 1/3 and 2/3 of the depth are reduction cells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "blocks", "channels", "cells")
        if self.blocks > MAX_BLOCKS:
            raise SpecError(f"a cell has at most {MAX_BLOCKS} blocks, not {self.blocks}")

    @classmethod
    def paper(cls) -> NASNetCell:
        """Returns the space of the paper on CIFAR-10: 6 normal cells before, between and after the reduction cells."""
        return cls()

    @classmethod
    def laptop(cls) -> NASNetCell:
        """Returns a space with three blocks in three cells."""
        return cls(blocks=3, channels=8, cells=3)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        choices = []
        for part, block in itertools.product(PARTS, range(self.blocks)):
            states = tuple(range(2 + block))
            options = {"input_0": states, "input_1": states, "op_0": OPERATIONS, "op_1": OPERATIONS}
            options["combine"] = COMBINATIONS
            choices += [Choice(f"{part}/{block}/{name}", offered) for name, offered in options.items()]
        return choices

    def blocks_of(self, architecture: Architecture) -> dict[str, list[Block]]:
        """Returns part -> its blocks."""
        architecture = self.check(architecture)
        blocks: dict[str, list[Block]] = {part: [] for part in PARTS}
        answers = iter(architecture.choices)
        for part, _ in itertools.product(PARTS, range(self.blocks)):
            first, second, first_op, second_op, combination = itertools.islice(answers, 5)
            inputs, operations = (int(first), int(second)), (str(first_op), str(second_op))
            blocks[part].append(Block(inputs, operations, str(combination)))
        return blocks

    # --- the published form ----------------------------------------------------------------------

    def from_genotype(self, genotype: Any) -> Architecture:
        """Returns the architecture of a genotype in the form of DARTS (anything that `Genotype.parse` reads).

        Its nodes are sums. Raises `SpecError` unless its output is the states that no node reads, as in NASNet and
        AmoebaNet.
        """
        genotype = Genotype.parse(genotype)
        choices: list[Option] = []
        for part in PARTS:
            nodes = genotype.nodes(part)
            if len(nodes) != self.blocks:
                raise SpecError(f"{self.name}: expected {self.blocks} nodes in {part!r}, got {len(nodes)}")
            if any(len(node) != 2 for node in nodes):
                raise SpecError(f"{self.name}: a block reads two states; the nodes of {part!r} read all before them")
            blocks = []
            for (first_op, first), (second_op, second) in nodes:
                blocks.append(Block((first, second), (first_op, second_op), "add"))
                choices += [first, second, first_op, second_op, "add"]
            if sorted(set(getattr(genotype, f"{part}_concat"))) != unused_states(blocks):
                raise SpecError(
                    f"{self.name}: the output of {part!r} must be what no other node reads, {unused_states(blocks)}; "
                    f"got {list(getattr(genotype, f'{part}_concat'))}"
                )
        return self.architecture(choices)

    def parse(self, text: Any, *, which: str | int | None = None) -> Architecture:
        """Reads the published text `Genotype(normal=[...], ...)`, in any of its forms (`Genotype.parse`).

        Args:
            text: for instance "NASNet = Genotype(normal=[('sep_conv_5x5', 1), ...], ...)".
            which: where a text holds several, the name of one, "NASNet", or its number (-1 the last).
        """
        return self.from_genotype(Genotype.parse(text, which=which))

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the operations on its edges; two from one state to one node are joined by "+"."""
        cells = self.blocks_of(architecture)
        graph = cell_graph(
            {
                part: ([zip(block.inputs, block.operations, strict=True) for block in blocks], unused_states(blocks))
                for part, blocks in cells.items()
            }
        )
        for part, blocks in cells.items():
            for name, block in zip(state_names(part, self.blocks)[2:], blocks, strict=True):
                graph.nodes[name]["combine"] = block.combination
        return graph

    def build(
        self, architecture: Architecture, task: TaskLike, *, channels: int | None = None, cells: int | None = None
    ) -> NASNetNetwork:
        return NASNetNetwork(
            dict(self.blocks_of(architecture)),
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
            cells=self.cells if cells is None else cells,
        )
