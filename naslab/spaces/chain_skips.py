"""Chains of convolutions with skips, as in NAS-RL (Zoph & Le 2017, https://arxiv.org/abs/1611.01578, Sec. 3.3).

    for each layer: another one, or stop?
        height and width of the kernel, filters, stride
        from each layer before: does it lead here? (the anchor points)

A layer reads all that leads to it, and the image if nothing does; what leads nowhere is the output. Merging is by
concatenation, as in the paper, or by summation. Differences: depth is a choice (there, it grows by two every 1,600
networks); strides are the space's parameter (there, all 1, or a choice of 1, 2 and 3); no pooling at fixed depths.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice, Prefix
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.chain import MERGES, ChainNetwork, Layer
from naslab.spaces.metaqnn import MAX_LAYERS, PART, STOP, check_lists, layer_place, layers_graph
from naslab.spaces.requirements import asked
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

QUESTIONS = ("kind", "kernel_height", "kernel_width", "filters", "stride")
"""Of each layer, before those for its inputs."""


@dataclass(frozen=True)
class ChainSkips(Space):
    """A chain of convolutions of any depth, in which any layer may read any earlier one."""

    name: ClassVar[str] = "chain_skips"

    layers: int = 15
    """At most."""
    channels: int = 4
    """What filters are counted in."""
    kernels: tuple[int, ...] = (1, 3, 5, 7)
    """Heights, and widths, of a convolution."""
    filters: tuple[int, ...] = (6, 9, 12, 16)
    """Of a convolution, in units of `channels`: 24, 36, 48 or 64."""
    strides: tuple[int, ...] = (1,)
    merge: str = "concat"
    """How a layer puts its inputs together: "concat" or "sum"."""

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
        """The sizes of the paper on CIFAR-10, with strides predicted."""
        return cls(strides=(1, 2, 3))

    @classmethod
    def laptop(cls) -> ChainSkips:
        """Shallow and narrow."""
        return cls(layers=6, channels=8, kernels=(1, 3, 5), filters=(1, 2, 4), strides=(1, 2))

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        number, asked = _place(len(prefix))
        if prefix[-1:] == (STOP,) or number > self.layers:
            return None
        if asked >= len(QUESTIONS):
            return Choice(f"{PART}/{number}/from_{asked - len(QUESTIONS) + 1}", (0, 1))
        options = (
            ("conv", STOP) if number > 1 else ("conv",),
            self.kernels,
            self.kernels,
            self.filters,
            self.strides,
        )[asked]
        return Choice(f"{PART}/{number}/{QUESTIONS[asked]}", options)

    def future(self, prefix: Prefix) -> Hashable:
        """Only the place: no answer but the stop has any influence on the later questions."""
        return len(prefix), prefix[-1:] == (STOP,)

    def layers_of(self, architecture: Architecture, channels: int | None = None) -> list[Layer]:
        """What is to be built, with filters counted in so many channels."""
        architecture = self.check(architecture)
        unit = self.channels if channels is None else sizes.positive("channels", channels)
        layers, rest = [], architecture.choices
        while rest and rest[0] != STOP:
            length = len(QUESTIONS) + len(layers)
            _, height, width, filters, stride = rest[: len(QUESTIONS)]
            leading = tuple(source for source, bit in enumerate(rest[len(QUESTIONS) : length], start=1) if bit)
            kernel = (int(height), int(width))
            layers.append(Layer("conv", kernel, int(stride), int(filters) * unit, leading or (0,)))
            rest = rest[length:]
        return layers

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """The layers stand at the nodes."""
        return layers_graph(self.layers_of(architecture))

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> ChainNetwork:
        return ChainNetwork(self.layers_of(architecture, channels), *asked(task), merge=self.merge)


def _place(answered: int) -> tuple[int, int]:
    """(number of the layer, how many of its questions are answered): layer n has five, and n - 1 for its inputs."""
    return layer_place(answered, lambda number: len(QUESTIONS) + number - 1)
