"""All candidates of DARTS on the edges that leave one state, in few passes over memory.

Written out, a separable convolution is five passes over tensors that no cache holds: ReLU, depthwise convolution,
pointwise convolution, statistics, normalisation; its gradient is ten. Here one image of one edge goes through the first
four while it is in the cache (`separable.c`). Its normalisation is an affine map, which the second half of the
convolution applies as it reads; behind the last half one pass (`blend.c`) normalises, weights and adds up everything
that an edge gives to its node, together with what earlier edges gave. Both poolings are one pass (`pools.c`). The sums
are those of the plain code in another order, so that results agree to rounding. Where a gradient must itself be
differentiable (second order), it is that of the plain code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from naslab.operations.depthwise import depthwise
from naslab.operations.optimizations import Optimizations
from naslab.operations.passes import Half, Normed, Pass, Source, Statistics


@dataclass(frozen=True)
class Candidates:
    """What the edges that leave one state compute, in the order of the rows of its weights."""

    epsilon: float
    """Added to each variance before the root, in all normalisations."""
    edges: int
    stride: int
    convolutions: Sequence[Sequence[Half]]
    """Each of one or two halves."""
    reduction: bool
    """With a factorized reduction."""
    pools: bool
    """With maximum and average pooling of 3 x 3 pixels, both normalised."""
    identity: bool
    """With the state itself."""
    shared: int
    """Number of further tensors, which all edges read."""
    running: Sequence[Statistics | None]
    """Running statistics of each normalisation, half by half of each convolution; None where they do not move."""

    @property
    def normed(self) -> int:
        """Number of candidates that end in a normalisation."""
        return len(self.convolutions) + self.reduction + 2 * self.pools

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return 2 * sum(map(len, self.convolutions)) + 2 * self.reduction


def leaving(
    candidates: Candidates,
    x: Tensor,
    weight: Tensor,
    parameters: Sequence[Tensor],
    shared: Sequence[Tensor] = (),
    before: Sequence[Tensor] = (),
) -> tuple[Tensor, ...]:
    """Returns for each of D edges the weighted sum of its candidates; requires `passes.fits`. Running statistics move.

    Args:
        candidates: what is computed.
        x: the state [B, C, H, W], channels last.
        weight: [R, D]; rows of the convolutions, the reduction, maximum, average, the identity, the shared tensors.
        parameters: depthwise weight [D C, 1, k, k] and pointwise weight [D C, C, 1, 1] of each half, even and odd
            weight [D C / 2, C, 1, 1] of the reduction; contiguous.
        shared: tensors of the size of an output, channels last.
        before: D tensors that are added to the outputs, channels last; or none.

    Returns:
        D tensors [B, C, ceil(H / stride), ceil(W / stride)].
    """
    return _Leaving.apply(candidates, x, weight, *parameters, *shared, *before)  # type: ignore[return-value]


class _Leaving(Function):
    @staticmethod
    def forward(ctx: Any, c: Candidates, x: Tensor, weight: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        parameters, shared = given[: c.parameters], given[c.parameters : c.parameters + c.shared]
        before = given[c.parameters + c.shared :]
        given_weight, weight = weight, weight.contiguous()  # a copy would have no gradient of second order
        run = Pass(x, x.shape[1], c.edges, c.stride, c.epsilon)
        learning = any(ctx.needs_input_grad[3 : 3 + c.parameters])
        scale, shift = run.new(c.edges, c.normed, run.channels), run.zeros(c.edges, run.channels)
        own, running, kept = iter(parameters), iter(c.running), []
        ends: list[Tensor] = []  # in front of the last normalisation of each candidate: [D or 1, B, pixels, C]

        def last(totals: Tensor) -> Tensor:
            """The normalisation that is part of the sum of an edge."""
            row = len(ends)
            return run.normalise(totals, weight[row], scale[:, row], shift, next(running), scale.stride(0))

        for halves in c.convolutions:
            source = Source(x, run.height, run.width)
            for number, half in enumerate(halves, start=1):
                y, z, totals = run.separable(half, source, next(own), next(own), keep=learning)
                affine = run.zeros(2, c.edges, run.channels if number < len(halves) else 0)
                if number < len(halves):
                    moments = run.normalise(totals, None, affine[0], affine[1], next(running))
                    source = Source(z, run.rows, run.columns, z[0].numel(), affine[0], affine[1])
                else:
                    moments = last(totals)
                    ends.append(z)
                kept += [y, z, moments, affine]
        if c.reduction:
            halves_of_it = side_by_side(next(own), next(own), c.edges)
            z, totals = run.project([x], halves_of_it)
            kept += [z, last(totals)]
            ends.append(z)
        if c.pools:
            pooled, totals = run.pools(x)
            affine, two = run.zeros(2, 2, run.channels), slice(len(ends), len(ends) + 2)
            moments = [
                run.normalise(
                    totals[:, k : k + 1].contiguous(), None, affine[0, k : k + 1], affine[1, k : k + 1], next(running)
                )
                for k in range(2)
            ]
            scale[:, two] = weight[two].t().unsqueeze(2) * affine[0]
            shift += weight[two].t() @ affine[1]
            kept += [pooled, torch.cat(moments, dim=1)]
            ends += [pooled[:1], pooled[2:]]
        others = [x, *shared] if c.identity else [*shared]
        factors = F.pad(weight[c.normed :].t(), (0, 1), value=1.0)  # [D, S + 1]: what was there before has weight 1
        found = [
            run.blend(tensors, scale[edge], shift[edge], [*others, *before[edge : edge + 1]], factors[edge])
            for edge, tensors in enumerate(_by_edge(ends, c.edges))
        ]
        ctx.save_for_backward(x, given_weight, *parameters, *shared, *kept)
        ctx.candidates, ctx.before = c, len(before)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        c: Candidates = ctx.candidates
        x, weight, *rest = ctx.saved_tensors
        parameters, shared = rest[: c.parameters], rest[c.parameters : c.parameters + c.shared]
        through = above if ctx.before else ()
        if torch.is_grad_enabled():  # that is, create_graph=True
            return None, *_differentiable(ctx, above, x, weight, [*parameters, *shared]), *through
        kept = iter(rest[c.parameters + c.shared :])
        weight = weight.contiguous()
        above = tuple(gradient.contiguous(memory_format=torch.channels_last) for gradient in above)
        run = Pass(x, x.shape[1], c.edges, c.stride, c.epsilon)
        own = iter(parameters)
        learning = any(ctx.needs_input_grad[3 : 3 + c.parameters])

        # What the forward pass has kept, and for each candidate the tensor in front of its last normalisation.
        convolutions = [
            [(next(own), next(own), next(kept), Normed(next(kept), next(kept), next(kept))) for _ in halves]
            for halves in c.convolutions
        ]
        ends, moments = [saved[-1][3].z for saved in convolutions], [saved[-1][3].moments for saved in convolutions]
        if c.reduction:
            ends, moments = [*ends, next(kept)], [*moments, next(kept)]
        pooled = next(kept) if c.pools else None
        if pooled is not None:
            ends, moments = [*ends, pooled[:1], pooled[2:]], [*moments, *next(kept).split(1, dim=1)]

        # Pass 1: sums over the gradients above, from which those of the weights of the candidates follow.
        others = [x, *shared] if c.identity else [*shared]
        means = torch.stack([both[0].expand(c.edges, -1) for both in moments], dim=1)
        totals = run.products(_by_edge(ends, c.edges), means, others, above)
        of_weight = torch.empty_like(weight)
        of_weight[c.normed :] = totals[:, :, 1 + c.normed :].sum((0, 3)).t()
        slopes = [run.slopes(totals, 1 + k, both, weight[k], of_weight[k]) for k, both in enumerate(moments)]

        # Pass 2: the gradients of everything below; that of x begins with the identity's.
        spread = run.spread(above, weight[c.normed :]) if others and (ctx.needs_input_grad[1] or shared) else []
        dx = None
        if ctx.needs_input_grad[1]:
            dx = spread[0] if c.identity else torch.zeros_like(x)
        of_parameters: list[Tensor | None] = []
        for halves, saved, three in zip(c.convolutions, convolutions, slopes, strict=False):
            found, gradients = [], above
            for number in reversed(range(len(halves))):
                if not learning and dx is None:
                    found = [None, None] * len(halves)
                    break
                dw, pw, y, normed = saved[number]
                first = saved[0][3] if number else None
                source = Source(x, run.height, run.width)
                if first is not None:
                    source = Source(
                        first.z, run.rows, run.columns, first.z[0].numel(), first.affine[0], first.affine[1]
                    )
                *of_both, below, sums = run.separable_gradient(
                    halves[number], source, (dw, pw), (y, normed.z), gradients, three, dx, first
                )
                found = [*of_both, *found]
                if first is not None and below is not None and sums is not None:
                    gradients, three = below.unbind(), run.slopes(sums, 1, first.moments)
            of_parameters += found
        if c.reduction:
            k, like = len(convolutions), parameters[-2:]
            below = [] if dx is None else [dx]
            of_halves = None
            if learning or below:
                of_halves = run.project_gradient(
                    [x], side_by_side(like[0], like[1], c.edges), ends[k], above, slopes[k], below, learning
                )
            of_parameters += [None, None] if of_halves is None else _taken_apart(of_halves, like)
        if pooled is not None and dx is not None:
            run.pools_gradient(pooled, above, torch.stack(slopes[-2:], dim=1), dx)
        return None, dx, of_weight, *of_parameters, *spread[int(c.identity) :], *through


def _by_edge(ends: Sequence[Tensor], edges: int) -> list[tuple[Tensor, ...]]:
    """Returns for each edge its part of each tensor, the first dimension of which is either the edges or 1."""
    return list(zip(*(end.unbind() if len(end) == edges else end.unbind() * edges for end in ends), strict=True))


def side_by_side(even: Tensor, odd: Tensor, edges: int) -> Tensor:
    """Returns [D, C, 2 C']: the weights of both halves of a factorized reduction, [D C / 2, C', 1, 1], as those of one
    convolution, which reads the even pixels with its first and the odd ones with its last C' channels."""
    even, odd = (half.flatten(1).unflatten(0, (edges, -1)) for half in (even, odd))
    return torch.cat([F.pad(even, (0, even.shape[2])), F.pad(odd, (odd.shape[2], 0))], dim=1)


