"""Networks that are searched by network morphism, as in Auto-Keras (Jin, Song & Hu 2019,
https://arxiv.org/abs/1806.10282, Sec. 3.2 and 3.3).

    for each layer: a convolution, or stop?
        kernel, filters, stride
        from each earlier layer but the preceding one: is it added, concatenated, or neither?

A search begins with three convolutions (`start`) and continues by morphisms (`moves`). A morphism changes the network
but not the function that it computes, so that a child starts from everything that its parent has learnt. Differences:
images are downsampled by strides, which no move changes (in Auto-Keras by pooling); a skip is average-pooled to the
size of the layer that it leads to.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor, nn

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, among, unknown
from naslab.networks import morphism, sizes
from naslab.networks.inherit import inherit
from naslab.networks.morphism import ADD, CONCAT, Morphable, MorphableNetwork
from naslab.randomness import generator_of
from naslab.spaces.edit_distance import edit_distance
from naslab.spaces.metaqnn import MAX_LAYERS, PART, STOP, check_lists, layer_position, line_graph
from naslab.spaces.requirements import requirements_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

QUESTIONS = ("kind", "kernel", "filters", "stride")
"""Names of the first choices of each layer; its skips follow."""
SKIPS = ("none", ADD, CONCAT)
MOVES = ("deepen", "widen", "add", "concat")


@dataclass(frozen=True)
class NetworkMorphism(Space):
    """Chains of convolutions with skips that are added or concatenated."""

    name: ClassVar[str] = "morphing"
    reads = frozenset({"image"})

    layers: int = 12
    """Maximal number of layers."""
    kernels: tuple[int, ...] = (1, 3, 5)
    """Sides of the kernel of a convolution."""
    filters: tuple[int, ...] = (64, 128, 256, 512)
    """Numbers of filters of a convolution, in ascending order; the move "widen" goes to the next one."""
    strides: tuple[int, ...] = (1, 2)
    """Strides of a convolution; 1 is among them, since a new layer has it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positive("layers", self.layers)
        check_lists(self, "kernels", "filters", "strides")
        if self.layers > MAX_LAYERS:
            raise SpecError(f"a network has at most {MAX_LAYERS} layers, not {self.layers}")
        if even := [kernel for kernel in self.kernels if kernel % 2 == 0]:
            raise SpecError(f"kernels must be odd, so that the size is kept; got {even}")
        if 1 not in self.strides:
            raise SpecError(f"strides must have a 1 among them, which deepening needs; got {list(self.strides)}")
        if list(self.filters) != sorted(self.filters):
            raise SpecError(f"filters must be in ascending order, not {list(self.filters)}")

    @classmethod
    def laptop(cls) -> NetworkMorphism:
        """Returns a shallow and narrow space."""
        return cls(layers=6, kernels=(1, 3), filters=(8, 12, 16, 24, 32))

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        number, answered = _position(len(prefix))
        if prefix[-1:] == (STOP,) or number > self.layers:
            return None
        if answered >= len(QUESTIONS):
            return Choice(f"{PART}/{number}/skip_{answered - len(QUESTIONS) + 1}", SKIPS)
        kinds = ("conv", STOP) if number > 1 else ("conv",)
        return Choice(
            f"{PART}/{number}/{QUESTIONS[answered]}", (kinds, self.kernels, self.filters, self.strides)[answered]
        )

    def future(self, prefix: Prefix) -> Hashable:
        """Returns the position: no answer but the stop influences later choices."""
        return len(prefix), prefix[-1:] == (STOP,)

    def layers_of(self, architecture: Architecture) -> list[Morphable]:
        """Returns the layers to build."""
        return list(_layers_of(self, architecture))

    def of_layers(self, layers: Sequence[Morphable]) -> Architecture:
        """Returns the architecture with these layers, the inverse of `layers_of`."""
        choices: list[Option] = []
        for place, (kernel, channels, stride, skips) in enumerate(layers):
            how = dict(skips)
            choices += ["conv", kernel, channels, stride, *(how.get(state, "none") for state in range(1, place))]
        return self.architecture(choices if len(layers) == self.layers else [*choices, STOP])

    def weights(self, architecture: Architecture) -> int:
        """Returns the number of weights of the network for images with 3 channels and 10 classes."""
        return morphism.weights(self.layers_of(architecture), 3, 10)

    def edit_distance(self, first: Architecture, second: Architecture, *, skips: float = 0.1) -> float:
        """Returns the cost of morphing one into the other (Jin et al. 2019, Eq. 5); `skips` is the weight of a skip."""
        one, other = self.layers_of(first), self.layers_of(second)
        return edit_distance(
            [layer.channels for layer in one],
            [layer.channels for layer in other],
            [(state, place + 1) for place, layer in enumerate(one) for state, _ in layer.skips],
            [(state, place + 1) for place, layer in enumerate(other) for state, _ in layer.skips],
            skips=skips,
        )

    # --- moves -----------------------------------------------------------------------------------

    @property
    def moves(self) -> tuple[str, ...]:
        """Names of the paper's morphisms."""
        return MOVES

    def start(self) -> Architecture:
        """Returns three convolutions, the second and third of stride 2 if the space has that stride."""
        kernel = min(self.kernels, key=lambda size: abs(size - 3))
        half = 2 if 2 in self.strides else 1
        return self.of_layers([Morphable(kernel, self.filters[0], s) for s in (1, half, half)[: self.layers]])

    def move(self, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
        """Returns the architecture after this morphism at a random layer; None if it is possible at none."""
        rng = generator_of(rng)
        layers = self.layers_of(architecture)
        if not among(name, MOVES):
            raise SpecError(unknown("move", name, MOVES))
        if name == "deepen":
            if len(layers) == self.layers:
                return None
            place = int(rng.integers(1, len(layers) + 1))
            return self.of_layers(deepened(layers, place, self.kernels[rng.integers(len(self.kernels))]))
        ways: list[tuple[int, Morphable]] = []  # (position, the changed layer)
        for place, layer in enumerate(layers):
            if name == "widen":
                wider = [filters for filters in self.filters if filters > layer.channels]
                ways += [(place, layer._replace(channels=filters)) for filters in wider[:1]]
            else:
                # A skip passes over at least one layer and does not begin at the image (state 0).
                free = set(range(1, place)) - {state for state, _ in layer.skips}
                ways += [(place, layer._replace(skips=tuple(sorted((*layer.skips, (s, name)))))) for s in sorted(free)]
        if not ways:
            return None
        place, layer = ways[rng.integers(len(ways))]
        return self.of_layers([*layers[:place], layer, *layers[place + 1 :]])

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the convolutions at its nodes."""
        operations, layers = [], self.layers_of(architecture)
        for layer in layers:
            stride = f" /{layer.stride}" * (layer.stride > 1)
            operations.append(f"conv {layer.kernel}x{layer.kernel} {layer.channels}{stride}")
        return line_graph(operations, [{state: {"op": how} for state, how in layer.skips} for layer in layers])

    def build(self, architecture: Architecture, task: TaskLike) -> MorphableNetwork:
        return MorphableNetwork(self.layers_of(architecture), *requirements_of(task))

    def inherit(
        self, network: nn.Module, architecture: Architecture, parent: Architecture, state: Mapping[str, Tensor]
    ) -> None:
        """Make the network compute its parent's function, if morphisms lead to it; else copy the tensors that fit."""
        old = self.layers_of(parent)
        places = morphism.embedding(old, self.layers_of(architecture))
        if places is None or not isinstance(network, MorphableNetwork):
            inherit(network, state)
        else:
            morphism.morph(network, old, state, places)


@lru_cache(maxsize=4096)  # a Gaussian process over edit distances needs the same ones again and again
def _layers_of(space: NetworkMorphism, architecture: Architecture) -> tuple[Morphable, ...]:
    architecture = space.check(architecture)
    layers: list[Morphable] = []
    rest = architecture.choices
    while rest and rest[0] != STOP:
        length = len(QUESTIONS) + max(0, len(layers) - 1)
        _, kernel, filters, stride = rest[: len(QUESTIONS)]
        skips = enumerate(rest[len(QUESTIONS) : length], start=1)
        kept = tuple((state, str(how)) for state, how in skips if how != "none")
        layers.append(Morphable(int(kernel), int(filters), int(stride), kept))
        rest = rest[length:]
    return tuple(layers)


def deepened(layers: Sequence[Morphable], place: int, kernel: int) -> list[Morphable]:
    """Returns the layers with another one at that position, as wide as the one before; skips keep their ends."""
    later = [
        old._replace(skips=tuple((state + (state > place), how) for state, how in old.skips)) for old in layers[place:]
    ]  # state n is the output of layers[n - 1]
    return [*layers[:place], Morphable(kernel, layers[place - 1].channels, 1), *later]


def _position(answered: int) -> tuple[int, int]:
    """Returns (number of the layer, number of its choices made); layer n has 4 choices and n - 2 for its skips."""
    return layer_position(answered, lambda number: len(QUESTIONS) + max(0, number - 2))
