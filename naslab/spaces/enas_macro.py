"""The macro space of ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.3).

A network is a chain of L layers with one of six operations each, and any earlier layer may skip to any later one:
6^L 2^(L (L - 1) / 2) networks, 1.6e29 with the paper's twelve layers. The published form is that of the authors' code:
for each layer the number of its operation, then a 0 or 1 for each earlier state that may skip to it,

    1  0 1  3 0 1  ...   (layer 1: operation 1; layer 2: operation 0, state 0 skips to it; layer 3: ...)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.enas_macro import EnasMacroNetwork, Layer
from naslab.networks.enas_supernet import EnasMacroSupernet
from naslab.operations.enas import ENAS_OPERATIONS
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.numbers import read_numbers
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "chain"
OPERATIONS = tuple(ENAS_OPERATIONS)
MAX_LAYERS = 64


@dataclass(frozen=True)
class EnasMacro(FixedSpace):
    """A chain of layers with one operation each and skips between them."""

    name: ClassVar[str] = "enas_macro"
    reads = frozenset({"image"})

    layers: int = 12
    """Number of layers, the stem not counted."""
    channels: int = 36
    """Channels of the stem and the first third of the layers; doubled after each third."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "layers", "channels")
        if self.layers > MAX_LAYERS:
            raise SpecError(f"a network has at most {MAX_LAYERS} layers, not {self.layers}")

    @classmethod
    def paper(cls) -> EnasMacro:
        """Returns the space of the paper's search on CIFAR-10."""
        return cls()

    @classmethod
    def laptop(cls) -> EnasMacro:
        """Returns a space half as deep and a quarter as wide."""
        return cls(layers=6, channels=8)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        choices = []
        for layer in range(1, self.layers + 1):
            choices.append(Choice(f"{PART}/{layer}/op", OPERATIONS))
            choices += [Choice(f"{PART}/{layer}/from_{state}", (0, 1)) for state in range(layer - 1)]
        return choices

    def layers_of(self, architecture: Architecture) -> list[Layer]:
        """Returns for each layer its operation and the states that skip to it: state 0 is the stem, l is layer l.

        The preceding state, which every layer reads, is not among them.
        """
        architecture = self.check(architecture)
        layers, rest = [], list(architecture.choices)
        for layer in range(self.layers):
            operation, *bits = rest[: layer + 1]  # layer l (from 0) has l states that may skip to it
            layers.append((str(operation), tuple(state for state, bit in enumerate(bits) if bit)))
            rest = rest[layer + 1 :]
        return layers

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Reads the published numbers. Raises `SpecError` on anything else."""
        what = f"a network of {self.layers} layers", "for each layer its operation and a 0 or 1 for each possible skip"
        return self.architecture(read_numbers(self.name, text, self.fixed_choices, *what))

    def format(self, architecture: Architecture) -> str:
        """Returns the published numbers."""
        return " ".join(str(choice.options.index(value)) for choice, value in self.walk(architecture.choices))

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the operations at its nodes; the first node is the stem."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_node(f"{PART}/0", part=PART, label="0", role="input")
        for number, (operation, skips) in enumerate(self.layers_of(architecture), start=1):
            role = "output" if number == self.layers else "node"
            graph.add_node(f"{PART}/{number}", part=PART, label=str(number), role=role, op=operation)
            graph.add_edges_from((f"{PART}/{source}", f"{PART}/{number}") for source in (*skips, number - 1))
        return graph

    def supergraph(self) -> nx.DiGraph:
        """Returns the graph in which every layer reads every earlier state and has its candidates in `ops`."""
        # The last option of a skip is 1: this is the architecture with all skips.
        graph = self.graph(Architecture(self.name, tuple(choice.options[-1] for choice in self._choices)))
        for number in range(1, self.layers + 1):
            node = graph.nodes[f"{PART}/{number}"]
            del node["op"]
            node["ops"] = OPERATIONS
        return graph

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> EnasMacroNetwork:
        return EnasMacroNetwork(
            self.layers_of(architecture),
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
        )

    def shared_weights(self, task: TaskLike, *, channels: int | None = None) -> EnasMacroSupernet:
        """Returns the shared weights of all architectures; the argument `layers_of(architecture)` selects one."""
        return EnasMacroSupernet(
            self.layers, *requirements_of(task), channels=self.channels if channels is None else channels
        )
