"""Weights that all recurrent cells of a space share, of which a network computes one cell at a time.

As in ENAS (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.1; corrected code in google-research/enas_lm):
for each node, each function and each state that it may read there is one matrix, W[i, f, j]. In DARTS (the supernet of
`naslab.networks.recurrent_supernet`) a node has one matrix for all functions and states.

    c_0, u_0 = [x_t ; h_{t-1}] W_0      s_0 = h_{t-1} + sigmoid(c_0) (tanh(u_0) - h_{t-1})
    c, u = s_j W[i, f, j]               s_i = s_j + sigmoid(c) (f(u) - s_j)

and h_t is the mean of the nodes, s_0 not among them. A child has V H weights of embedding and decoder, 4 H^2 of W_0 and
2 H^2 of each node, and the bias of the decoder.

Differences from that code: it has no bias in the decoder, and it penalises the fourth power of the weights by mistake.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from naslab.networks.recurrent_cell import (
    INITIAL,
    Dropouts,
    Inputs,
    Masks,
    RecurrentLanguageModel,
    layer_outputs,
)
from naslab.networks.recurrent_genotype import RecurrentGenotype
from naslab.networks.recurrent_tagger import RecurrentTaggerModel, TaggerSizes, TagScores
from naslab.operations.optimizations import Optimizations
from naslab.operations.recurrent_wiring import ACTIVATIONS
from naslab.tasks.sequence import RecurrentOutputs


class SharedCells(nn.Module):
    """The weights of one layer of every cell with N nodes: W_0 [2 H, 2 H], and W[i, f, j] [H, 2 H] as a parameter
    "i_f_j" each, so that the matrices that a child does not use have no gradient.

    Args:
        nodes: N.
        hidden: H.
        functions: functions that a node may have.
    """

    def __init__(self, nodes: int, hidden: int, functions: tuple[str, ...] = tuple(ACTIVATIONS)) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.empty(2 * hidden, 2 * hidden).uniform_(-INITIAL, INITIAL))
        self.matrices = nn.ParameterDict(
            {
                _name(node, function, source): nn.Parameter(torch.empty(hidden, 2 * hidden).uniform_(-INITIAL, INITIAL))
                for node in range(1, nodes + 1)
                for function in functions
                for source in range(node)
            }
        )

    def outputs(
        self, child: RecurrentGenotype, x: Tensor, state: Tensor, masks: Masks, optimizations: Optimizations
    ) -> Tensor:
        """Returns the outputs [T, B, H] of a child for inputs [T, B, H] and an initial state [B, H]."""
        own = [
            self.matrices[_name(node, function, source)] for node, (function, source) in enumerate(child.recurrent, 1)
        ]
        wiring = child.wiring
        of_cell = self.first, torch.stack(own), wiring, wiring.mask(x), None
        return layer_outputs(x, state, *of_cell, masks, optimizations)


def _name(node: int, function: str, source: int) -> str:
    return f"{node}_{function}_{source}"


class RecurrentSharedWeights(RecurrentLanguageModel):
    """Language models of all cells of a space.

    Args:
        nodes: N, the number of nodes of a cell.
        functions: functions that a node may have.
        vocabulary: number of words.
        hidden: units.
        dropouts: dropout rates in training mode.
    """

    optimizations: Optimizations = Optimizations()
    """Optimizations for speed: `one_pass` and `compiled_kernel` apply. May be set at any time."""

    def __init__(
        self, nodes: int, functions: tuple[str, ...], vocabulary: int, *, hidden: int, dropouts: Dropouts
    ) -> None:
        super().__init__(vocabulary, hidden, dropouts)
        self.cells = SharedCells(nodes, hidden, functions)

    def forward(self, inputs: Inputs, child: RecurrentGenotype) -> RecurrentOutputs:
        """Returns logits of the next word at each of tokens [B, T], given the initial state [B, H]."""
        return self.read(inputs, partial(self._layer, child))

    def _layer(self, child: RecurrentGenotype, x: Tensor, state: Tensor, masks: Masks) -> Tensor:
        return self.cells.outputs(child, x, state, masks, self.optimizations)


class RecurrentSharedTaggers(RecurrentTaggerModel):
    """Taggers of all cells of a space; arguments as of `RecurrentSharedWeights`, with the sizes that a task needs."""

    def __init__(
        self, nodes: int, functions: tuple[str, ...], needed: TaggerSizes, *, hidden: int, dropouts: Dropouts
    ) -> None:
        layer = partial(SharedCells, nodes, hidden, functions)
        super().__init__(needed, hidden=hidden, dropouts=dropouts, direction=layer)

    def forward(self, inputs: dict[str, Tensor], child: RecurrentGenotype) -> TagScores:
        """Returns scores of tags for words [B, T] and characters [B, T, L]."""

        def layer(of: SharedCells, x: Tensor, state: Tensor, masks: Masks) -> Tensor:
            return of.outputs(child, x, state, masks, self.optimizations)

        return self.read(inputs, layer)
