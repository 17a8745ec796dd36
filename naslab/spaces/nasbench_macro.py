"""NAS-Bench-Macro: 6,561 chains whose training is tabulated (Su et al. 2021, https://arxiv.org/abs/2103.11922).

Eight layers, each an inverted residual block of one of two kinds, or left out. A chain is written as eight digits, one
a layer: 0 for the identity, 1 for expansion 3 and kernel 3, 2 for expansion 6 and kernel 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.nasbench_macro import BLOCKS, LAYERS, NASBenchMacroNetwork, single_path_nasbench_macro
from naslab.networks.single_path import SinglePathChain
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import asked
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "chain"
OPTIONS = tuple(BLOCKS)
CHOICES = tuple(Choice(f"{PART}/layer_{number}", OPTIONS) for number in range(1, LAYERS + 1))


@dataclass(frozen=True)
class NASBenchMacro(FixedSpace):
    """A chain of eight layers."""

    name: ClassVar[str] = "nasbench_macro"

    channels: int = 32
    """Of the first convolution; the stages have 2, 4 and 8 times as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positive("channels", self.channels)

    @classmethod
    def paper(cls) -> NASBenchMacro:
        """The sizes of the benchmark."""
        return cls()

    @classmethod
    def laptop(cls) -> NASBenchMacro:
        """A quarter of the width, a tenth of the work."""
        return cls(channels=8)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> tuple[Choice, ...]:
        return CHOICES

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Read the published digits. Raises `SpecError`, and nothing else, on anything else."""
        if not isinstance(text, str) or not re.fullmatch(f"[0-{len(OPTIONS) - 1}]{{{LAYERS}}}", text.strip()):
            raise SpecError(
                f"a chain is {LAYERS} digits from 0 to {len(OPTIONS) - 1}, as in 22212220; got {text!r:.80}"
            )
        return self.architecture([OPTIONS[int(digit)] for digit in text.strip()])

    def format(self, architecture: Architecture) -> str:
        """The published digits."""
        architecture = self.check(architecture)
        return "".join(str(OPTIONS.index(str(option))) for option in architecture.choices)

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """A chain of states with the layers between them."""
        import networkx as nx

        architecture = self.check(architecture)
        graph = nx.DiGraph()
        for state in range(LAYERS + 1):
            role = "input" if state == 0 else "output" if state == LAYERS else "node"
            graph.add_node(f"{PART}/{state}", part=PART, label=str(state), role=role)
        for number, option in enumerate(architecture.choices):
            graph.add_edge(f"{PART}/{number}", f"{PART}/{number + 1}", op=option, row=number)
        return graph

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> NASBenchMacroNetwork:
        """The benchmark's network."""
        return NASBenchMacroNetwork(
            self.layers_of(architecture),
            *asked(task),
            channels=self.channels if channels is None else channels,
        )

    def layers_of(self, architecture: Architecture) -> list[str]:
        """The option of each layer, first to last."""
        return [str(option) for option in self.check(architecture).choices]

    def shared_weights(self, task: TaskLike, *, channels: int | None = None) -> SinglePathChain:
        """The weights of all networks at once, of which one path is computed; `layers_of` says which."""
        channels = self.channels if channels is None else channels
        return single_path_nasbench_macro(*asked(task), channels=channels)
