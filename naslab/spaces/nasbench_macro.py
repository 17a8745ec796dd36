"""NAS-Bench-Macro: 6,561 chains whose training is tabulated (Su et al. 2021, https://arxiv.org/abs/2103.11922).

A chain has eight layers, each the identity or an inverted residual block of one of two kinds: 3^8 = 6,561 chains. The
published form is eight digits, one for each layer: 0 for the identity, 1 for expansion 3 and kernel 3, 2 for expansion
6 and kernel 5.
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
from naslab.spaces.requirements import requirements_of
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
    reads = frozenset({"image"})

    channels: int = 32
    """Channels of the first convolution; the three stages have 2, 4 and 8 times as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positive("channels", self.channels)

    @classmethod
    def paper(cls) -> NASBenchMacro:
        """Returns the space of the benchmark."""
        return cls()

    @classmethod
    def laptop(cls) -> NASBenchMacro:
        """Returns the space with a quarter of the width, whose networks take a tenth of the time to train."""
        return cls(channels=8)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> tuple[Choice, ...]:
        return CHOICES

    # --- the published form ----------------------------------------------------------------------

    def parse(self, text: str) -> Architecture:
        """Reads the published digits. Raises `SpecError` on anything else."""
        if not isinstance(text, str) or not re.fullmatch(f"[0-{len(OPTIONS) - 1}]{{{LAYERS}}}", text.strip()):
            raise SpecError(
                f"a chain is {LAYERS} digits from 0 to {len(OPTIONS) - 1}, as in 22212220; got {text!r:.80}"
            )
        return self.architecture([OPTIONS[int(digit)] for digit in text.strip()])

    def format(self, architecture: Architecture) -> str:
        """Returns the published digits."""
        architecture = self.check(architecture)
        return "".join(str(OPTIONS.index(str(option))) for option in architecture.choices)

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns a chain of states, with the layers on its edges."""
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
        """Returns the benchmark's network."""
        return NASBenchMacroNetwork(
            self.layers_of(architecture),
            *requirements_of(task),
            channels=self.channels if channels is None else channels,
        )

    def layers_of(self, architecture: Architecture) -> list[str]:
        """Returns the operation of each layer, first to last."""
        return [str(option) for option in self.check(architecture).choices]

    def shared_weights(self, task: TaskLike, *, channels: int | None = None) -> SinglePathChain:
        """Returns the shared weights of all architectures; the argument `layers_of(architecture)` selects one."""
        channels = self.channels if channels is None else channels
        return single_path_nasbench_macro(*requirements_of(task), channels=channels)
