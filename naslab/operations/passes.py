"""Passes over a mini-batch by the kernels of the fused supernet: separable convolutions (`separable.c`), projections
(`project.c`), poolings (`pools.c`), and the normalisation between them (`norms.c`, `blend.c`).

A tensor of an edge's own lies as [D, B, pixels, C], for D edges. What a pass finds in front of a normalisation is kept
together with the statistics that the normalisation needs (`Normed`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from naslab.operations.kernels import Kernel, has_layout, in_parts, kernel

KERNELS = ("separable", "norms", "pools", "project", "blend")
TILE = 96
"""Pixels that `separable.c` and `project.c` work on at once."""


@dataclass(frozen=True)
class Half:
    """ReLU, depthwise and pointwise convolution, normalisation: once in a dilated, twice in a separable convolution."""

    kernel: int
    """Side of the depthwise kernel: 3, 5 or 7."""
    stride: int
    """1 or 2."""
    dilation: int


@dataclass(frozen=True)
class Statistics:
    """Running statistics, [D C], that move with a pass."""

    momentum: float
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class Normed:
    """A tensor in front of its normalisation, and what the normalisation makes of it."""

    z: Tensor
    """[D, B, pixels, C]."""
    moments: Tensor
    """[2, D, C]: mean, and inverse of the deviation."""
    affine: Tensor
    """[2, D, C]: the normalisation as scale z + shift; empty where it is part of a sum."""


@dataclass(frozen=True)
class Source:
    """What a separable convolution reads: the image of a state, or the normalised first half of each edge."""

    tensor: Tensor
    height: int
    width: int
    apart: int = 0
    """Distance of the edges; 0 if all read the same."""
    scale: Tensor | None = None
    """[D, C]."""
    shift: Tensor | None = None


def fits(tensors: Sequence[Tensor], channels: int, stride: int = 1) -> bool:
    """Returns True if the kernels apply: tensors [B, C, H, W] of one format, channels last, and more than one value of
    each channel after the stride, since a single one has no variance."""
    first = tensors[0]
    pixels = len(first) * -(-first.shape[2] // stride) * -(-first.shape[3] // stride)
    return (
        all(has_layout(x) and x.dtype == first.dtype for x in tensors)
        and not torch.is_autocast_enabled("cpu")
        and pixels > 1
        and all(kernel(name, channels, first.dtype) is not None for name in KERNELS)
    )


def _sum(parts: Tensor) -> Tensor:
    """Returns the sum of what the threads have found, added first to last."""
    return parts[0] if len(parts) == 1 else parts.sum(0)


class Pass:
    """The kernels for a state [B, ., H, W] and outputs [B, C, ceil(H / stride), ceil(W / stride)] of D edges."""

    def __init__(self, x: Tensor, channels: int, edges: int, stride: int, epsilon: float) -> None:
        self.batch, _, self.height, self.width = x.shape
        self.rows, self.columns = -(-self.height // stride), -(-self.width // stride)
        self.pixels = self.rows * self.columns
        self.channels, self.edges, self.stride, self.epsilon = channels, edges, stride, epsilon
        self.dtype, self.threads = x.dtype, torch.get_num_threads()
        self.values = edges * self.pixels * channels
        """Size of one image over all edges, which decides how many threads pay."""
        self._kernels: dict[tuple[str, int], Kernel] = {}

    def kernel(self, name: str, channels: int | None = None) -> Kernel:
        key = name, channels or self.channels
        if key not in self._kernels:
            self._kernels[key] = Kernel(*key, self.dtype)
        return self._kernels[key]

    def new(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype)

    def zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype)

    def totals(self, *shape: int) -> Tensor:
        """Returns zeros for sums over pixels, [threads, ...]."""
        return torch.zeros(self.threads, *shape, dtype=torch.float64)

    def image(self) -> Tensor:
        """Returns an output [B, C, H', W'], channels last, to be filled."""
        shape = self.batch, self.channels, self.rows, self.columns
        return torch.empty(shape, dtype=self.dtype, memory_format=torch.channels_last)

    def normalise(
        self,
        totals: Tensor,
        weight: Tensor | None,
        scale: Tensor,
        shift: Tensor,
        running: Statistics | None,
        apart: int | None = None,
    ) -> Tensor:
        """Returns mean and inverse deviation [2, D, C] from totals [threads, D, 2, C]; writes weight / deviation to the
        scale, whose edges lie `apart`, subtracts that times the mean from the shift [D, C]."""
        edges, channels = totals.shape[1], totals.shape[3]
        moments = self.new(2, edges, channels)
        moves = (0.0, None, None) if running is None else (running.momentum, running.mean, running.variance)
        self.kernel("norms").deviations(
            self.threads, edges, channels, self.batch * self.pixels, self.epsilon, totals, weight, *moments.unbind(),
            scale, channels if apart is None else apart, shift, *moves,
        )  # fmt: skip
        return moments

    def slopes(
        self, totals: Tensor, row: int, moments: Tensor, weight: Tensor | None = None, of_weight: Tensor | None = None
    ) -> Tensor:
        """Returns factor, slope and offset [3, D, C] of the gradient in front of a normalisation, and writes that of
        its weight [D]; from totals [threads, D, R, C] of `blend.c`'s products. Moments of one edge serve all."""
        _, edges, rows, channels = totals.shape
        three = self.new(3, edges, channels)
        apart = channels if moments.shape[1] > 1 else 0
        self.kernel("norms").slopes(
            self.threads, edges, rows, row, channels, self.batch * self.pixels, totals, weight, *moments.unbind(),
            apart, of_weight, *three.unbind(),
        )  # fmt: skip
        return three

    def separable(
        self, half: Half, source: Source, dw: Tensor, pw: Tensor, keep: bool
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Returns y and z [D, B, pixels, C], the outputs of the depthwise (None unless to be kept) and of the pointwise
        convolution, and the totals [threads, D, 2, C] of z.

        Args:
            half: sizes.
            source: what is rectified and convolved.
            dw: [D C, 1, k, k].
            pw: [D C, C, 1, 1].
            keep: return y.
        """
        shape = self.edges, self.batch, self.pixels, self.channels
        y, z, totals = self.new(*shape) if keep else None, self.new(*shape), self.totals(self.edges, 2, self.channels)
        framed = self._framed(half, source)
        size = self.channels * (self.edges * (half.kernel**2 + self.channels) + framed + self.pixels)
        about = *self._about(half, source), dw, pw, y, z, totals, self.new(self.threads, size), size
        run = self.kernel("separable").forward
        in_parts(self.batch, self.values, lambda part, first, end: run(part, first, end, *about))
        return y, z, totals

    def separable_gradient(
        self,
        half: Half,
        source: Source,
        weights: tuple[Tensor, Tensor],
        kept: tuple[Tensor | None, Tensor],
        above: Sequence[Tensor],
        three: Tensor,
        dx: Tensor | None,
        first_half: Normed | None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """Returns the gradients of dw and of pw, if y was kept; and behind a first half that of its normalised output,
        [D, B, pixels, C], and the totals [threads, D, 2, C] of it. Otherwise adds to dx, if given.

        Args:
            half: sizes.
            source: as in `separable`.
            weights: dw and pw.
            kept: y and z.
            above: gradient of the normalised output, [B, pixels, C] of each edge.
            three: factor, slope and offset of the gradient of z (`slopes`).
            dx: gradient of the state.
            first_half: what the source is, if not a state.
        """
        (dw, pw), (y, z), edges, channels, side = weights, kept, self.edges, self.channels, half.kernel
        below = totals = of_dw = of_pw = None
        if first_half is not None:
            below, totals, dx = torch.empty_like(first_half.z), self.totals(edges, 2, channels), None
        if y is not None:
            of_dw = self.zeros(self.threads, edges, channels * side**2)
            of_pw = self.zeros(self.threads, edges, channels, channels)
        framed, tile = self._framed(half, source), TILE + self.columns
        size = channels * (edges * side**2 + 2 * framed + source.height * source.width + 2 * tile)
        mean = None if first_half is None else first_half.moments
        about = (
            *self._about(half, source), dw, pw, y, z, above, *three.unbind(), dx, below, mean, totals, of_dw, of_pw,
            self.new(self.threads, size), size,
        )  # fmt: skip
        kernel = self.kernel("separable")
        run = kernel.backward
        in_parts(self.batch, self.values, lambda part, first, end: run(part, first, end, *about))
        if of_dw is None or of_pw is None:
            return None, None, below, totals
        by_tap = _sum(of_dw).view(edges, channels // kernel.lanes, side**2, kernel.lanes)
        return by_tap.transpose(2, 3).reshape(dw.shape), _sum(of_pw).view(pw.shape), below, totals

    def project(self, given: Sequence[Tensor], weight: Tensor) -> tuple[Tensor, Tensor]:
        """Returns z [D, B, pixels, C] and its totals: what the weight [D, C, stride M c] makes of M tensors
        [B, c, H, W] behind their ReLUs; with stride 2 as a factorized reduction (`project.c`)."""
        edges, channels, inputs = weight.shape
        z, totals = self.new(edges, self.batch, self.pixels, channels), self.totals(edges, 2, channels)
        size = inputs * (edges * channels + TILE)
        about = *self._about_projection(given, edges), weight, z, totals, self.new(self.threads, size), size
        run = self.kernel("project", math.gcd(channels, given[0].shape[1])).project
        in_parts(self.batch, self.values, lambda part, first, end: run(part, first, end, *about))
        return z, totals

    def project_gradient(
        self,
        given: Sequence[Tensor],
        weight: Tensor,
        z: Tensor,
        above: Sequence[Tensor],
        three: Tensor,
        below: Sequence[Tensor],
        learning: bool,
    ) -> Tensor | None:
        """Returns the gradient of the weight, if learning, and adds to those of the inputs, `below`, if there are any;
        `above` and `three` as in `separable_gradient`."""
        edges, channels, inputs = weight.shape
        of_weight = self.zeros(self.threads, *weight.shape) if learning else None
        size = TILE * (2 * inputs + channels)
        about = (
            *self._about_projection(given, edges), weight, z, above, *three.unbind(), len(below), below, of_weight,
            self.new(self.threads, size), size,
        )  # fmt: skip
        run = self.kernel("project", math.gcd(channels, given[0].shape[1])).project_backward
        in_parts(self.batch, self.values, lambda part, first, end: run(part, first, end, *about))
        return None if of_weight is None else _sum(of_weight)

    def pools(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns [3, B, pixels, C]: the maximum of 3 x 3 pixels, which of them it is, the average; and the totals
        [threads, 2, 2, C] of maximum and average."""
        found, totals = self.new(3, self.batch, self.pixels, self.channels), self.totals(2, 2, self.channels)
        about = self.channels, self.height, self.width, self.stride, x, *found.unbind(), totals
        run = self.kernel("pools").pools
        in_parts(self.batch, self.pixels * self.channels, lambda part, first, end: run(part, first, end, *about))
        return found, totals

    def pools_gradient(self, pooled: Tensor, above: Sequence[Tensor], three: Tensor, dx: Tensor) -> None:
        """Adds to dx; three: [3, 2, D, C], factor, slope and offset of maximum and average on each edge."""
        sizes = self.edges, self.channels, self.height, self.width, self.stride
        about = *sizes, *pooled.unbind(), above, *three.unbind(), dx
        run = self.kernel("pools").pools_backward
        in_parts(self.batch, self.values, lambda part, first, end: run(part, first, end, *about))

    def blend(
        self,
        normed: Sequence[Tensor],
        scale: Tensor,
        shift: Tensor,
        others: Sequence[Tensor] = (),
        weight: Tensor | None = None,
    ) -> Tensor:
        """Returns [B, C, H', W']: shift [C], and sums of scale [K, C] times K tensors, of weight [S] times S others."""
        found = self.image()
        about = 1, self.channels, len(normed), len(others), normed, others, scale, shift, weight, [found]
        run = self.kernel("blend").blend
        count, size = self.batch * self.pixels, (len(normed) + len(others)) * self.channels
        in_parts(count, size, lambda _, first, end: run(first, end, *about))
        return found

    def products(
        self, normed: Sequence[Sequence[Tensor]], means: Tensor, others: Sequence[Tensor], above: Sequence[Tensor]
    ) -> Tensor:
        """Returns totals [threads, D, R, C] of each edge's gradient g: of g, of g (z - mean) for each of K normed
        tensors, of g z for each other one. means: [D, K, C]."""
        many, rest, channels = means.shape[1], len(others), self.channels
        totals = self.totals(self.edges, 1 + many + rest, channels)
        own = self.zeros(self.threads, 1 + many + rest, channels)
        run = self.kernel("blend").products
        for edge, (tensors, mean, gradient) in enumerate(zip(normed, means.unbind(), above, strict=True)):
            about = 1, channels, many, rest, tensors, others, mean, [gradient]
            in_parts(
                self.batch * self.pixels,
                many * channels,
                lambda part, i, j, about=about, edge=edge: run(i, j, *about, own[part], totals[part, edge]),
            )
        return totals

    def spread(self, above: Sequence[Tensor], weight: Tensor) -> list[Tensor]:
        """Returns S tensors [B, C, H', W']: each the sum of weight [S, D] times the gradients of D edges."""
        found = [self.image() for _ in weight]
        about = self.edges, self.channels, 0, len(found), [], above, None, None, None, weight, [], found
        run = self.kernel("blend").gradients
        in_parts(self.batch * self.pixels, self.edges * self.channels, lambda _, i, j: run(i, j, *about))
        return found

    def _about(self, half: Half, source: Source) -> tuple[Any, ...]:
        return (
            self.batch, self.edges, self.channels, source.height, source.width, half.kernel, half.stride, half.dilation,
            source.tensor, source.apart, source.scale, source.shift,
        )  # fmt: skip

    def _about_projection(self, given: Sequence[Tensor], edges: int) -> tuple[Any, ...]:
        each = given[0].shape[1]
        return self.batch, edges, len(given), each, self.channels, self.height, self.width, self.stride, given

    def _framed(self, half: Half, source: Source) -> int:
        """Returns the pixels of an image of the source with the zeros around it."""
        pad = half.dilation * (half.kernel // 2)
        return (source.height + 2 * pad) * (source.width + 2 * pad)
