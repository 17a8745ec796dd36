"""What describes a gated recurrent cell: its wiring, its activation functions, its normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
"""The functions f, in the order of the columns of the weights p."""
SMOOTH = ("tanh", "sigmoid")
"""Those that take an exponential."""
NONE, BATCH, GIVEN = range(3)
"""How states are normalised: not at all, over the batch, by given statistics."""

Normalise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Wiring:
    """Which states the nodes of a cell read, by which functions, and which states are its output.

    The edges are counted node after node, and for each in the order of its sources: their number E is that of the rows
    of the weights p [E, 4].
    """

    sources: tuple[tuple[int, ...], ...]
    """For each node, the states that it reads, in ascending order; 0 is s_0, i is node i."""
    used: tuple[tuple[tuple[bool, ...], ...], ...]
    """For each node and each of its sources, which functions are computed, in the order of `ACTIVATIONS`."""
    output: tuple[int, ...]
    """The states whose mean the cell gives."""

    @property
    def states(self) -> int:
        """N + 1."""
        return len(self.sources) + 1

    @cached_property
    def rows(self) -> list[slice]:
        """For each node, its rows of the weights."""
        ends = [sum(map(len, self.sources[: node + 1])) for node in range(len(self.sources))]
        return [slice(end - len(of_node), end) for end, of_node in zip(ends, self.sources, strict=True)]

    @cached_property
    def runs(self) -> list[list[tuple[int, int, int]]]:
        """For each node, its sources as (position among them, first state, state after the last one) of those that
        follow one another, which are one product of matrices."""
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
        """[E, 4]: 1 where a function is computed, else 0."""
        used = [edge for of_node in self.used for edge in of_node]
        return torch.tensor(used, dtype=like.dtype, device=like.device).reshape(-1, len(ACTIVATIONS))


@dataclass(frozen=True)
class Statistics:
    """How states are normalised, without scale and shift."""

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
        """Those that a normalisation without scale and shift uses, in the mode that it is in."""
        if norm.training or norm.running_mean is None or norm.running_var is None:
            return cls(BATCH, norm.eps)
        return cls(GIVEN, norm.eps, norm.running_mean, norm.running_var)

    def move(self, norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics of a normalisation by those [T, S, H] of batches, as if they came one by one."""
        if self.kind != BATCH or not norm.track_running_stats:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        kept, factors = 1.0, []
        count = mean.shape[0] * mean.shape[1]
        moved = 0 if norm.momentum is not None else int(norm.num_batches_tracked)
        for number in reversed(range(count)):  # the last one counts most
            share = 1 / (moved + number + 1) if norm.momentum is None else norm.momentum
            factors.append(share * kept)
            kept *= 1 - share
        with torch.no_grad():
            factor = mean.new_tensor(factors[::-1])
            norm.running_mean.mul_(kept).add_(factor @ mean.flatten(0, 1))
            norm.running_var.mul_(kept).add_(factor @ variance.flatten(0, 1))
            norm.num_batches_tracked.add_(count)

    def filled_up(self, missing: int) -> Statistics:
        """The same for so many more hidden units, which are zeros."""
        if self.mean is None or self.variance is None:
            return self
        return replace(self, mean=F.pad(self.mean, (0, missing)), variance=F.pad(self.variance, (0, missing), value=1))

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, H], normalised."""
        if self.kind == NONE:
            return x
        return F.batch_norm(x, self.mean, self.variance, None, None, self.kind == BATCH, 0.0, self.epsilon)


UNNORMALISED = Statistics(NONE)
