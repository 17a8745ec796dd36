"""The space of "Large-Scale Evolution of Image Classifiers" (Real et al. 2017, https://arxiv.org/abs/1703.01041,
Sec. 3.2): chains of convolutions with skips, and a learning rate that evolves with them.

    the learning rate
    for each layer: a convolution, or stop?
        height and width of its filters, channels, stride; nonlinear (batch normalisation and ReLU) or not
        from each state before the last: does it skip to this layer?

Evolution begins with a linear model (`start`) and continues by the mutations of the paper (`moves`). The learning rate
is part of the architecture, and overrides the trainer's (`recipe`).

Differences: channels and the learning rate come from a list (in the paper they are any number). As in the paper, a
mutation draws a value between half and twice the old one; if the list has none, it takes the nearest. The paper's
mutations "identity" and "reset weights" do not change an architecture, and are therefore implemented by the searcher.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, among, real, unknown
from naslab.networks import sizes
from naslab.networks.evolving import Evolved, EvolvedNetwork, renamed
from naslab.networks.inherit import inherit
from naslab.randomness import generator_of
from naslab.spaces.metaqnn import MAX_LAYERS, PART, STOP, check_lists, layer_position, line_graph
from naslab.spaces.requirements import requirements_of
from naslab.spaces.space import Space
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx

QUESTIONS = ("kind", "filter_height", "filter_width", "channels", "stride", "nonlinear")
"""Names of the first choices of each layer; its skips follow."""
MOVES = (
    "insert_convolution",
    "remove_convolution",
    "insert_nonlinearity",
    "remove_nonlinearity",
    "add_skip",
    "remove_skip",
    "alter_stride",
    "alter_channels",
    "alter_filter_height",
    "alter_filter_width",
    "alter_learning_rate",
)


@dataclass(frozen=True)
class LargeScaleEvolutionSpace(Space):
    """Chains of convolutions with skips over them, and a learning rate."""

    name: ClassVar[str] = "evolving"
    reads = frozenset({"image"})

    layers: int = 24
    """Maximal number of layers."""
    filters: tuple[int, ...] = (1, 3, 5, 7)
    """Heights, and widths, of a filter."""
    channels: tuple[int, ...] = (8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256)
    """Numbers of output channels of a convolution, in steps of the square root of two: a mutation has several values
    between half and twice the old one to choose from."""
    strides: tuple[int, ...] = (1, 2)
    """Strides of a convolution."""
    learning_rates: tuple[float, ...] = (0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
    """Learning rates in ascending order. Evolution begins with the one nearest to 0.1, the paper's initial value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes.positive("layers", self.layers)
        check_lists(self, "filters", "channels", "strides")
        if self.layers > MAX_LAYERS:
            raise SpecError(f"a network has at most {MAX_LAYERS} layers, not {self.layers}")
        if even := [size for size in self.filters if size % 2 == 0]:
            raise SpecError(f"filters must be odd, so that the size is kept; got {even}")
        rates = self.learning_rates
        if not isinstance(rates, list | tuple) or not rates:
            raise SpecError(f"learning_rates must be a list of different numbers above 0, not {rates!r}")
        rates = tuple(real("each of the learning_rates", rate) for rate in rates)
        if sorted(set(rates)) != list(rates) or not 0 < rates[0] <= rates[-1] < float("inf"):
            raise SpecError(f"learning_rates must be different numbers above 0, the least first; not {rates}")
        object.__setattr__(self, "learning_rates", rates)

    @classmethod
    def laptop(cls) -> LargeScaleEvolutionSpace:
        """Returns a shallow and narrow space."""
        return cls(layers=6, filters=(1, 3, 5), channels=(4, 6, 8, 11, 16, 23, 32))

    # --- choices ---------------------------------------------------------------------------------

    def next_choice(self, prefix: Prefix) -> Choice | None:
        if not prefix:
            return Choice("learning_rate", self.learning_rates)
        number, answered = _position(len(prefix) - 1)
        if prefix[-1] == STOP or number > self.layers:
            return None
        if answered >= len(QUESTIONS):
            return Choice(f"{PART}/{number}/skip_{answered - len(QUESTIONS)}", (0, 1))
        answers: tuple[tuple[Option, ...], ...] = (
            ("conv", STOP), self.filters, self.filters, self.channels, self.strides, (0, 1)
        )  # fmt: skip
        return Choice(f"{PART}/{number}/{QUESTIONS[answered]}", answers[answered])

    def future(self, prefix: Prefix) -> Hashable:
        """Returns the position: no answer but the stop influences later choices."""
        return len(prefix), prefix[-1:] == (STOP,)

    def layers_of(self, architecture: Architecture) -> list[Evolved]:
        """Returns the layers to build."""
        architecture = self.check(architecture)
        layers, rest = [], architecture.choices[1:]  # the first choice is the learning rate
        while rest and rest[0] != STOP:
            length = len(QUESTIONS) + len(layers)  # answers of this layer: one more for each layer before it
            _, height, width, channels, stride, nonlinear = rest[: len(QUESTIONS)]
            skips = tuple(state for state, bit in enumerate(rest[len(QUESTIONS) : length]) if bit)
            layers.append(Evolved((int(height), int(width)), int(channels), int(stride), bool(nonlinear), skips))
            rest = rest[length:]
        return layers

    def of_layers(self, learning_rate: Option, layers: Sequence[Evolved]) -> Architecture:
        """Returns the architecture with this learning rate and these layers, the inverse of `layers_of`."""
        choices: list[Option] = [learning_rate]
        for before, (kernel, channels, stride, nonlinear, skips) in enumerate(layers):
            choices += ["conv", *kernel, channels, stride, int(nonlinear), *(int(s in skips) for s in range(before))]
        return self.architecture(choices if len(layers) == self.layers else [*choices, STOP])

    def recipe(self, architecture: Architecture) -> Mapping[str, Any]:
        """Returns the learning rate."""
        return {"learning_rate": float(self.check(architecture).choices[0])}

    # --- moves -----------------------------------------------------------------------------------

    @property
    def moves(self) -> tuple[str, ...]:
        """Names of the paper's mutations that change an architecture."""
        return MOVES

    def start(self) -> Architecture:
        """Returns the linear model: no layer but the classifier."""
        return self.of_layers(min(self.learning_rates, key=lambda rate: abs(rate - 0.1)), ())

    def move(self, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
        """Returns the architecture after this mutation at a random layer; None if it is possible at none."""
        rng, architecture = generator_of(rng), self.check(architecture)
        layers = self.layers_of(architecture)
        rate = architecture.choices[0]
        if not among(name, MOVES):
            raise SpecError(unknown("move", name, MOVES))
        if name == "alter_learning_rate":
            return None if (new := _near(rate, self.learning_rates, rng)) is None else self.of_layers(new, layers)
        if name == "insert_convolution":
            changed = self._inserted(layers, rng)
        elif name == "remove_convolution":
            changed = removed(layers, int(rng.integers(len(layers)))) if layers else None
        else:
            changed = self._altered(layers, name, rng)
        return None if changed is None else self.of_layers(rate, changed)

    def _inserted(self, layers: list[Evolved], rng: np.random.Generator) -> list[Evolved] | None:
        """Returns the layers with a new one: 3 x 3, as many channels as its input, random stride and nonlinearity."""
        if len(layers) == self.layers:
            return None
        place = int(rng.integers(len(layers) + 1))
        size = min(self.filters, key=lambda size: abs(size - 3))
        channels = layers[place - 1].channels if place else min(self.channels)
        stride = self.strides[rng.integers(len(self.strides))]
        return inserted(layers, place, Evolved((size, size), channels, stride, bool(rng.integers(2)), ()))

    def _altered(self, layers: list[Evolved], name: str, rng: np.random.Generator) -> list[Evolved] | None:
        """Returns the layers with one changed, drawn uniformly from all possible changes; None if there is none."""
        ways: list[tuple[int, Evolved]] = []  # (position, the changed layer)
        for place, layer in enumerate(layers):
            height, width = layer.kernel
            if name in ("insert_nonlinearity", "remove_nonlinearity"):
                wanted = name == "insert_nonlinearity"
                ways += [(place, layer._replace(nonlinear=wanted))] * (layer.nonlinear != wanted)
            elif name == "add_skip":
                new = (state for state in range(place) if state not in layer.skips)
                ways += [(place, layer._replace(skips=tuple(sorted((*layer.skips, state))))) for state in new]
            elif name == "remove_skip":
                ways += [
                    (place, layer._replace(skips=tuple(s for s in layer.skips if s != state))) for state in layer.skips
                ]
            elif name == "alter_stride":
                ways += [(place, layer._replace(stride=s)) for s in self.strides if s != layer.stride]
            elif name == "alter_filter_height":
                ways += [(place, layer._replace(kernel=(s, width))) for s in self.filters if s != height]
            elif name == "alter_filter_width":
                ways += [(place, layer._replace(kernel=(height, s))) for s in self.filters if s != width]
            elif len(self.channels) > 1:  # alter_channels: the new number is drawn below
                ways.append((place, layer))
        if not ways:
            return None
        place, layer = ways[rng.integers(len(ways))]
        if name == "alter_channels":
            layer = layer._replace(channels=int(_near(layer.channels, self.channels, rng) or layer.channels))
        return [*layers[:place], layer, *layers[place + 1 :]]

    # --- graph and network -----------------------------------------------------------------------

    def graph(self, architecture: Architecture) -> nx.DiGraph:
        """Returns the graph, with the convolutions at its nodes."""
        operations, layers = [], self.layers_of(architecture)
        for layer in layers:
            height, width = layer.kernel
            stride, relu = f" /{layer.stride}" * (layer.stride > 1), " relu" * layer.nonlinear
            operations.append(f"conv {height}x{width} {layer.channels}{stride}{relu}")
        return line_graph(operations, [{state: {} for state in layer.skips} for layer in layers])

    def build(self, architecture: Architecture, task: TaskLike) -> EvolvedNetwork:
        return EvolvedNetwork(self.layers_of(architecture), *requirements_of(task))

    def inherit(
        self, network: nn.Module, architecture: Architecture, parent: Architecture, state: Mapping[str, Tensor]
    ) -> None:
        """Copy to each layer the weights of the parent's layer that it stems from, wherever that stood in the chain."""
        inherit(network, renamed(state, self.layers_of(architecture), self.layers_of(parent)))


def inserted(layers: Sequence[Evolved], place: int, layer: Evolved) -> list[Evolved]:
    """Returns the layers with another one at that position; existing skips keep their ends."""
    later = [
        old._replace(skips=tuple(state + (state > place) for state in old.skips)) for old in layers[place:]
    ]  # state n is the output of layers[n - 1]
    return [*layers[:place], layer, *later]


def removed(layers: Sequence[Evolved], place: int) -> list[Evolved]:
    """Returns the layers without the one at that position, its skips, and skips that no longer pass over a layer."""
    gone = place + 1  # the state that the removed layer made
    later = []
    for before, old in enumerate(layers[gone:], start=place):
        kept = (state - (state > gone) for state in old.skips if state != gone)
        later.append(old._replace(skips=tuple(state for state in kept if state < before)))
    return [*layers[:place], *later]


def _near(value: Option, options: Sequence[Option], rng: np.random.Generator) -> Option | None:
    """Returns a random other option between half and twice the value, else the nearest; None if there is no other."""
    others = [float(option) for option in options if option != value]
    if not others:
        return None
    now = float(value)
    near = [option for option in others if now / 2 <= option <= 2 * now]
    drawn = near[rng.integers(len(near))] if near else min(others, key=lambda option: abs(np.log(option / now)))
    return next(option for option in options if option == drawn)


def _position(answered: int) -> tuple[int, int]:
    """Returns (number of the layer, number of its choices made); layer n has 6 choices and n - 1 for its skips."""
    return layer_position(answered, lambda number: len(QUESTIONS) + number - 1)
