"""The recurrent language model of DARTS (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 3.1.2 and A.1.2).

    tokens -> embedding -> one layer of a recurrent cell -> decoder, which shares the matrix of the embedding

Regularised as an AWD-LSTM (Merity et al. 2017, https://arxiv.org/abs/1708.02182), by five dropouts, applied to
whole words, to the embeddings, to the inputs x and the states h that the cell reads, and to its outputs. Each mask is
drawn once per chunk of a text and shared by its time steps. The cell is that of `naslab.operations.recurrent`, without
biases and with a single hidden vector.

Sizes of the paper: 300 units in the search; 850 on Penn Treebank, which makes 23 million parameters with 10,000
words; 700 on WikiText-2, 33 million with 33,278 words.

Differences from the authors' code: masks are exact Bernoulli draws; the network returns logits, and the task takes
their log-softmax; the batch is the first dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.recurrent_genotype import RecurrentGenotype
from naslab.operations.optimizations import Optimizations
from naslab.operations.recurrent import unrolled, written_out
from naslab.operations.recurrent_wiring import NONE, Statistics, Wiring
from naslab.tasks.sequence import RecurrentOutputs
from naslab.tasks.signature import Signature

INITIAL = 0.04
"""Initial weights are uniform between the negative of this value and the value."""

Inputs = Tensor | tuple[Tensor, Tensor | None]
"""Tokens [B, T], or (tokens, initial state [B, H]); a state of None means zeros."""
Masks = tuple[Tensor | None, Tensor | None]
"""Dropout of the inputs x and of the states h that a cell reads, [B, H] each; None for no dropout."""
Layer = Callable[[Tensor, Tensor, Masks], Tensor]
"""A recurrent layer: (inputs [T, B, H], initial state [B, H], masks) -> outputs [T, B, H]."""


@dataclass(frozen=True)
class Dropouts:
    """Dropout rates of a recurrent language model."""

    dropout: float = 0.75
    """Dropout rate of the outputs of the cell."""
    dropout_x: float = 0.75
    """Dropout rate of the input x of the cell."""
    dropout_h: float = 0.25
    """Dropout rate of h and of the states of the cell, where the cell reads them."""
    dropout_i: float = 0.2
    """Dropout rate of the embeddings."""
    dropout_e: float = 0.0
    """Dropout rate of whole words of the embedding; 0.1 for training a single cell."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            object.__setattr__(self, name, sizes.probability(name, value))


def words_of(signature: Signature) -> int:
    """Returns the vocabulary size V of a task that predicts each next word; `SpecError` for any other task."""
    field, head = signature.field, signature.head
    if field.vocabulary is None or len(field.shape) != 1 or head.reads != "sequence":
        raise SpecError(
            "a recurrent language model reads tokens [T] and gives scores at each of them; the task's input is "
            f"{field}, and its head reads a {head.reads}. Take a task such as nl.tasks.LanguageModel"
        )
    if head.outputs != field.vocabulary:
        raise SpecError(
            f"a recurrent language model gives scores of the {field.vocabulary} words that it reads, for their matrix "
            f"is that of the decoder; the task wants {head.outputs} outputs"
        )
    return field.vocabulary


class RecurrentLanguageModel(nn.Module):
    """A language model without its recurrent layer.

    Args:
        vocabulary: V, the number of words.
        hidden: H, units of the embedding and of the output of the recurrent layer.
        dropouts: dropout rates in training mode.
    """

    def __init__(self, vocabulary: int, hidden: int, dropouts: Dropouts) -> None:
        super().__init__()
        sizes.positive("vocabulary", vocabulary)
        self.hidden, self.dropouts = sizes.positive("hidden", hidden), dropouts
        self.embedding = nn.Parameter(torch.empty(vocabulary, hidden).uniform_(-INITIAL, INITIAL))
        """[V, H]: matrix of the embedding and of the decoder."""
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        """[V]: bias of the decoder."""

    @property
    def random(self) -> bool:
        """True if it draws dropout masks in training mode (`naslab.modes.random_layers`)."""
        return any(vars(self.dropouts).values())

    def mask(self, rate: float, *shape: int) -> Tensor | None:
        """Returns a mask that is 0 with probability `rate`, else 1 / (1 - rate); None if nothing is dropped.

        It is drawn from PyTorch's default generator.
        """
        if not self.training or rate == 0:
            return None
        return torch.empty(shape, dtype=self.bias.dtype, device=self.bias.device).bernoulli_(1 - rate).div_(1 - rate)

    def embedded(self, tokens: Tensor) -> Tensor:
        """Returns the embeddings [T, B, H] of tokens [B, T], after dropout of words and of embeddings."""
        of_words = self.mask(self.dropouts.dropout_e, len(self.embedding), 1)
        x = F.embedding(tokens.t(), self.embedding)
        if of_words is not None:
            x = x * of_words[tokens.t()]
        return dropped(x, self.mask(self.dropouts.dropout_i, tokens.shape[0], self.hidden))

    def read(self, inputs: Inputs, layer: Layer) -> RecurrentOutputs:
        """Returns the outputs of the model.

        Args:
            inputs: tokens [B, T], with or without an initial state.
            layer: its recurrent layer.
        """
        tokens, state = parted(inputs)
        batch = len(tokens)
        x = self.embedded(tokens)
        if state is None:
            state = x.new_zeros(batch, self.hidden)
        elif state.shape != (batch, self.hidden):
            raise SpecError(f"the state must have shape {(batch, self.hidden)}, not {tuple(state.shape)}")
        rates = self.dropouts.dropout_x, self.dropouts.dropout_h
        of_x, of_h = (self.mask(rate, batch, self.hidden) for rate in rates)
        raw = layer(x, state, (of_x, of_h))
        return self.decoded(raw, raw[-1])

    def decoded(self, raw: Tensor, state: Tensor | tuple[Tensor, ...]) -> RecurrentOutputs:
        """Returns the outputs of the model from those of its recurrent layer, [T, B, H], and the final state."""
        raw = raw.transpose(0, 1)
        outputs = dropped(raw, self.mask(self.dropouts.dropout, len(raw), 1, self.hidden))
        return RecurrentOutputs(F.linear(outputs, self.embedding, self.bias), raw, outputs, state)


