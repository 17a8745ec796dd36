"""Chains of inverted residual blocks, the space of one-shot methods on ImageNet.

As in ProxylessNAS (Cai et al. 2019, https://arxiv.org/abs/1812.00332, Sec. 4.2), each of 21 layers is a block of kernel
3, 5 or 7 and expansion 3 or 6; a layer that is not the first of its stage may also be the identity, which shortens the
network: 6^6 * 7^15 = 2.2e17 chains. FairNAS (Chu et al. 2021, https://arxiv.org/abs/1907.01845) has the same blocks
without the identity, 6^21 = 2.2e16 chains: `MobileChain.fair()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.mobile_chain import BLOCKS, IDENTITY, STAGES, MobileChainNetwork, places, single_path_chain
from naslab.networks.single_path import SinglePathChain
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.requirements import requirements_of
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "chain"
OPERATIONS = (IDENTITY, *BLOCKS)


@dataclass(frozen=True)
class MobileChain(FixedSpace):
    """One block in each layer of a chain."""

    name: ClassVar[str] = "mobile_chain"
    reads = frozenset({"image"})

    channels: int = 32
    """Channels of the first convolution; all other widths are proportional to it."""
    stages: int = 6
    """Number of the skeleton's stages that are used, from the first."""
    layers: int = 4
    """Maximal number of layers of each stage; the last of six has one."""
    stem_stride: int = 2
    """Stride of the first convolution: 2 for ImageNet, 1 for small images."""
    operations: tuple[str, ...] = OPERATIONS
    """Candidate operations of a layer; the first layer of a stage, which has the stride, is never the identity."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "channels", "stages", "layers", "stem_stride")
        if self.stages > len(STAGES):
            raise SpecError(f"the skeleton has {len(STAGES)} stages, not {self.stages}")
        if self.layers > max(layers for layers, _, _ in STAGES):
            raise SpecError(f"a stage has at most {max(layers for layers, _, _ in STAGES)} layers, not {self.layers}")
        if self.stem_stride > 2:
            raise SpecError(f"stem_stride is 1 or 2, not {self.stem_stride}")
        object.__setattr__(self, "operations", sizes.operations(self.operations, OPERATIONS))
        if not set(self.operations) & set(BLOCKS):
            raise SpecError("operations must hold a block besides the identity, or there is nothing to learn")

    @classmethod
    def paper(cls) -> MobileChain:
        """Returns the space of ProxylessNAS, for images of 224 x 224."""
        return cls()

    @classmethod
    def fair(cls) -> MobileChain:
        """Returns the space of FairNAS: no identity, because strict fairness needs equally many options everywhere."""
        return cls(operations=tuple(BLOCKS))

    @classmethod
    def laptop(cls) -> MobileChain:
        """Returns a space with six narrow layers, for images of 8 x 8 and more."""
        return cls(channels=8, stages=3, layers=2, stem_stride=1)

    # --- choices ---------------------------------------------------------------------------------

    def each_choice(self) -> Iterable[Choice]:
        chain = places(self.channels, self.stages, self.layers)
        blocks = tuple(operation for operation in self.operations if operation != IDENTITY)
        return tuple(
            Choice(f"{PART}/layer_{number}", blocks if place.first else self.operations)
            for number, place in enumerate(chain, start=1)
        )

    def layers_of(self, architecture: Architecture) -> list[str]:
        """Returns the operation of each layer, first to last."""
        return [str(option) for option in self.check(architecture).choices]

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns a chain of states, with the layers on its edges."""
        import networkx as nx

        graph = nx.DiGraph()
        options = self.layers_of(architecture)
        for state in range(len(options) + 1):
            role = "input" if state == 0 else "output" if state == len(options) else "node"
            graph.add_node(f"{PART}/{state}", part=PART, label=str(state), role=role)
        for number, option in enumerate(options):
            graph.add_edge(f"{PART}/{number}", f"{PART}/{number + 1}", op=option, row=number)
        return graph

    def supergraph(self) -> nx.DiGraph:
        """Returns the chain with the candidates of each layer in the attribute `ops` of its edge."""
        graph = self.graph(Architecture(self.name, tuple(choice.options[0] for choice in self._choices)))
        for (_, _, data), choice in zip(graph.edges(data=True), self._choices, strict=True):
            del data["op"]
            data["ops"] = choice.options
        return graph

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> MobileChainNetwork:
        return MobileChainNetwork(self.layers_of(architecture), *requirements_of(task), **self._sizes(channels))

    def shared_weights(self, task: TaskLike, *, channels: int | None = None) -> SinglePathChain:
        """Returns the shared weights of all architectures; the argument `layers_of(architecture)` selects one."""
        offered = [tuple(map(str, choice.options)) for choice in self._choices]
        return single_path_chain(offered, *requirements_of(task), **self._sizes(channels))

    def _sizes(self, channels: int | None) -> dict[str, int]:
        return {
            "channels": self.channels if channels is None else channels,
            "stages": self.stages,
            "layers": self.layers,
            "stem_stride": self.stem_stride,
        }
