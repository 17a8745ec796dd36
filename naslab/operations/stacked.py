"""Operations with parameters on D edges at once: those of all edges that leave one state.

The D edges apply D copies of an operation, with different weights, to the same tensor. One grouped convolution with D
times the channels computes all of them, in a fraction of the time of D small ones.

A stacked operation has the same modules and parameter names as the operation on one edge (`images.py`). Its parameters
are those of the D edges concatenated along the first dimension: edge d owns rows d C to (d + 1) C, where C is the
number of channels. It reads one state [B, C, H, W] and returns [B, D C, H', W'], with the output of edge d in channels
d C to (d + 1) C. The first layer is an ordinary convolution from C to D C channels, since all edges read the same
state; every later layer has D groups, one for each edge. So each output is the sum of the same products as on one edge.

`forward(state, edges, scale, optimizations)`: `state` is the state behind the leading ReLU (`Rectified`); `edges` are
the edges to compute, in order; `scale`, [len(edges) C], multiplies the output. No operation here has affine parameters,
because a learnt scale could undo the weight of an operation in the mixture.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.operations import blending, winograd
from naslab.operations.depthwise import depthwise, grid
from naslab.operations.indexing import picked, put
from naslab.operations.optimizations import Optimizations


def rows_of_edges(stack: Tensor, total: int, edges: Sequence[int]) -> Tensor:
    """Returns the rows of these edges in a tensor [total * R, ...]: a view if the edges are adjacent, else a copy."""
    if len(edges) == total:
        return stack
    return picked(stack.unflatten(0, (total, -1)), edges).flatten(0, 1)


class Rectified:
    """A state behind the leading ReLU, with its repetitions for depthwise convolutions; each is computed once."""

    def __init__(self, state: Tensor) -> None:
        self.x = F.relu(state)  # [B, C, H, W]
        self._repeated: dict[tuple[int, int], Tensor] = {}

    def repeated(self, edges: int, every: int = 1) -> Tensor:
        """Returns [B, edges C, ...]: one copy for each edge of every row and column whose index `every` divides."""
        if (edges, every) not in self._repeated:
            self._repeated[edges, every] = torch.cat([self.x[:, :, ::every, ::every]] * edges, dim=1)
        return self._repeated[edges, every]


class StackedConv(nn.Conv2d):
    """D convolutions side by side, each from channels_in to channels; the first of an operation reads one state."""

    def __init__(
        self,
        edges: int,
        channels_in: int,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        *,
        first: bool = False,
    ) -> None:
        groups = 1 if first else edges
        super().__init__(groups * channels_in, edges * channels, kernel, stride, padding, groups=groups, bias=False)
        self.edges, self.first = edges, first

    def forward(self, x: Tensor, edges: Sequence[int], optimizations: Optimizations | None = None) -> Tensor:  # type: ignore[override]
        """Returns the outputs of these edges; if there are `optimizations`, of 3 x 3 pixels by minimal filtering."""
        weight = rows_of_edges(self.weight, self.edges, edges)
        if optimizations is not None and optimizations.minimal_filtering and self._filters(x, weight):
            return winograd.convolution(x, weight)
        return F.conv2d(x, weight, None, self.stride, self.padding, 1, 1 if self.first else len(edges))

    def _filters(self, x: Tensor, weight: Tensor) -> bool:
        return self.first and self.stride == (1, 1) and self.padding == (1, 1) and winograd.fits(x, weight)


class StackedDepthwise(nn.Conv2d):
    """D depthwise convolutions side by side."""

    def __init__(self, edges: int, channels: int, kernel: int, stride: int, dilation: int) -> None:
        width = edges * channels
        padding = dilation * (kernel // 2)
        super().__init__(width, width, kernel, stride, padding, dilation, groups=width, bias=False)
        self.edges = edges

    def forward(self, x: Tensor | Rectified, edges: Sequence[int], optimizations: Optimizations) -> Tensor:  # type: ignore[override]
        (stride, _), (dilation, _) = self.stride, self.dilation
        if isinstance(x, Rectified):  # depthwise, so that every edge needs a copy of the state
            every = grid(stride, dilation, optimizations)
            x, stride, dilation = x.repeated(len(edges), every), stride // every, dilation // every
        return depthwise(x, rows_of_edges(self.weight, self.edges, edges), stride, dilation, optimizations)


class StackedNorm(nn.BatchNorm2d):
    """D batch normalisations without affine parameters side by side; edges left out keep their statistics."""

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__(edges * channels, affine=False)
        self.edges = edges
        self.num_batches_tracked = torch.zeros(edges, dtype=torch.long)

    def forward(self, x: Tensor, edges: Sequence[int], scale: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Returns x [B, len(edges) C, H, W] normalised and multiplied by the scale [len(edges) C]."""
        assert self.running_mean is not None
        assert self.running_var is not None
        own = [self.running_mean, self.running_var]
        some = len(edges) < self.edges
        rows = [s.unflatten(0, (self.edges, -1)) for s in own] if some else []
        mean, variance = [picked(row, edges).clone().flatten() for row in rows] if some else own
        moving = self.training and self.track_running_stats
        statistics = (mean, variance) if moving or not self.training else (None, None)
        scale = None if scale is None else scale.to(self.running_mean.dtype)  # under autocast x has fewer bits
        y = F.batch_norm(x, *statistics, scale, None, self.training, self.momentum or 0.0, self.eps)
        if moving:
            self._count(edges)
        if moving and some:
            # batch_norm updated copies of the rows; write them back
            for row, moved in zip(rows, (mean, variance), strict=True):
                put(row, edges, moved.unflatten(0, (len(edges), -1)))
        return y

    def update_statistics(self, mean: Tensor, variance: Tensor, edges: Sequence[int]) -> None:
        """Update the running statistics, if tracked, by those [len(edges) C] of a batch; the variance is unbiased."""
        if not self.track_running_stats:
            return
        momentum = self.momentum or 0.0
        for buffer, found in ((self.running_mean, mean), (self.running_var, variance)):
            assert buffer is not None
            if len(edges) == self.edges:
                buffer.lerp_(found.to(buffer), momentum)
            else:
                own = buffer.unflatten(0, (self.edges, -1))
                put(own, edges, picked(own, edges).lerp(found.to(buffer).unflatten(0, (len(edges), -1)), momentum))
        self._count(edges)

    def _count(self, edges: Sequence[int]) -> None:
        """Count a mini-batch for these edges."""
        counts: Tensor = self.num_batches_tracked  # type: ignore[assignment]
        if len(edges) == self.edges:
            counts.add_(1)
        else:
            put(counts, edges, picked(counts, edges) + 1)

    def scaled(self, x: Tensor, edges: Sequence[int], scale: Tensor | None, optimizations: Optimizations) -> Tensor:
        """Returns what `forward` does, by the fastest available code."""
        if one_pass(optimizations, [self], [x]):
            scale = x.new_ones(x.shape[1]) if scale is None else scale
            return blended([self], [x], [scale], edges, 1)[0]
        if scale is None or optimizations.weighted_norm:
            return self(x, edges, scale)
        return self(x, edges) * scale.view(1, -1, 1, 1)


