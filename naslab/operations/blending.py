"""Batch normalisation and the weighted sum of operations, fused into one pass over memory (`blend.c`).

    y_d  =  sum over k of  scale[k] * (X_k - mean of X_k) / deviation of X_k, the channels of edge d
          + sum over s of  weight[s, d] * Z_s  +  bias, the channels of edge d

In plain PyTorch every normalisation, product and sum is a pass of its own, forward and backward, and with few channels
these passes take as long as the convolutions between them. Fused they are two passes forward (one for the statistics,
one for the sum) and two backward. The sums are those of the plain code in another order, so that results agree to
rounding. Where a gradient must itself be differentiable (second order), the plain code is used.

All sums over the pixels of a mini-batch are accumulated in double precision. PyTorch's batch normalisation accumulates
in single precision in the channels-last layout, and its error grows with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from naslab.operations.kernels import Kernel, has_layout, in_parts, kernel


def fits(stacked: Sequence[Tensor], shared: Sequence[Tensor] = (), edges: int = 1) -> bool:
    """Returns True if the kernel applies: tensors of one format, channels last, and more than one pixel in all."""
    first = stacked[0]
    return (
        all(has_layout(x) and x.dtype == first.dtype for x in (*stacked, *shared))
        and not torch.is_autocast_enabled("cpu")
        and first.numel() > first.shape[1]  # one pixel has no variance; PyTorch then raises its error
        and kernel("blend", first.shape[1] // edges, first.dtype) is not None
    )


def blended(
    epsilon: float,
    edges: int,
    stacked: Sequence[Tensor],
    scale: Tensor,
    shared: Sequence[Tensor] = (),
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Returns the sum above for each of D edges; requires `fits`.

    Args:
        epsilon: added to a variance before the square root.
        edges: D.
        stacked: K tensors [B, D C, H, W], channels last; each is normalised.
        scale: [K, D C], factors of the normalised tensors.
        shared: S tensors [B, C, H, W], channels last; every edge reads them.
        weight: [S, D], weight of each shared tensor on each edge.
        bias: [D C].

    Returns:
        D tensors [B, C, H, W]; the mean and the unbiased variance, both [K, D C], of the stacked tensors.
    """
    weight = scale.new_empty(0, edges) if weight is None else weight.to(scale)
    given = scale, weight, bias, *stacked, *shared
    *found, mean, variance = _Blend.apply(epsilon, edges, len(stacked), *given)  # type: ignore[misc]
    return tuple(found), mean, variance


