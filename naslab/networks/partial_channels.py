"""Operations on a part of the channels (PC-DARTS, Xu et al. 2020, https://arxiv.org/abs/1907.05737, Eq. 3).

Of the C channels of a state, the first C / K go through the operations; the others bypass them, and are halved by
max-pooling where the operations halve. Then the channels are shuffled, so that the next edge operates on others:

    operation_K(x) = shuffle(concatenate(operation(x[: C / K]), bypass(x[C / K :])))

The mixture is the sum of weight * operation_K(x), in which the weight of the bypassed channels is the sum of the
weights of all operations on the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks.mixture import MixedEdges, Mixture, pixels_together, total
from naslab.operations.optimizations import Optimizations


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Returns x [B, C, H, W] with channel j of group i as channel j * groups + i."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class PartialMixedEdges(nn.Module):
    """`MixedEdges`, all candidate operations on the D edges that leave one state, on one channel in `one_in`."""

    def __init__(
        self,
        one_in: int,
        operations: Sequence[str],
        rows: Sequence[int],
        channels: int,
        stride: int,
        without_parameters: Callable[[str, int, int], nn.Module],
    ) -> None:
        super().__init__()
        if channels % one_in:
            raise SpecError(
                f"one channel in {one_in} of {channels} is no whole number; the channels must be a multiple of {one_in}"
            )
        self.one_in = one_in
        self.part = MixedEdges(operations, rows, channels // one_in, stride, without_parameters)
        self.past = nn.MaxPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.rows, self.columns = self.part.rows, self.part.columns

    def forward(self, x: Tensor, mixture: Mixture, optimizations: Optimizations) -> list[list[Tensor]]:
        """Returns for each edge a list with its output [B, C, ceil(H / stride), ceil(W / stride)], or without any.

        x is [B, C, H, W].
        """
        worked, left = x.split((x.shape[1] // self.one_in, x.shape[1] - x.shape[1] // self.one_in), dim=1)
        past = self.past(left)
        shares = mixture.weights.sum(dim=1).to(x)  # [D]
        found: list[list[Tensor]] = []
        outputs = self.part(
            pixels_together(worked) if optimizations.pixels_together else worked, mixture, optimizations
        )
        for terms, used, share in zip(outputs, mixture.used, shares.unbind(), strict=True):
            if any(used):
                output = total(terms) if terms else past.new_zeros(len(x), worked.shape[1], *past.shape[2:])
                found.append([shuffled(torch.cat([output, share * past], dim=1), self.one_in)])
            else:
                found.append([])
        return found

    def drops_skips(self, *, identity_only: bool) -> bool:
        return self.part.drops_skips(identity_only=identity_only)

    def tensors(self) -> Iterator[tuple[str, int, str, bool]]:
        return ((f"part.{name}", column, own, divided) for name, column, own, divided in self.part.tensors())


def leaving(
    one_in: int,
    operations: Sequence[str],
    rows: Sequence[int],
    channels: int,
    stride: int,
    without_parameters: Callable[[str, int, int], nn.Module],
) -> MixedEdges | PartialMixedEdges:
    """Returns all candidates on the edges that leave one state, on all channels (`one_in` = 1) or on some."""
    if one_in == 1:
        return MixedEdges(operations, rows, channels, stride, without_parameters)
    return PartialMixedEdges(one_in, operations, rows, channels, stride, without_parameters)
