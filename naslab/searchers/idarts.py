"""I-DARTS: improved differentiable search (Jiang, Hu, Xiao, Zhang & Zhu 2019, https://aclanthology.org/D19-1367).

    DARTS, but the operations of all edges that enter a node share one softmax:

        weight(edge, o) = exp(alpha[edge, o]) / sum over edges e' into the node, operations o' of exp(alpha[e', o'])

so that edges compete, and "the strongest edge" compares numbers of one distribution. First order.

In an event the rows of `probabilities` are an edge's part of its node's distribution: the rows of a node sum to one
together. `entropy` is that of the nodes' distributions, summed and divided by the number of edges.

Difference from the paper: the paper searches recurrent cells, which keep the operations of largest weight, several
between two nodes or none; here the space derives the cell by its own rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.searchers.gradient import GradientSearcher, JointSoftmax, Parts, Training


@dataclass(frozen=True, kw_only=True)
class IDartsHyperparameters(Training):
    """Defaults are those of DARTS on images: the paper has none for images."""


class IDarts(GradientSearcher):
    """DARTS with one softmax for all edges into a node, on any space with a supernet."""

    name = "idarts"
    Hyperparameters = IDartsHyperparameters

    @classmethod
    def compose(cls, hyper: IDartsHyperparameters) -> Parts:
        return Parts(mixing=JointSoftmax())
