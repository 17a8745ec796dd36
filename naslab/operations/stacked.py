"""Operations with parameters on D edges at once: those of all edges that leave one state.

A stacked operation has the modules, and the names of parameters, of the operation on one edge (`images.py`), with the
parameters of D edges one after the other along the first dimension: edge d owns rows d C to (d + 1) C, where C is the
number of channels. It reads one state [B, C, H, W] and gives [B, D C, H', W'], the output of edge d in channels d C to
(d + 1) C. Its first layer reads the state D times over, every other layer its own edge only (D groups).

`forward(state, edges, scale, optimizations)`: `state`, behind the leading ReLU, see `Rectified`; `edges`, the edges to
compute, in order; `scale`, [len(edges) C], what to multiply the output with. No operation here has affine parameters.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.operations import blending
from naslab.operations.depthwise import depthwise, grid
from naslab.operations.optimizations import Optimizations


def of_edges(stack: Tensor, total: int, edges: Sequence[int]) -> Tensor:
    """The rows of these edges in a tensor [total * R, ...]: a view if the edges are neighbours, a copy otherwise."""
    if len(edges) == total:
        return stack
    by_edge = stack.unflatten(0, (total, -1))
    if edges[-1] - edges[0] == len(edges) - 1:
        return by_edge.narrow(0, edges[0], len(edges)).flatten(0, 1)
    return by_edge[list(edges)].flatten(0, 1)


class Rectified:
    """max(state, 0), and what the operations on several edges need it for, made once."""

    def __init__(self, state: Tensor) -> None:
        self.x = F.relu(state)  # [B, C, H, W]
        self._repeated: dict[tuple[int, int], Tensor] = {}

    def repeated(self, edges: int, every: int = 1) -> Tensor:
        """Every so many rows and columns of x, one copy an edge: [B, edges C, ...]."""
        if (edges, every) not in self._repeated:
            self._repeated[edges, every] = torch.cat([self.x[:, :, ::every, ::every]] * edges, dim=1)
        return self._repeated[edges, every]


class StackedConv(nn.Conv2d):
    """D convolutions side by side, [channels_in -> channels] each; the first layer of an operation reads one state."""

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

    def forward(self, x: Tensor, edges: Sequence[int]) -> Tensor:  # type: ignore[override]
        weight = of_edges(self.weight, self.edges, edges)
        return F.conv2d(x, weight, None, self.stride, self.padding, 1, 1 if self.first else len(edges))


class StackedDepthwise(nn.Conv2d):
    """D depthwise convolutions side by side."""

    def __init__(self, edges: int, channels: int, kernel: int, stride: int, dilation: int) -> None:
        width = edges * channels
        padding = dilation * (kernel // 2)
        super().__init__(width, width, kernel, stride, padding, dilation, groups=width, bias=False)
        self.edges = edges

    def forward(self, x: Tensor | Rectified, edges: Sequence[int], optimizations: Optimizations) -> Tensor:  # type: ignore[override]
        (stride, _), (dilation, _) = self.stride, self.dilation
        if isinstance(x, Rectified):
            every = grid(stride, dilation, optimizations)
            x, stride, dilation = x.repeated(len(edges), every), stride // every, dilation // every
        return depthwise(x, of_edges(self.weight, self.edges, edges), stride, dilation, optimizations)


class StackedNorm(nn.BatchNorm2d):
    """D batch normalisations without affine parameters side by side; edges that are left out keep their statistics."""

    def __init__(self, edges: int, channels: int) -> None:
        super().__init__(edges * channels, affine=False)
        self.edges = edges
        self.num_batches_tracked = torch.zeros(edges, dtype=torch.long)

    def forward(self, x: Tensor, edges: Sequence[int], scale: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """x: [B, len(edges) C, H, W], normalised and multiplied by the scale [len(edges) C]."""
        assert self.running_mean is not None
        assert self.running_var is not None
        own = [self.running_mean, self.running_var]
        some = len(edges) < self.edges
        mean, variance = [s.unflatten(0, (self.edges, -1))[list(edges)].flatten() for s in own] if some else own
        moving = self.training and self.track_running_stats
        statistics = (mean, variance) if moving or not self.training else (None, None)
        scale = None if scale is None else scale.to(self.running_mean.dtype)  # x may be rounded more, see `autocast`
        y = F.batch_norm(x, *statistics, scale, None, self.training, self.momentum or 0.0, self.eps)
        if moving and not some:
            self.num_batches_tracked.add_(1)  # type: ignore[operator,union-attr]
        elif moving:
            self.num_batches_tracked[list(edges)] += 1  # type: ignore[index]
            for buffer, moved in zip(own, (mean, variance), strict=True):
                buffer.unflatten(0, (self.edges, -1))[list(edges)] = moved.unflatten(0, (len(edges), -1))
        return y

    def hear(self, mean: Tensor, variance: Tensor, edges: Sequence[int]) -> None:
        """Move the running statistics, if they move, by those [len(edges) C] of a batch; the variance is unbiased."""
        if not self.track_running_stats:
            return
        momentum = self.momentum or 0.0
        for buffer, found in ((self.running_mean, mean), (self.running_var, variance)):
            assert buffer is not None
            if len(edges) == self.edges:
                buffer.lerp_(found.to(buffer), momentum)
            else:
                own, rows = buffer.unflatten(0, (self.edges, -1)), list(edges)
                own[rows] = own[rows].lerp(found.to(buffer).unflatten(0, (len(edges), -1)), momentum)
        if len(edges) == self.edges:
            self.num_batches_tracked.add_(1)  # type: ignore[operator,union-attr]
        else:
            self.num_batches_tracked[list(edges)] += 1  # type: ignore[index]

    def scaled(self, x: Tensor, edges: Sequence[int], scale: Tensor | None, optimizations: Optimizations) -> Tensor:
        """`forward`, the fastest way there is."""
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
    """Whether `blended` can do it."""
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
    """The sum of K normalised tensors and of S others, in one pass over memory (`blending.py`).

    Args:
        norms: K.
        stacked: K of [B, len(edges) C, H, W].
        scales: K of [len(edges) C].
        edges: that the stacked tensors belong to.
        parts: D, 1 or len(edges): how many tensors the sum is taken apart into.
        shared: S of [B, C, H, W].
        weight: [S, D].

    Returns:
        D tensors, len(edges) C channels in all.
    """
    scale = torch.stack([scale.to(stacked[0]) for scale in scales])
    found, means, variances = blending.blended(norms[0].eps, parts, stacked, scale, shared, weight)
    for norm, mean, variance in zip(norms, means.unbind(), variances.unbind(), strict=True):
        norm.hear(mean, variance, edges)
    return found


class Normed(nn.Sequential):
    """A stacked operation that ends in a normalisation."""

    @abstractmethod
    def convolved(self, state: Any, edges: Sequence[int], optimizations: Optimizations) -> tuple[Tensor, StackedNorm]:
        """What the last normalisation is given, and that normalisation.

        `state` is a `Rectified`, or for an operation behind another one what that gave.
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
    """`SeparableConv`: twice depthwise separable."""

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
        return convolution(state.x, edges), norm  # type: ignore[return-value]


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
        if self.even.out_channels == 0:
            return odd, self.norm
        halves = zip(even.chunk(len(edges), dim=1), odd.chunk(len(edges), dim=1), strict=True)
        return torch.cat([part for pair in halves for part in pair], dim=1), self.norm


def average_pooled(pool: nn.AvgPool2d, x: Tensor) -> Tensor:
    """`pool(x)`, which leaves the padding out of its averages, as a convolution: the sum over the number of pixels."""
    settings = int(pool.kernel_size), int(pool.stride), int(pool.padding)  # type: ignore[arg-type]
    ones, shares = _averaging(x.shape[1], (x.shape[2], x.shape[3]), settings, x.dtype)
    return F.conv2d(x, ones, None, *settings[1:], 1, x.shape[1]) * shares


@cache
def _averaging(
    channels: int, sides: tuple[int, int], settings: tuple[int, int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The kernel of a sum, and for each output pixel one over the number of pixels in it that are not padding."""
    kernel, stride, padding = settings
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
"""(edges, channels, stride) -> the module; the operations that are not here have no parameters at stride 1."""
