"""The recurrent language model of DARTS (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 3.1.2 and A.1.2).

    tokens -> embedding -> one layer of a recurrent cell -> decoder, whose matrix is that of the embedding

Regularised as an AWD-LSTM (Merity et al. 2017, https://arxiv.org/abs/1708.02182), by five dropouts, each of whose
masks is drawn once for a whole chunk of a text: of words, of the embeddings, of what a cell reads of x and of h, and
of its outputs. The cell is that of `naslab.operations.recurrent`. It has no biases, and one hidden vector.

Sizes of the paper: 300 units in the search; 850 on Penn Treebank, which makes 23 million parameters with 10,000
words; 700 on WikiText-2, 33 million with 33,278 words.

Differences from the authors' code: masks are exact Bernoulli draws; the logits are given, and the task takes their
log-softmax; batches come first.
"""

from __future__ import annotations

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
"""All weights are drawn uniformly between this and its negative."""

Inputs = Tensor | tuple[Tensor, Tensor | None]
"""Tokens [B, T]; or these and the state [B, H] that they begin with, None for zeros."""


@dataclass(frozen=True)
class Dropouts:
    """Rates of dropout of a recurrent language model."""

    dropout: float = 0.75
    """Rate of dropout of the outputs of the cell."""
    dropout_x: float = 0.75
    """Rate of dropout of x where the cell reads it."""
    dropout_h: float = 0.25
    """Of h, and of the states of the cell, where they are read."""
    dropout_i: float = 0.2
    """Of the embeddings."""
    dropout_e: float = 0.0
    """Of whole words of the embedding; 0.1 where a cell is trained on its own."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            object.__setattr__(self, name, sizes.probability(name, value))


def words_of(signature: Signature) -> int:
    """V of a task that asks for each next word of a text; `SpecError` on any other."""
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
    """All of a language model but its recurrent layer.

    Args:
        vocabulary: how many words there are.
        hidden: H, units of the embedding and of the output of the recurrent layer.
        dropouts: in training mode.
    """

    def __init__(self, vocabulary: int, hidden: int, dropouts: Dropouts) -> None:
        super().__init__()
        sizes.positive("vocabulary", vocabulary)
        self.hidden, self.dropouts = sizes.positive("hidden", hidden), dropouts
        self.embedding = nn.Parameter(torch.empty(vocabulary, hidden).uniform_(-INITIAL, INITIAL))
        """[V, H]: the decoder's, too."""
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        """[V], of the decoder."""

    @property
    def random(self) -> bool:
        """Whether it draws masks when it trains (`naslab.modes.random_layers`)."""
        return any(vars(self.dropouts).values())

    def mask(self, rate: float, *shape: int) -> Tensor | None:
        """0 with probability `rate`, else 1 / (1 - rate); None where nothing is dropped. PyTorch's own generator draws
        it."""
        if not self.training or rate == 0:
            return None
        return torch.empty(shape, dtype=self.bias.dtype, device=self.bias.device).bernoulli_(1 - rate).div_(1 - rate)

    def embedded(self, tokens: Tensor) -> Tensor:
        """[T, B, H] of tokens [B, T], with words and embeddings dropped."""
        of_words = self.mask(self.dropouts.dropout_e, len(self.embedding), 1)
        x = F.embedding(tokens.t(), self.embedding)
        if of_words is not None:
            x = x * of_words[tokens.t()]
        return dropped(x, self.mask(self.dropouts.dropout_i, tokens.shape[0], self.hidden))

    def decoded(self, raw: Tensor, state: Tensor | tuple[Tensor, ...]) -> RecurrentOutputs:
        """What the model gives, from the outputs [T, B, H] of its recurrent layer and the state after them."""
        raw = raw.transpose(0, 1)
        outputs = dropped(raw, self.mask(self.dropouts.dropout, len(raw), 1, self.hidden))
        return RecurrentOutputs(F.linear(outputs, self.embedding, self.bias), raw, outputs, state)


def dropped(x: Tensor, mask: Tensor | None) -> Tensor:
    """x times the mask, if there is one."""
    return x if mask is None else x * mask


def parted(inputs: Any) -> tuple[Tensor, Any]:
    """Tokens [B, T] and the state that they begin with, if there is one."""
    tokens, state = inputs if isinstance(inputs, tuple) else (inputs, None)
    if tokens.dim() != 2:
        raise SpecError(f"a recurrent language model reads tokens [B, T], not {list(tokens.shape)}")
    return tokens, state


class RecurrentCellModel(RecurrentLanguageModel):
    """A language model whose layer is a cell of N nodes; `naslab.operations.recurrent` says what it computes."""

    optimizations: Optimizations = Optimizations()
    """What it does to be fast: `one_pass` and `compiled_kernel`. May be set at any time."""

    def __init__(self, vocabulary: int, nodes: int, *, hidden: int, dropouts: Dropouts) -> None:
        super().__init__(vocabulary, hidden, dropouts)
        sizes.positive("nodes", nodes)
        self.first = nn.Parameter(torch.empty(2 * hidden, 2 * hidden).uniform_(-INITIAL, INITIAL))
        """W_0 [2 H, 2 H]: the rows of the input, and those of the last output; gates, and candidates."""
        self.nodes = nn.Parameter(torch.empty(nodes, hidden, 2 * hidden).uniform_(-INITIAL, INITIAL))
        """W_1 ... W_N [N, H, 2 H]."""

    def through(self, inputs: Inputs, wiring: Wiring, weights: Tensor, norm: nn.BatchNorm1d | None) -> RecurrentOutputs:
        """Outputs of the cell with this wiring, under the weights [E, 4] of its edges.

        Args:
            norm: of all states, if they are normalised.
        """
        tokens, state = parted(inputs)
        batch = len(tokens)
        x = self.embedded(tokens)
        if state is None:
            state = x.new_zeros(batch, self.hidden)
        elif state.shape != (batch, self.hidden):
            raise SpecError(f"the state must have shape {(batch, self.hidden)}, not {tuple(state.shape)}")
        of_x = self.mask(self.dropouts.dropout_x, batch, self.hidden)
        of_h = self.mask(self.dropouts.dropout_h, batch, self.hidden)
        projected = dropped(x, of_x) @ self.first[: self.hidden]
        given = projected, state, self.first[self.hidden :], self.nodes, weights, wiring, of_h
        if not self.optimizations.one_pass:
            raw = written_out(*given, *([] if norm is None else [norm]))
        else:
            statistics = Statistics(NONE) if norm is None else Statistics.of(norm)
            raw, mean, variance = unrolled(*given, statistics, compiled=self.optimizations.compiled_kernel)
            if norm is not None:
                statistics.move(norm, mean, variance)
        return self.decoded(raw, raw[-1])


class RecurrentCellNetwork(RecurrentCellModel):
    """A language model with one cell, to be trained on its own; its states are not normalised.

    Args:
        genotype: of the cell.
        vocabulary: how many words there are.
        hidden: units (850 in the paper).
        dropouts: in training mode.
    """

    def __init__(self, genotype: RecurrentGenotype, vocabulary: int, *, hidden: int, dropouts: Dropouts) -> None:
        super().__init__(vocabulary, len(genotype.recurrent), hidden=hidden, dropouts=dropouts)
        self.wiring = genotype.wiring

    def forward(self, inputs: Inputs) -> RecurrentOutputs:
        """Scores of what follows each of tokens [B, T], which begin with a state [B, H]."""
        return self.through(inputs, self.wiring, self.wiring.mask(self.bias), None)
