"""Chains of any depth, as in MetaQNN (Baker et al. 2017, https://arxiv.org/abs/1611.02167, Sec. 4.1).

    for each layer: convolution, pooling or stop?
        convolution: kernel, filters, stride
        pooling: window and stride

The first layer is a convolution, and no pooling follows another, as in the paper. Differences: convolutions may have
strides and pooling may average; no stride is offered that would shrink the image more than `shrink` times in total (the
paper excludes windows larger than the image instead); there are no fully connected layers but the classifier, behind a
global average; batch normalisation is added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.chain import ChainNetwork, Layer, unused_states
from naslab.spaces.requirements import requirements_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

PART = "chain"
STOP = "stop"
POOLS = ("max_pool", "avg_pool")
WINDOWS = {"2x2/2": (2, 2), "3x3/2": (3, 2), "5x5/3": (5, 3)}
"""Option -> (side of the window, stride)."""
MAX_LAYERS = 64


def check_lists(space: Space, *names: str) -> None:
    """Convert these fields of a space to tuples. Raises `SpecError` unless each holds distinct positive integers."""
    for name in names:
        object.__setattr__(space, name, sizes.several(name, getattr(space, name)))


@dataclass(frozen=True)
class MetaQNN(Space):
    """A chain of convolutions and poolings of any depth."""

    name: ClassVar[str] = "chain"
    reads = frozenset({"image"})

    layers: int = 18
    """Maximal number of layers."""
    channels: int = 64
    """Unit of `filters`."""
    kernels: tuple[int, ...] = (1, 3, 5)
    """Sides of the kernel of a convolution."""
    filters: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of filters of a convolution, in units of `channels`."""
    strides: tuple[int, ...] = (1, 2)
    """Strides of a convolution."""
    shrink: int = 8
    """Maximal product of all strides: the factor by which height and width of the image may shrink."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positives(self, "layers", "channels", "shrink")
        check_lists(self, "kernels", "filters", "strides")
        if self.layers > MAX_LAYERS:
            raise SpecError(f"a chain has at most {MAX_LAYERS} layers, not {self.layers}")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise SpecError(f"kernels must be odd, so that the size is kept; got {even}")
        if 1 not in self.strides:
            raise SpecError(f"strides must have a 1 among them, which always fits; got {list(self.strides)}")

    @classmethod
    def paper(cls) -> MetaQNN:
        """Returns the space of MetaQNN on CIFAR-10, where only pooling has strides."""
        return cls(strides=(1,))

    @classmethod
    def laptop(cls) -> MetaQNN:
        """Returns a small space, for images of 4 x 4 and more."""
        return cls(layers=6, channels=8, filters=(1, 2, 4), shrink=4)

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        complete, begun = _split_layers(prefix)
        number = len(complete) + 1
        room = self.shrink // _total_stride(complete)  # the largest stride that is still allowed
        if STOP in begun or number > self.layers:
            return None
        name = f"{PART}/{number}"
        windows = tuple(window for window, (_, stride) in WINDOWS.items() if stride <= room)
        if not begun:
            pools = POOLS if complete and complete[-1][0] == "conv" and windows else ()
            return Choice(f"{name}/kind", ("conv", *pools, *((STOP,) if complete else ())))
        if begun[0] in POOLS:
            return Choice(f"{name}/window", windows)
        return [
            Choice(f"{name}/kernel", self.kernels),
            Choice(f"{name}/filters", self.filters),
            Choice(f"{name}/stride", tuple(stride for stride in self.strides if stride <= room)),
        ][len(begun) - 1]

    def future(self, prefix: Prefix) -> Hashable:
        """Returns what later choices depend on: depth, total stride, whether pooling may follow, and the position."""
        complete, begun = _split_layers(prefix)
        after_convolution = bool(complete) and complete[-1][0] == "conv"
        return len(complete), _total_stride(complete), after_convolution, begun[:1], len(begun)

    def layers_of(self, architecture: Architecture, channels: int | None = None) -> list[Layer]:
        """What is to be built, with filters counted in so many channels."""
        architecture = self.check(architecture)
        unit = self.channels if channels is None else sizes.positive("channels", channels)
        layers = []
        for number, (kind, *answers) in enumerate(_split_layers(architecture.choices)[0]):
            if kind == "conv":
                kernel, filters, stride = (int(answer) for answer in answers)
                layers.append(Layer("conv", (kernel, kernel), stride, filters * unit, (number,)))
            else:
                window, stride = WINDOWS[str(answers[0])]
                layers.append(Layer(str(kind), (window, window), stride, 0, (number,)))
        return layers

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """The layers stand at the nodes."""
        return layers_graph(self.layers_of(architecture))

    def build(self, architecture: Architecture, task: TaskLike, *, channels: int | None = None) -> ChainNetwork:
        layers = self.layers_of(architecture, channels)
        _, height, width = sizes.image(requirements_of(task).shape, reductions=0)
        if min(height, width) < (shrunk := math.prod(layer.stride for layer in layers)):
            raise SpecError(
                f"an image of {height} x {width} is too small to be shrunk {shrunk} times; "
                f"use larger images, or a space with a smaller shrink"
            )
        return ChainNetwork(layers, *requirements_of(task))


def layer_position(answered: int, questions: Callable[[int], int]) -> tuple[int, int]:
    """Returns (number of the layer, number of its choices made) behind a prefix of answers.

    Args:
        answered: length of the prefix.
        questions: number of a layer, from 1 -> number of its choices.
    """
    number = 1
    while answered >= (count := questions(number)):
        answered -= count
        number += 1
    return number, answered


def line_graph(operations: Sequence[str], skips: Sequence[Mapping[int, Mapping[str, str]]]) -> nx.DiGraph:
    """Returns the graph of a chain of layers with skips.

    Args:
        operations: operation of each layer.
        skips: for each layer, state that skips to it -> attributes of that edge; state 0 is the image.
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_node(f"{PART}/0", part=PART, label="0", role="input")
    for number, (operation, more) in enumerate(zip(operations, skips, strict=True), start=1):
        graph.add_node(f"{PART}/{number}", part=PART, label=str(number), role="node", op=operation)
        for state, attributes in {number - 1: {}, **more}.items():
            graph.add_edge(f"{PART}/{state}", f"{PART}/{number}", **attributes)
    graph.add_node(f"{PART}/out", part=PART, label="out", role="output")
    graph.add_edge(f"{PART}/{len(operations)}", f"{PART}/out")
    return graph


