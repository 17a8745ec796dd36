"""Chains of convolutions with skips, as in NAS-RL (Zoph & Le 2017, https://arxiv.org/abs/1611.01578, Sec. 3.3).

    for each layer: another one, or stop?
        height and width of the kernel, filters, stride
        from each earlier layer: is it an input of this one? (the anchor points)

A layer reads all of its inputs, and the image if it has none; layers that no other reads are concatenated as the
output. Inputs are merged by concatenation, as in the paper, or by summation. Differences: depth is a choice (in the
paper it grows by two every 1,600 networks); the set of strides is a parameter of the space (in the paper all are 1, or
1, 2 and 3 are offered); there is no pooling at fixed depths.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice, Prefix
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.chain import MERGES, ChainNetwork, Layer
from naslab.spaces.metaqnn import MAX_LAYERS, PART, STOP, check_lists, layer_position, layers_graph
from naslab.spaces.requirements import requirements_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

QUESTIONS = ("kind", "kernel_height", "kernel_width", "filters", "stride")
"""Names of the first choices of each layer; its inputs follow."""


@dataclass(frozen=True)
class ChainSkips(Space):
    """A chain of convolutions of any depth, in which any layer may read any earlier one."""

    name: ClassVar[str] = "chain_skips"
    reads = frozenset({"image"})

    layers: int = 15
    """Maximal number of layers."""
    channels: int = 4
    """Unit of `filters`."""
    kernels: tuple[int, ...] = (1, 3, 5, 7)
    """Heights, and widths, of a kernel."""
    filters: tuple[int, ...] = (6, 9, 12, 16)
    """Numbers of filters of a convolution, in units of `channels`: 24, 36, 48 or 64 filters."""
    strides: tuple[int, ...] = (1,)
    """Strides of a convolution."""
    merge: str = "concat"
    """Operation that merges the inputs of a layer: "concat" or "sum"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "layers", "channels")
        check_lists(self, "kernels", "filters", "strides")
        sizes.one_of("merge", self.merge, MERGES)
        if self.layers > MAX_LAYERS:
            raise SpecError(f"a chain has at most {MAX_LAYERS} layers, not {self.layers}")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise SpecError(f"kernels must be odd, so that the size is kept; got {even}")

    @classmethod
    def paper(cls) -> ChainSkips:
        """Returns the space of the paper on CIFAR-10, with predicted strides."""
        return cls(strides=(1, 2, 3))

    @classmethod
    def laptop(cls) -> ChainSkips:
        """Returns a shallow and narrow space."""
        return cls(layers=6, channels=8, kernels=(1, 3, 5), filters=(1, 2, 4), strides=(1, 2))

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        number, answered = _position(len(prefix))
        if prefix[-1:] == (STOP,) or number > self.layers:
            return None
        if answered >= len(QUESTIONS):
            return Choice(f"{PART}/{number}/from_{answered - len(QUESTIONS) + 1}", (0, 1))
        options = (
            ("conv", STOP) if number > 1 else ("conv",),
            self.kernels,
            self.kernels,
            self.filters,
            self.strides,
        )[answered]
        return Choice(f"{PART}/{number}/{QUESTIONS[answered]}", options)

    def future(self, prefix: Prefix) -> Hashable:
        """Returns the position: no answer but the stop influences later choices."""
        return len(prefix), prefix[-1:] == (STOP,)

    def layers_of(self, architecture: Architecture, channels: int | None = None) -> list[Layer]:
        """Returns the layers to build; `channels` replaces the unit of the numbers of filters."""
        architecture = self.check(architecture)
        unit = self.channels if channels is None else sizes.positive("channels", channels)
        layers, rest = [], architecture.choices
        while rest and rest[0] != STOP:
            length = len(QUESTIONS) + len(layers)  # answers of this layer: one more for each layer before it
            _, height, width, filters, stride = rest[: len(QUESTIONS)]
            sources = tuple(source for source, bit in enumerate(rest[len(QUESTIONS) : length], start=1) if bit)
            kernel = (int(height), int(width))
            layers.append(Layer("conv", kernel, int(stride), int(filters) * unit, sources or (0,)))  # 0 is the image
            rest = rest[length:]
        return layers

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the layers at its nodes."""
        return layers_graph(self.layers_of(architecture))

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> ChainNetwork:
        return ChainNetwork(self.layers_of(architecture, channels), *requirements_of(task), merge=self.merge)


def _position(answered: int) -> tuple[int, int]:
    """Returns (number of the layer, number of its choices made); layer n has 5 choices and n - 1 for its inputs."""
    return layer_position(answered, lambda number: len(QUESTIONS) + number - 1)
