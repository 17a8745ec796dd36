"""Recurrent networks with a cell of NAS-Bench-NLP, given as a recipe.

The recipes are those of Klyuchnikov et al. 2020 (https://arxiv.org/abs/2006.07116). The network is an AWD-LSTM (Merity
et al. 2017, https://arxiv.org/abs/1708.02182) with this cell in place of the LSTM.

A recipe names the nodes of a cell, each an operation on the input `x`, on states of the previous time step (`h_prev_0`,
...) and on other nodes; the nodes `h_new_0`, `h_new_1`, ... are the states of this step, and the first of them is the
output.

Differences: no dropout, and the classifier reads the output of the last time step.
"""

from __future__ import annotations

import graphlib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for


class Step(TypedDict):
    """One node of a recipe: its operation, and the names of its inputs."""

    op: str
    input: list[str]


Recipe = Mapping[str, Step]

ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "activation_tanh": torch.tanh,
    "activation_sigm": torch.sigmoid,
    "activation_leaky_relu": functional.leaky_relu,
    "elementwise_sum": torch.add,
    "elementwise_prod": torch.mul,
    "blend": lambda gate, first, second: gate * first + (1 - gate) * second,
}
"""Operations without weights; the only other one, "linear", sums a matrix product of each input and a bias."""


def topological_order(recipe: Recipe) -> list[str]:
    """Returns the nodes of a recipe, each after its inputs. Raises `SpecError` if the recipe has a cycle."""
    before = {name: [source for source in step["input"] if source in recipe] for name, step in recipe.items()}
    try:
        return list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError as error:
        raise SpecError(f"the nodes {', '.join(error.args[1])} of the recipe read each other in a circle") from None


class RecipeCell(nn.Module):
    """One step in time: x [B, I] and states, each [B, H] -> the new states."""

    def __init__(self, recipe: Recipe, inputs: int, hidden: int) -> None:
        super().__init__()
        self.steps = [(name, recipe[name]["op"], list(recipe[name]["input"])) for name in topological_order(recipe)]
        self.states = sum(name.startswith("h_new_") and name.removeprefix("h_new_").isdigit() for name in recipe)
        self.linear = nn.ModuleDict(
            {
                name: nn.Linear(sum(inputs if source == "x" else hidden for source in sources), hidden)
                for name, op, sources in self.steps
                if op == "linear"
            }
        )
        self.hidden = hidden
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden))

    def forward(self, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        known = {"x": x} | {f"h_prev_{number}": state for number, state in enumerate(states)}
        for name, op, sources in self.steps:
            read = [known[source] for source in sources]
            known[name] = self.linear[name](torch.cat(read, dim=-1)) if op == "linear" else ELEMENTWISE[op](*read)
        return [known[f"h_new_{number}"] for number in range(self.states)]


class RecurrentRecipeNetwork(nn.Module):
    """A classifier of sequences, with layers of the same cell: reads tokens, values, or an image row by row.

    Args:
        recipe: cell of every layer; weights are not shared between layers.
        input_shape: (positions,) of tokens or values, or (channels, height, width) of an image.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        vocabulary: number of different tokens; None for values and images.
        embedding: size of the input of the first layer and of the output of the last one.
        hidden: size of the states of the layers but the last.
        layers: number of layers.
    """

    def __init__(
        self,
        recipe: Recipe,
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        vocabulary: int | None,
        embedding: int,
        hidden: int,
        layers: int,
    ) -> None:
        super().__init__()
        widths = [embedding, *[sizes.positive("hidden", hidden)] * (sizes.positive("layers", layers) - 1), embedding]
        self.embedding = tokens(input_shape, vocabulary, sizes.positive("embedding", embedding))
        self.layers = nn.ModuleList(RecipeCell(recipe, before, after) for before, after in itertools.pairwise(widths))
        self.classifier = head_for(embedding, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T] tokens, [B, T] values or [B, C, H, W] -> logits [B, classes]."""
        sequence = list(self.embedding(x).unbind(dim=1))  # T of [B, embedding]
        for layer in self.layers:
            assert isinstance(layer, RecipeCell)
            states = [sequence[0].new_zeros(len(x), layer.hidden)] * layer.states
            outputs = []
            for step in sequence:
                states = layer(step, states)
                outputs.append(states[0])
            sequence = outputs
        return self.classifier(sequence[-1])


class Rows(nn.Module):
    """Embeds the rows of an image as a sequence: [B, C, H, W] -> [B, H, D]."""

    def __init__(self, channels: int, width: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * width, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.transpose(1, 2).flatten(2))


class Values(nn.Module):
    """Embeds a series of values as a sequence, one value per step: [B, T] -> [B, T, D]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(1, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.unsqueeze(-1))


def tokens(input_shape: tuple[int, ...], vocabulary: int | None, size: int) -> nn.Module:
    """Returns the module that embeds the inputs of a task as a sequence of vectors [B, T, size]."""
    if len(input_shape) == 1:
        return Values(size) if vocabulary is None else nn.Embedding(sizes.positive("vocabulary", vocabulary), size)
    channels, _, width = sizes.image(input_shape, reductions=0)
    return Rows(channels, width, size)