def one_pass(
    optimizations: Optimizations,
    norms: Sequence[StackedNorm],
    stacked: Sequence[Tensor],
    shared: Sequence[Tensor] = (),
    edges: int = 1,
) -> bool:
    """Returns True if `blended` applies: switched on, all norms in training mode, and the kernel fits the tensors."""
    wanted = optimizations.one_pass and optimizations.weighted_norm and all(norm.training for norm in norms)
    return wanted and blending.fits(stacked, shared, edges)


def blended(
    norms: Sequence[StackedNorm],
    stacked: Sequence[Tensor],
    scales: Sequence[Tensor],
    edges: Sequence[int],
    parts: int,
    shared: Sequence[Tensor] = (),
    weight: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Returns the weighted sum of K normalised and S other tensors, in one pass over memory (`blending.py`).

    Also updates the running statistics of the norms.

    Args:
        norms: K normalisations.
        stacked: K tensors [B, len(edges) C, H, W].
        scales: K tensors [len(edges) C].
        edges: edges that the stacked tensors belong to.
        parts: D, 1 or len(edges): number of tensors that the sum is split into.
        shared: S tensors [B, C, H, W].
        weight: [S, D], weights of the shared tensors.

    Returns:
        D tensors with len(edges) C channels in total.
    """
    scale = torch.stack([scale.to(stacked[0]) for scale in scales])
    found, means, variances = blending.blended(norms[0].eps, parts, stacked, scale, shared, weight)
    for norm, mean, variance in zip(norms, means.unbind(), variances.unbind(), strict=True):
        norm.update_statistics(mean, variance, edges)
    return found


class Normed(nn.Sequential):
    """A stacked operation that ends in a normalisation."""

    @abstractmethod
    def convolved(self, state: Any, edges: Sequence[int], optimizations: Optimizations) -> tuple[Tensor, StackedNorm]:
        """Returns the input of the last normalisation, and that normalisation.

        The caller then normalises the outputs of several operations and sums them in one pass.

        Args:
            state: a `Rectified`, or for an operation behind another one the output of that.
        """

    def forward(  # type: ignore[override]
        self, state: Any, edges: Sequence[int], scale: Tensor | None, optimizations: Optimizations
    ) -> Tensor:
        x, norm = self.convolved(state, edges, optimizations)
        return norm.scaled(x, edges, scale, optimizations)


class StackedDilatedConv(Normed):
    """`DilatedConv`: ReLU, depthwise, pointwise, normalisation."""

    def __init__(
        self, edges: int, channels: int, kernel: int, stride: int, dilation: int = 2, *, first: bool = True
    ) -> None:
        super().__init__(
            nn.Identity() if first else nn.ReLU(),
            StackedDepthwise(edges, channels, kernel, stride, dilation),
            StackedConv(edges, channels, channels, 1),
            StackedNorm(edges, channels),
        )

    def convolved(
        self, state: Tensor | Rectified, edges: Sequence[int], optimizations: Optimizations
    ) -> tuple[Tensor, StackedNorm]:
        activation, depthwise, pointwise, norm = self
        return pointwise(depthwise(activation(state), edges, optimizations), edges), norm  # type: ignore[return-value]


class StackedSeparableConv(Normed):
    """`SeparableConv`: two depthwise separable convolutions."""

    def __init__(self, edges: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__(
            StackedDilatedConv(edges, channels, kernel, stride, dilation=1),
            StackedDilatedConv(edges, channels, kernel, 1, dilation=1, first=False),
        )

    def convolved(self, state: Any, edges: Sequence[int], optimizations: Optimizations) -> tuple[Tensor, StackedNorm]:
        first, second = self
        return second.convolved(first(state, edges, None, optimizations), edges, optimizations)  # type: ignore[operator]


class StackedFactorizedConv(Normed):
    """`FactorizedConv`: ReLU, 1 x k, k x 1, normalisation."""

    def __init__(self, edges: int, channels: int, kernel: int, stride: int) -> None:
        half = kernel // 2
        super().__init__(
            nn.Identity(),
            StackedConv(edges, channels, channels, (1, kernel), (1, stride), (0, half), first=True),
            StackedConv(edges, channels, channels, (kernel, 1), (stride, 1), (half, 0)),
            StackedNorm(edges, channels),
        )

    def convolved(self, state: Any, edges: Sequence[int], optimizations: Optimizations) -> tuple[Tensor, StackedNorm]:
        _, across, down, norm = self
        return down(across(state.x, edges), edges), norm  # type: ignore[return-value]


class StackedReLUConvBN(Normed):
    """`ReLUConvBN` of stride 1 from C to C channels."""

    def __init__(self, edges: int, channels: int, kernel: int) -> None:
        super().__init__(
            nn.Identity(),
            StackedConv(edges, channels, channels, kernel, 1, kernel // 2, first=True),
            StackedNorm(edges, channels),
        )

    def convolved(self, state: Any, edges: Sequence[int], optimizations: Optimizations) -> tuple[Tensor, StackedNorm]:
        _, convolution, norm = self
        return convolution(state.x, edges, optimizations), norm  # type: ignore[return-value]


class StackedFactorizedReduce(Normed):
    """`FactorizedReduce` from C to C channels."""

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__()
        self.even = StackedConv(edges, channels, channels // 2, 1, first=True)
        self.odd = StackedConv(edges, channels, channels - channels // 2, 1, first=True)
        self.norm = StackedNorm(edges, channels)

    def convolved(self, state: Any, edges: Sequence[int], optimizations: Optimizations) -> tuple[Tensor, StackedNorm]:
        x = state.x
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        even, odd = self.even(x[:, :, ::2, ::2], edges), self.odd(x[:, :, 1::2, 1::2], edges)
        if self.even.out_channels == 0:  # one channel: the odd half has it
            return odd, self.norm
        # From the even halves of all edges and the odd halves of all edges to both halves of edge 0, of edge 1, ...
        halves = zip(even.chunk(len(edges), dim=1), odd.chunk(len(edges), dim=1), strict=True)
        return torch.cat([part for pair in halves for part in pair], dim=1), self.norm


def average_pooled(pool: nn.AvgPool2d, x: Tensor) -> Tensor:
    """Returns `pool(x)` (padding not counted) by a convolution: the sum of each window over its number of pixels."""
    settings = int(pool.kernel_size), int(pool.stride), int(pool.padding)  # type: ignore[arg-type]
    ones, shares = _averaging(x.shape[1], (x.shape[2], x.shape[3]), settings, x.dtype)
    return F.conv2d(x, ones, None, *settings[1:], 1, x.shape[1]) * shares


@cache
def _averaging(
    channels: int, sides: tuple[int, int], settings: tuple[int, int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Returns the kernel of a sum, and for each output pixel the reciprocal of its number of pixels without padding."""
    kernel, stride, padding = settings
    # The result is cached, so it must not be an inference tensor, which later could not be saved for a backward pass.
    with torch.inference_mode(False):
        rows, columns = (
            F.avg_pool1d(torch.ones(1, side, dtype=torch.float64), kernel, stride, padding)[0] * kernel
            for side in sides
        )
        return torch.ones(channels, 1, kernel, kernel, dtype=dtype), torch.outer(rows, columns).reciprocal().to(dtype)


STACKED: dict[str, Callable[[int, int, int], Normed]] = {
    "skip_connect": lambda edges, channels, stride: StackedFactorizedReduce(edges, channels),
    "sep_conv_3x3": lambda edges, channels, stride: StackedSeparableConv(edges, channels, 3, stride),
    "sep_conv_5x5": lambda edges, channels, stride: StackedSeparableConv(edges, channels, 5, stride),
    "sep_conv_7x7": lambda edges, channels, stride: StackedSeparableConv(edges, channels, 7, stride),
    "dil_conv_3x3": lambda edges, channels, stride: StackedDilatedConv(edges, channels, 3, stride),
    "dil_conv_5x5": lambda edges, channels, stride: StackedDilatedConv(edges, channels, 5, stride),
    "conv_7x1_1x7": lambda edges, channels, stride: StackedFactorizedConv(edges, channels, 7, stride),
    "nor_conv_1x1": lambda edges, channels, stride: StackedReLUConvBN(edges, channels, 1),
    "nor_conv_3x3": lambda edges, channels, stride: StackedReLUConvBN(edges, channels, 3),
}
"""(edges, channels, stride) -> the module. Operations that are not here have no parameters at stride 1."""
