"""The network that DARTS searches recurrent cells in (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 2.2 and
A.1.2).

Every node reads every earlier state through every function at once:

    c_j, u_j = s_j W_i
    s_i = norm( sum over j < i and functions f of  p[i, j, f] (s_j + sigmoid(c_j) (f(u_j) - s_j)) )

and the output is the mean of all nodes. `none` contributes nothing to the sum, but has its share of a row of p. All
states that a node reads share its matrix W_i: with 8 nodes there are 8 matrices, not 36.

`norm` is one batch normalisation without scale and shift for s_0, all nodes and all steps. In training mode each state
is normalised over the batch; in evaluation mode by running statistics that mix those of all states, so that the loss in
evaluation mode differs from that in training mode. With few sequences in a batch gradients grow, because at the first
step h is 0 and the values to be normalised are small; at least 8 sequences are advisable.

The mixture says what is computed: a node multiplies only those states that it reads through some function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks.mixture import Mixture, mixture
from naslab.networks.recurrent_cell import Dropouts, Inputs, RecurrentCellModel, parted
from naslab.operations import indexing
from naslab.operations.recurrent_wiring import ACTIVATIONS, Wiring
from naslab.tasks.sequence import RecurrentOutputs

PART = "recurrent"
RECURRENT_OPERATIONS = ("none", *ACTIVATIONS)
"""In the order of the authors' code: none, tanh, relu, sigmoid, identity."""


def row(node: int, source: int) -> int:
    """Returns the row of the mixture weights for the edge from a state (0: s_0) to node i (1, 2, ...)."""
    return node * (node - 1) // 2 + source


class CellMixture:
    """The candidates of all edges of a recurrent cell, and what a mixture of them computes.

    Args:
        operations: the candidates, in the order of the columns of the weights.
        nodes: N; node i has i edges, so that there are E = N (N + 1) / 2.
    """

    def __init__(self, operations: Sequence[str], nodes: int) -> None:
        self.operations, self.nodes = tuple(operations), nodes
        self.shape = (row(nodes + 1, 0), len(operations))
        """[E, O]."""

    def wired(self, weights: Mapping[str, Tensor | Mixture]) -> tuple[Wiring, Tensor]:
        """Returns the wiring that the weights {"recurrent": [E, O]} compute, and its weights [edges that are read, 4].

        Raises:
            SpecError: the mixture drops skip connections, which a recurrent cell lacks.
        """
        mixed = mixture(weights, PART, *self.shape)
        if mixed.masks is not None:
            raise SpecError("a recurrent supernet has no skip connections to drop behind; leave SkipDropout out")
        columns = [self.operations.index(name) if name in self.operations else None for name in ACTIVATIONS]
        wiring, rows = self._wiring(mixed.used, columns)
        matrix = mixed.weights if len(rows) == self.shape[0] else indexing.picked(mixed.weights, rows)
        nothing = matrix.new_zeros(len(rows))
        picked = [nothing if column is None else matrix[:, column] for column in columns]
        return wiring, torch.stack(picked, dim=1)

    def costs(self, figure: str, matrices: Sequence[Tensor]) -> dict[str, Tensor]:
        """Returns part -> [E, O], the cost of a function on an edge.

        Args:
            figure: "multiply_adds", of one token: those of a product with W_i, whatever the function; or "parameters",
                the edge's share of those of W_i.
            matrices: W_1 ... W_N of one layer.
        """
        costs = torch.zeros(self.shape)
        for node, matrix in enumerate(matrices, start=1):
            costs[row(node, 0) : row(node + 1, 0)] = matrix.numel() / (1 if figure == "multiply_adds" else node)
        if "none" in self.operations:
            costs[:, self.operations.index("none")] = 0
        return {PART: costs}

    def _wiring(self, used: Sequence[Sequence[bool]], columns: list[int | None]) -> tuple[Wiring, list[int]]:
        """Returns what is read, and the rows of the weights that this takes."""
        sources, functions, rows = [], [], []
        for node in range(1, self.nodes + 1):
            of_node = {
                source: tuple(column is not None and used[row(node, source)][column] for column in columns)
                for source in range(node)
            }
            read = {source: which for source, which in of_node.items() if any(which)}
            sources.append(tuple(read))
            functions.append(tuple(read.values()))
            rows += [row(node, source) for source in read]
        return Wiring(tuple(sources), tuple(functions), tuple(range(1, self.nodes + 1))), rows


def at_least_two(training: bool, sequences: int) -> None:
    """Raises `SpecError` in training mode for a single sequence, over which nothing can be normalised."""
    if training and sequences == 1:
        raise SpecError(
            "the states of a recurrent supernet are normalised over the batch, and there is one sequence in it; "
            "take batch_size=8 or more"
        )


class RecurrentSupernet(RecurrentCellModel):
    """All recurrent cells of a space at once.

    Args:
        operations: the candidates, in the order of the columns of the weights.
        nodes: N; node i has i edges, so that there are E = N (N + 1) / 2.
        vocabulary: how many words there are.
        hidden: units (300 in the paper).
        dropouts: in training mode.
    """

    takes_mixtures = True
    compilable = False
    """The gradient of a chunk of text is explicit (`operations/recurrent.py`), which a compiler cannot follow, and its
    length varies from step to step."""

    def __init__(
        self, operations: Sequence[str], nodes: int, vocabulary: int, *, hidden: int, dropouts: Dropouts
    ) -> None:
        super().__init__(vocabulary, nodes, hidden=hidden, dropouts=dropouts)
        self.candidates = CellMixture(operations, nodes)
        self.norm = nn.BatchNorm1d(hidden, affine=False)

    def forward(self, inputs: Inputs, weights: Mapping[str, Tensor | Mixture]) -> RecurrentOutputs:
        """Scores of what follows each of tokens [B, T], which begin with a state [B, H], under the weights
        {"recurrent": [E, O]}."""
        tokens, _ = parted(inputs)
        at_least_two(self.training, len(tokens))
        return self.through(inputs, *self.candidates.wired(weights), self.norm)

    def operation_costs(self, figure: str) -> dict[str, Tensor]:
        """Returns part -> [E, O], the cost of a function on an edge: see `CellMixture.costs`."""
        return self.candidates.costs(figure, list(self.nodes))
