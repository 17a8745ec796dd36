"""A language model with an LSTM (Hochreiter and Schmidhuber 1997), a baseline for recurrent cells that a search found.

It has the same regularization, by masks that are drawn once for a whole chunk of a text (`recurrent_cell.py`; Merity et
al. 2017, https://arxiv.org/abs/1708.02182), except dropout of h, which PyTorch's fused LSTM does not support.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.networks.recurrent_cell import INITIAL, Dropouts, RecurrentLanguageModel, dropped, parted
from naslab.tasks.sequence import RecurrentOutputs

Inputs = Tensor | tuple[Tensor, tuple[Tensor, Tensor] | None]
"""Tokens [B, T]; or these and the state, h and c [B, H], that they begin with, None for zeros."""


class LSTMLanguageModel(RecurrentLanguageModel):
    """A language model with an LSTM of one layer.

    Args:
        vocabulary: how many words there are.
        hidden: units.
        dropouts: in training mode; `dropout_h` is not used.
    """

    def __init__(self, vocabulary: int, *, hidden: int, dropouts: Dropouts) -> None:
        super().__init__(vocabulary, hidden, dropouts)
        self.lstm = nn.LSTM(hidden, hidden)
        for weight in self.lstm.parameters():
            nn.init.uniform_(weight, -INITIAL, INITIAL)

    @classmethod
    def of_size(cls, parameters: int, vocabulary: int, *, dropouts: Dropouts) -> LSTMLanguageModel:
        """The model whose number of parameters is nearest to the given one.

        With H units and V words it has V H + V of the decoder, which is the embedding, and 8 H^2 + 8 H of the LSTM.
        """
        sizes.positive("vocabulary", vocabulary)
        if not isinstance(parameters, int) or parameters < _size(1, vocabulary):
            raise SpecError(
                f"parameters must be a whole number from {_size(1, vocabulary)} up, which one unit and {vocabulary} "
                f"words take, not {parameters!r:.100}"
            )
        linear = vocabulary + 8  # H solves 8 H^2 + linear H + V = parameters
        hidden = (math.isqrt(linear**2 + 32 * (parameters - vocabulary)) - linear) // 16
        nearest = min((hidden, hidden + 1), key=lambda h: abs(_size(h, vocabulary) - parameters))
        return cls(vocabulary, hidden=nearest, dropouts=dropouts)

    def forward(self, inputs: Inputs) -> RecurrentOutputs:
        """Scores of what follows each of tokens [B, T], which begin with a state (h, c), each [B, H]."""
        tokens, state = parted(inputs)
        x = self.embedded(tokens)
        x = dropped(x, self.mask(self.dropouts.dropout_x, len(tokens), self.hidden))
        before = None
        if state is not None:
            expected = (len(tokens), self.hidden)
            if len(state) != 2 or any(one.shape != expected for one in state):
                raise SpecError(f"the state of an LSTM is a pair (h, c) of tensors of shape {expected}")
            before = tuple(one[None] for one in state)
        raw, after = self.lstm(x, before)
        return self.decoded(raw, tuple(one[0] for one in after))


def _size(hidden: int, vocabulary: int) -> int:
    """Parameters of a model with so many units."""
    return vocabulary * hidden + vocabulary + 8 * hidden * hidden + 8 * hidden