class _Blend(Function):
    """Y = sum of scale (X - mean) / deviation, sum of weight Z, bias; `blend.c` has the formulas of each function."""

    @staticmethod
    def forward(
        ctx: Any,
        epsilon: float,
        edges: int,
        many: int,
        scale: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *given: Tensor,
    ) -> tuple[Tensor, ...]:
        stacked, shared = given[:many], given[many:]
        example = stacked[0]
        batch, width, height, breadth = example.shape
        sizes = edges, width // edges, many, len(shared)
        pixels = batch * height * breadth
        run = Kernel("blend", width // edges, example.dtype)
        ctx.save_for_backward(scale, weight, bias, *given)
        scale, weight = scale.contiguous(), weight.contiguous()
        # Pass 1: sums and sums of squares, by each thread into a slice of its own, so that none waits for another and
        # the order of additions is fixed. `own` accumulates a few pixels in the tensor's format, `totals` in double.
        totals = torch.zeros(torch.get_num_threads(), many, 2, width, dtype=torch.float64)
        own = torch.zeros(len(totals), 2, width, dtype=example.dtype)
        in_parts(pixels, width * many, lambda p, i, j: run.moments(i, j, width, many, stacked, own[p], totals[p]))
        # Normalisation, scale and bias become one affine map of X: slope [K, D C] and shift [D C].
        mean, variance, inverse, slope = torch.empty(4, many, width, dtype=example.dtype)
        shift = torch.empty(width, dtype=example.dtype)
        about = len(totals), many, width, pixels, epsilon
        run.deviations(*about, stacked, totals, scale, mean, variance, inverse, slope, shift)
        if bias is not None:
            shift += bias

        # Pass 2: the sum itself, one tensor for each edge.
        form = {"dtype": example.dtype, "memory_format": torch.channels_last}
        found = tuple(torch.empty(batch, width // edges, height, breadth, **form) for _ in range(edges))
        in_parts(
            pixels, width * many, lambda _, i, j: run.blend(i, j, *sizes, stacked, shared, slope, shift, weight, found)
        )
        ctx.mark_non_differentiable(mean, variance)
        ctx.mean, ctx.inverse, ctx.epsilon, ctx.sizes, ctx.pixels = mean, inverse, epsilon, sizes, pixels
        return *found, mean, variance

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        scale, weight, bias, *given = ctx.saved_tensors
        mean, inverse = ctx.mean, ctx.inverse
        edges, channels, many, others = ctx.sizes
        if torch.is_grad_enabled():  # that is, create_graph=True
            return None, None, None, *_differentiable(ctx, above[:edges], scale, weight, bias, given)
        scale, weight = scale.contiguous(), weight.contiguous()
        stacked, shared = given[:many], given[many:]
        gradients = [gradient.contiguous(memory_format=torch.channels_last) for gradient in above[:edges]]
        run = Kernel("blend", channels, mean.dtype)
        width, rows = edges * channels, 1 + many + others

        # Pass 1: sums over pixels of g, of g (X - mean) for each stacked and of g Z for each shared tensor.
        totals = torch.zeros(torch.get_num_threads(), rows, width, dtype=torch.float64)
        own = torch.zeros_like(totals, dtype=mean.dtype)
        tensors = stacked, shared, mean, gradients
        in_parts(ctx.pixels, width * many, lambda p, i, j: run.products(i, j, *ctx.sizes, *tensors, own[p], totals[p]))
        of_scale, factor, slope, shift = torch.empty(4, many, width, dtype=mean.dtype)
        about = len(totals), rows, many, width, ctx.pixels
        run.slopes(*about, totals, scale, mean, inverse, of_scale, factor, slope, shift)
        of_weight = totals[:, 1 + many :].unflatten(2, (edges, channels)).sum((0, 3)).to(weight) if others else weight
        of_bias = None if bias is None else totals[:, 0].sum(0).to(bias)

        # Pass 2: the gradient of each X is an affine map of g and X, that of each Z a weighted sum of the g.
        below = [torch.empty_like(x) for x in given]
        factors = stacked, gradients, factor, slope, shift, weight, below[:many], below[many:]
        in_parts(ctx.pixels, width * many, lambda _, i, j: run.gradients(i, j, *ctx.sizes, *factors))
        return None, None, None, of_scale, of_weight, of_bias, *below


def _differentiable(
    ctx: Any, above: Sequence[Tensor], scale: Tensor, weight: Tensor, bias: Tensor | None, given: list[Tensor]
) -> list[Tensor | None]:
    """Returns the same gradients by plain PyTorch, so that they can be differentiated again."""
    # Views: autograd.grad must see each input as a tensor of its own, also where one was computed from another.
    scale, weight, *rest = (tensor.view_as(tensor) for tensor in (scale, weight, *given))
    bias = None if bias is None else bias.view_as(bias)
    inputs = [scale, weight, bias, *rest]
    many = ctx.sizes[2]
    stacked, shared = rest[:many], rest[many:]
    rows = zip(stacked, scale, [bias, *[None] * (many - 1)], strict=True)
    sums = [F.batch_norm(x, None, None, s, b, True, 0.0, ctx.epsilon) for x, s, b in rows]  # bias once, with the first
    outputs = list(sum(sums[1:], sums[0]).chunk(ctx.sizes[0], dim=1))
    for z, weights in zip(shared, weight, strict=True):
        outputs = [output + w * z for output, w in zip(outputs, weights, strict=True)]
    needed = [tensor for tensor, needs in zip(inputs, ctx.needs_input_grad[3:], strict=True) if needs]
    found = iter(torch.autograd.grad(outputs, needed, above, create_graph=True, allow_unused=True))  # type: ignore[arg-type]
    return [next(found) if needs else None for needs in ctx.needs_input_grad[3:]]