def _taken_apart(both: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Returns the two halves of what `side_by_side` has put together."""
    rows, channels = len(like[0]) // len(both), both.shape[2] // 2
    return [both[:, :rows, :channels].reshape(like[0].shape), both[:, rows:, channels:].reshape(like[1].shape)]


def _differentiable(
    ctx: Any, above: Sequence[Tensor], x: Tensor, weight: Tensor, given: Sequence[Tensor]
) -> list[Tensor | None]:
    """Returns the same gradients by plain PyTorch, so that they can be differentiated again."""
    # Views: autograd.grad must see each input as a tensor of its own, also where one was computed from another.
    inputs = [tensor.view_as(tensor) for tensor in (x, weight, *given)]
    outputs = written_out(ctx.candidates, inputs[0], inputs[1], inputs[2:])
    wanted = ctx.needs_input_grad[1 : 1 + len(inputs)]
    needed = [tensor for tensor, wants in zip(inputs, wanted, strict=True) if wants]
    found = iter(torch.autograd.grad(outputs, needed, above, create_graph=True))
    return [next(found) if wants else None for wants in wanted]


def written_out(c: Candidates, x: Tensor, weight: Tensor, given: Sequence[Tensor]) -> list[Tensor]:
    """Returns what `leaving` adds to the sums before, in plain PyTorch; given: parameters and shared tensors."""
    tensors, rows = iter(given), iter(weight)

    def normalised(z: Tensor, row: Tensor | None = None) -> Tensor:
        scale = None if row is None else row.repeat_interleave(z.shape[1] // c.edges)
        return F.batch_norm(z, None, None, scale, None, True, 0.0, c.epsilon)

    terms = []
    for halves in c.convolutions:
        y = torch.cat([x] * c.edges, dim=1)
        for number, half in enumerate(halves, start=1):
            y = depthwise(F.relu(y), next(tensors), half.stride, half.dilation, Optimizations())
            y = F.conv2d(y, next(tensors), groups=c.edges)
            y = normalised(y, next(rows) if number == len(halves) else None)
        terms.append(y)
    if c.reduction:
        halved = F.pad(F.relu(x), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        halved = torch.cat([halved[:, :, ::2, ::2], halved[:, :, 1::2, 1::2]], dim=1)
        weights = side_by_side(next(tensors), next(tensors), c.edges).flatten(0, 1)[:, :, None, None]
        terms.append(normalised(F.conv2d(halved, weights), next(rows)))
    outputs = list(sum(terms[1:], terms[0]).chunk(c.edges, dim=1))
    pooled = (
        [F.max_pool2d(x, 3, c.stride, 1), F.avg_pool2d(x, 3, c.stride, 1, count_include_pad=False)] if c.pools else []
    )
    for z in [*map(normalised, pooled), *([x] if c.identity else []), *tensors]:
        outputs = [output + share * z for output, share in zip(outputs, next(rows), strict=True)]
    return outputs
