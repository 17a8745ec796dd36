"""A step of the recurrent supernet of DARTS over the same step as it was published, in turns, by CPU time.

    python -m benchmarks.recurrent            or: python -m benchmarks.recurrent --sizes laptop --rounds 15

A step is the loss of a chunk of a text and its gradient, of the weights or of the architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL = 0.04


class PlainRecurrentSupernet(nn.Module):
    """The network that DARTS searches recurrent cells in, as its authors wrote it: step by step, node by node, function
    by function (https://github.com/quark0/darts, rnn/model.py and rnn/model_search.py).

    Args:
        words: V.
        hidden: H, of the embedding and of the state.
        nodes: N.
        dropout: of outputs, x, h and inputs.
    """

    functions: Mapping[str, Callable[[Tensor], Tensor] | None] = {
        "none": None,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "identity": lambda x: x,
    }

    def __init__(self, words: int, hidden: int, nodes: int, dropout: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.hidden, self.dropout = hidden, dropout
        self.encoder = nn.Embedding(words, hidden)
        self.decoder = nn.Linear(hidden, words)
        self.decoder.weight = self.encoder.weight
        self.first = nn.Parameter(torch.empty(2 * hidden, 2 * hidden))
        self.nodes = nn.ParameterList(nn.Parameter(torch.empty(hidden, 2 * hidden)) for _ in range(nodes))
        self.norm = nn.BatchNorm1d(hidden, affine=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL, INITIAL)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens: Tensor, state: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [T, B, V] of what follows tokens [T, B], and the outputs [T, B, H].

        Args:
            probabilities: [N (N + 1) / 2, 5].
        """
        of_output, of_x, of_h, of_input = self.dropout
        embedded = self._locked(self.encoder(tokens), of_input)
        masks = (self._mask(embedded[0], of_x), self._mask(state, of_h)) if self.training else None
        outputs = []
        for x in embedded:
            state = self._cell(x, state, masks, probabilities)
            outputs.append(state)
        raw = torch.stack(outputs)
        decoded = self.decoder(self._locked(raw, of_output).view(-1, self.hidden))
        return functional.log_softmax(decoded, dim=-1).view(*tokens.shape, -1), raw

    def _cell(self, x: Tensor, h: Tensor, masks: tuple[Tensor, Tensor] | None, probabilities: Tensor) -> Tensor:
        xh = torch.cat([x, h] if masks is None else [x * masks[0], h * masks[1]], dim=-1)
        c, candidate = torch.split(xh.mm(self.first), self.hidden, dim=-1)
        s0 = self.norm(h + c.sigmoid() * (candidate.tanh() - h))
        states, offset = s0.unsqueeze(0), 0
        for node, matrix in enumerate(self.nodes):
            read = states if masks is None else states * masks[1]
            ch = torch.matmul(read.view(-1, self.hidden), matrix).view(node + 1, -1, 2 * self.hidden)
            c, candidate = torch.split(ch, self.hidden, dim=-1)
            c, s = c.sigmoid(), torch.zeros_like(s0)
            for column, function in enumerate(self.functions.values()):
                if function is not None:
                    weight = probabilities[offset : offset + node + 1, column].view(-1, 1, 1)
                    s = s + torch.sum(weight * (states + c * (function(candidate) - states)), dim=0)
            states = torch.cat([states, self.norm(s).unsqueeze(0)])
            offset += node + 1
        return torch.mean(states[1:], dim=0)

    def _mask(self, like: Tensor, rate: float) -> Tensor:
        return torch.floor(torch.rand_like(like) + (1 - rate)) / (1 - rate)

    def _locked(self, x: Tensor, rate: float) -> Tensor:
        """One mask for all steps."""
        if not self.training or not rate:
            return x
        return x * (torch.empty_like(x[:1]).bernoulli_(1 - rate) / (1 - rate))
