"""ReLU, a 1 x 1 convolution and its normalisation of several tensors as if they were concatenated (`project.c`).

The output of a cell is its nodes side by side, [B, nodes C, H, W]. Put together they are written and read once more,
forward and backward, only to be multiplied by a matrix. Here each tensor is read where it is. The halved image of a
factorized reduction is the same with other pixels. Where a gradient must itself be differentiable (second order), it is
that of the plain code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from naslab.operations.passes import Pass, Statistics


def projected(
    epsilon: float, stride: int, weight: Tensor, given: Sequence[Tensor], running: Statistics | None
) -> Tensor:
    """Returns [B, C, ceil(H / stride), ceil(W / stride)]; requires `passes.fits`. Running statistics move.

    Args:
        epsilon: of the normalisation.
        stride: 1; or 2 for a factorized reduction, whose two weights are `fused.side_by_side`.
        weight: [C, stride M c].
        given: M tensors [B, c, H, W], channels last.
        running: running statistics, unless they do not move.
    """
    return _Project.apply(epsilon, stride, running, weight, *given)  # type: ignore[return-value]


class _Project(Function):
    @staticmethod
    def forward(
        ctx: Any, epsilon: float, stride: int, running: Statistics | None, weight: Tensor, *given: Tensor
    ) -> Tensor:
        run = Pass(given[0], len(weight), 1, stride, epsilon)
        z, totals = run.project(given, weight.contiguous()[None])
        affine = run.zeros(2, 1, len(weight))
        moments = run.normalise(totals, None, affine[0], affine[1], running)
        ctx.save_for_backward(weight, z, moments, *given)
        ctx.epsilon, ctx.stride = epsilon, stride
        return run.blend([z], affine[0], affine[1])

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        weight, z, moments, *given = ctx.saved_tensors
        wanted = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():  # that is, create_graph=True
            inputs = [tensor.view_as(tensor) for tensor in (weight, *given)]
            output = written_out(ctx.epsilon, ctx.stride, inputs[0], inputs[1:])
            needed = [tensor for tensor, wants in zip(inputs, wanted, strict=True) if wants]
            found = iter(torch.autograd.grad(output, needed, above, create_graph=True))
            return None, None, None, *[next(found) if wants else None for wants in wanted]
        above = tuple(gradient.contiguous(memory_format=torch.channels_last) for gradient in above)
        run = Pass(given[0], len(weight), 1, ctx.stride, ctx.epsilon)
        three = run.slopes(run.products([[z]], moments[0][None], [], above), 1, moments)
        below = [torch.zeros_like(x) for x in given] if any(wanted[1:]) else []
        of_weight = run.project_gradient(given, weight.contiguous()[None], z, above, three, below, learning=wanted[0])
        return None, None, None, None if of_weight is None else of_weight[0], *(below or [None] * len(given))


def written_out(epsilon: float, stride: int, weight: Tensor, given: Sequence[Tensor]) -> Tensor:
    """Returns what `projected` does, in plain PyTorch."""
    x = F.relu(torch.cat(list(given), dim=1))
    if stride == 2:
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        x = torch.cat([x[:, :, ::2, ::2], x[:, :, 1::2, 1::2]], dim=1)
    return F.batch_norm(F.conv2d(x, weight[:, :, None, None]), None, None, None, None, True, 0.0, epsilon)
