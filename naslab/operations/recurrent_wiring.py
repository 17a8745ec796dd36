"""Description of a gated recurrent cell: its wiring, its activation functions, its normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.operations.indexing import index_on
from naslab.transfer import to_device

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
"""The functions f, in the order of the columns of the weights p."""
SMOOTH = ("tanh", "sigmoid")
"""Functions that need an exponential; a node without them has a faster branch in the kernel."""
NONE, BATCH, GIVEN = range(3)
"""Kinds of normalisation: none, by statistics of the batch, by given statistics. `recurrent.c` has the same enum."""

Normalise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Wiring:
    """Which states the nodes of a cell read, by which functions, and which states are its output.

    Edges are numbered node after node, and for each node in the order of its sources; the weights p are [E, 4].
    """

    sources: tuple[tuple[int, ...], ...]
    """For each node, the states that it reads, in ascending order; 0 is s_0, i is node i."""
    used: tuple[tuple[tuple[bool, ...], ...], ...]
    """For each node and each of its sources, which functions are computed, in the order of `ACTIVATIONS`."""
    output: tuple[int, ...]
    """States whose mean is the output of the cell."""

    @property
    def states(self) -> int:
        """Number of states, N + 1."""
        return len(self.sources) + 1

    @cached_property
    def rows(self) -> list[slice]:
        """For each node, its rows of the weights [E, 4]."""
        ends = [sum(map(len, self.sources[: node + 1])) for node in range(len(self.sources))]
        return [slice(end - len(of_node), end) for end, of_node in zip(ends, self.sources, strict=True)]

    @cached_property
    def runs(self) -> list[list[tuple[int, int, int]]]:
        """For each node, its sources as runs of consecutive states: (position of the first among the sources, first
        state, state after the last). A run is one matrix product."""
        found = []
        for of_node in self.sources:
            runs: list[tuple[int, int, int]] = []
            for position, source in enumerate(of_node):
                if runs and runs[-1][2] == source:
                    runs[-1] = (*runs[-1][:2], source + 1)
                else:
                    runs.append((position, source, source + 1))
            found.append(runs)
        return found

    def mask(self, like: Tensor) -> Tensor:
        """Returns [E, 4]: 1 where a function is computed, else 0."""
        used = tuple(int(function) for of_node in self.used for edge in of_node for function in edge)
        return index_on(used, like.device).to(like.dtype).reshape(-1, len(ACTIVATIONS))


@dataclass(frozen=True)
class Statistics:
    """Normalisation of states, without scale and shift."""

    kind: int
    """`NONE`, `BATCH` or `GIVEN`."""
    epsilon: float = 0.0
    """Added to a variance before the root."""
    mean: Tensor | None = None
    """[H], if given."""
    variance: Tensor | None = None
    """[H], if given."""

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> Statistics:
        """Returns the statistics that a module without scale and shift uses in its present mode."""
        if norm.training or norm.running_mean is None or norm.running_var is None:
            return cls(BATCH, norm.eps)
        return cls(GIVEN, norm.eps, norm.running_mean, norm.running_var)

    def move(self, norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics of a module by those [T, S, H] of T S batches, as if they came one by one.

        Each update is r <- (1 - share) r + share m; all of them are one weighted sum, whose factors are computed here.
        """
        if self.kind != BATCH or not norm.track_running_stats:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        kept, factors = 1.0, []
        count = mean.shape[0] * mean.shape[1]
        moved = 0 if norm.momentum is not None else int(norm.num_batches_tracked)
        for number in reversed(range(count)):  # the last batch has the largest factor, earlier ones decay
            share = 1 / (moved + number + 1) if norm.momentum is None else norm.momentum
            factors.append(share * kept)
            kept *= 1 - share
        with torch.no_grad():
            factor = to_device(torch.tensor(factors[::-1], dtype=mean.dtype), mean.device)
            norm.running_mean.mul_(kept).add_(factor @ mean.flatten(0, 1))
            norm.running_var.mul_(kept).add_(factor @ variance.flatten(0, 1))
            norm.num_batches_tracked.add_(count)

    def padded(self, missing: int) -> Statistics:
        """Returns the statistics with `missing` more units, of mean 0 and variance 1."""
        if self.mean is None or self.variance is None:
            return self
        return replace(self, mean=F.pad(self.mean, (0, missing)), variance=F.pad(self.variance, (0, missing), value=1))

    def __call__(self, x: Tensor) -> Tensor:
        """Returns x [B, H] normalised."""
        if self.kind == NONE:
            return x
        return F.batch_norm(x, self.mean, self.variance, None, None, self.kind == BATCH, 0.0, self.epsilon)


UNNORMALISED = Statistics(NONE)