def layers_graph(layers: list[Layer]) -> nx.DiGraph:
    """Returns the graph of layers, each of which reads its own sources; the output reads the unused states."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_node(f"{PART}/0", part=PART, label="0", role="input")
    for number, layer in enumerate(layers, start=1):
        filters, stride = (f" {layer.channels}" if layer.channels else ""), (f" /{layer.stride}" * (layer.stride > 1))
        operation = f"{layer.kind} {layer.kernel[0]}x{layer.kernel[1]}{filters}{stride}"
        graph.add_node(f"{PART}/{number}", part=PART, label=str(number), role="node", op=operation)
        graph.add_edges_from((f"{PART}/{source}", f"{PART}/{number}") for source in layer.sources)
    graph.add_node(f"{PART}/out", part=PART, label="out", role="output")
    graph.add_edges_from((f"{PART}/{state}", f"{PART}/out") for state in unused_states(layers))
    return graph


def _split_layers(prefix: Prefix) -> tuple[list[Prefix], Prefix]:
    """Returns the answers of each complete layer, and those of the incomplete last one (or the stop)."""
    complete, start = [], 0
    while start < len(prefix) and prefix[start] != STOP:
        end = start + (4 if prefix[start] == "conv" else 2)  # kind, kernel, filters, stride; or kind, window
        if end > len(prefix):
            break
        complete.append(prefix[start:end])
        start = end
    return complete, prefix[start:]


def _total_stride(complete: list[tuple[Option, ...]]) -> int:
    """Returns the product of the strides of the layers."""
    return math.prod(int(layer[3]) if layer[0] == "conv" else WINDOWS[str(layer[1])][1] for layer in complete)