def dropped(x: Tensor, mask: Tensor | None) -> Tensor:
    """Returns x times the mask, or x if the mask is None."""
    return x if mask is None else x * mask


def parted(inputs: Any) -> tuple[Tensor, Any]:
    """Returns tokens [B, T] and the initial state, or None."""
    tokens, state = inputs if isinstance(inputs, tuple) else (inputs, None)
    if tokens.dim() != 2:
        raise SpecError(f"a recurrent language model reads tokens [B, T], not {list(tokens.shape)}")
    return tokens, state


def layer_outputs(
    x: Tensor,
    state: Tensor,
    first: Tensor,
    nodes: Tensor,
    wiring: Wiring,
    weights: Tensor,
    norm: nn.BatchNorm1d | None,
    masks: Masks,
    optimizations: Optimizations,
) -> Tensor:
    """Returns the outputs [T, B, H] of one layer of a cell, and moves the running statistics of its batch norm.

    Args:
        x: inputs, [T, B, H].
        state: output before the first step, [B, H].
        first: W_0 [2 H, 2 H]: rows for x, then for the last output.
        nodes: W_1 ... W_N [N, H, 2 H].
        wiring: states that each node reads, and functions on its edges.
        weights: [E, 4]: weights of the functions on each edge.
        norm: batch norm of all states; None if they are not normalised.
        masks: dropout of x and of h, [B, H] each; None for no dropout.
        optimizations: `one_pass` and `compiled_kernel` apply.
    """
    of_x, of_h = masks
    hidden = x.shape[2]
    given = dropped(x, of_x) @ first[:hidden], state, first[hidden:], nodes, weights, wiring, of_h
    if not optimizations.one_pass:
        return written_out(*given, *([] if norm is None else [norm]))
    statistics = Statistics(NONE) if norm is None else Statistics.of(norm)
    raw, mean, variance = unrolled(*given, statistics, compiled=optimizations.compiled_kernel)
    if norm is not None:
        statistics.move(norm, mean, variance)
    return raw


class RecurrentCellModel(RecurrentLanguageModel):
    """A language model whose layer is a cell of N nodes, computed by `naslab.operations.recurrent`."""

    optimizations: Optimizations = Optimizations()
    """Optimizations for speed: `one_pass` and `compiled_kernel` apply. May be set at any time."""

    def __init__(self, vocabulary: int, nodes: int, *, hidden: int, dropouts: Dropouts) -> None:
        super().__init__(vocabulary, hidden, dropouts)
        sizes.positive("nodes", nodes)
        self.first = nn.Parameter(torch.empty(2 * hidden, 2 * hidden).uniform_(-INITIAL, INITIAL))
        """W_0 [2 H, 2 H]: rows for the input x, then for the last output h; columns for gates, then for candidates."""
        self.nodes = nn.Parameter(torch.empty(nodes, hidden, 2 * hidden).uniform_(-INITIAL, INITIAL))
        """W_1 ... W_N [N, H, 2 H]."""

    def through(self, inputs: Inputs, wiring: Wiring, weights: Tensor, norm: nn.BatchNorm1d | None) -> RecurrentOutputs:
        """Returns the outputs of the cell with a given wiring.

        Args:
            inputs: tokens [B, T], with or without an initial state.
            wiring: states that each node reads, and functions on its edges.
            weights: [E, 4]: weights of the functions on each edge.
            norm: batch norm of all states; None if they are not normalised.
        """

        def layer(x: Tensor, state: Tensor, masks: Masks) -> Tensor:
            of_cell = self.first, self.nodes, wiring, weights, norm
            return layer_outputs(x, state, *of_cell, masks, self.optimizations)

        return self.read(inputs, layer)


class RecurrentCellNetwork(RecurrentCellModel):
    """A stand-alone language model with one cell; its states are not normalised.

    Args:
        genotype: genotype of the cell.
        vocabulary: number of words.
        hidden: units (850 in the paper).
        dropouts: dropout rates in training mode.
    """

    def __init__(self, genotype: RecurrentGenotype, vocabulary: int, *, hidden: int, dropouts: Dropouts) -> None:
        super().__init__(vocabulary, len(genotype.recurrent), hidden=hidden, dropouts=dropouts)
        self.wiring = genotype.wiring

    def forward(self, inputs: Inputs) -> RecurrentOutputs:
        """Returns logits of the next word at each of tokens [B, T], given the initial state [B, H]."""
        return self.through(inputs, self.wiring, self.wiring.mask(self.bias), None)
