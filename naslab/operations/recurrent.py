"""The gated recurrent cell of DARTS over a whole chunk of a sequence (Liu et al. 2019, https://arxiv.org/abs/1806.09055,
Sec. 2.1 and Appendix A.1.2).

The states of a cell at one step in time are s_0, which reads the input x and the last output h, and nodes i = 1 to N:

    c_0, u_0 = [x ; h] W_0                               s_0 = h + sigmoid(c_0) (tanh(u_0) - h)
    c_j, u_j = s_j W_i, for every state j that i reads   s_i = sum of p[j, f] (s_j + sigmoid(c_j) (f(u_j) - s_j))

where the sum is over the states j and the functions f; the new output is the mean of some of the states. A node has one
matrix W_i for all states that it reads. Masks m_x and m_h, drawn once a chunk (variational dropout; Gal & Ghahramani
2016, https://arxiv.org/abs/1512.05287), multiply the inputs of matrix products, but not the s_j that is carried past
them. In the search s_0 and all nodes are normalised over the batch.

`written_out` is this, line by line, with PyTorch's gradients: a dozen small tensors for every node and step, whose
bookkeeping takes longer than the arithmetic. `unrolled` is the same function as one autograd operation with an explicit
gradient of the whole chunk. It keeps the result of each matrix product, computes the elementwise rest of a node in one
pass over memory (`recurrent.c`, if there is a compiler), and lets matrix products accumulate into their results. Both
agree to rounding. Where a gradient must itself be differentiable, as in exact second order, the backward pass of
`unrolled` differentiates `written_out`.

Letters in shapes: T steps, B sequences, H hidden units, N nodes, S = N + 1 states, K sources of a node, E edges.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from naslab.operations.recurrent_chunk import UnrolledChunk
from naslab.operations.recurrent_compiled import LANES, CompiledChunk, fits
from naslab.operations.recurrent_wiring import ACTIVATIONS, UNNORMALISED, Normalise, Statistics, Wiring


def written_out(
    projected: Tensor,
    state: Tensor,
    first: Tensor,
    nodes: Tensor,
    weights: Tensor,
    wiring: Wiring,
    mask: Tensor | None = None,
    normalise: Normalise = UNNORMALISED,
) -> Tensor:
    """Returns the outputs [T, B, H] of a cell over T steps, by the equations above.

    Args:
        projected: [T, B, 2 H], the product of x m_x and those rows of W_0 that belong to the input.
        state: [B, H], the output before the first step.
        first: [H, 2 H], the other rows of W_0.
        nodes: [N, H, 2 H], the matrices W_i.
        weights: [E, 4], the weights p of each edge.
        wiring: which states the nodes read, and which are averaged.
        mask: m_h, [B, H]; None for ones.
        normalise: normalisation of s_0 and of every node.
    """

    def masked(x: Tensor) -> Tensor:
        return x if mask is None else x * mask

    weights = weights * wiring.mask(weights)
    outputs = []
    for of_input in projected:
        gate, candidate = (of_input + masked(state) @ first).chunk(2, dim=-1)
        states = [normalise(state + gate.sigmoid() * (candidate.tanh() - state))]
        for sources, used, rows, matrix in zip(wiring.sources, wiring.used, wiring.rows, nodes, strict=True):
            if not sources:  # a node none of whose edges is computed
                states.append(normalise(torch.zeros_like(state)))
                continue
            read = torch.stack([states[source] for source in sources])
            gates, candidates = (masked(read) @ matrix).chunk(2, dim=-1)  # [K, B, H]
            gates, total = gates.sigmoid(), torch.zeros_like(state)
            for column, function in enumerate(ACTIVATIONS.values()):
                if any(of_edge[column] for of_edge in used):
                    results = read + gates * (function(candidates) - read)
                    total = total + (weights[rows, column, None, None] * results).sum(dim=0)
            states.append(normalise(total))
        state = torch.stack([states[number] for number in wiring.output]).mean(dim=0)
        outputs.append(state)
    return torch.stack(outputs)


def unrolled(
    projected: Tensor,
    state: Tensor,
    first: Tensor,
    nodes: Tensor,
    weights: Tensor,
    wiring: Wiring,
    mask: Tensor | None = None,
    statistics: Statistics = UNNORMALISED,
    *,
    compiled: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the same outputs [T, B, H], several times faster, and the statistics of normalisation over the batch.

    The other arguments are those of `written_out`.

    Args:
        statistics: normalisation of s_0 and of every node.
        compiled: use the compiled kernel if it `fits`.

    Returns:
        Outputs [T, B, H]; mean and unbiased variance, both [T, N + 1, H], of each state.
    """
    # The kernel works on LANES units at a time. Nothing reads the additional units, because their rows of all matrices
    # are zero, and their gradients are zero, because their outputs are cut off.
    hidden, compiled = state.shape[1], compiled and fits(projected)
    weights = weights.to(projected.dtype)
    if compiled and (missing := -hidden % LANES):
        pad = partial(_pad_hidden, missing=missing)
        projected, first, nodes = pad(projected, halves=True), pad(first, halves=True), pad(nodes, halves=True)
        first, nodes = F.pad(first, (0, 0, 0, missing)), F.pad(nodes, (0, 0, 0, missing))
        state, mask = pad(state), None if mask is None else pad(mask)
        statistics = statistics.padded(missing)
    given = projected, state, first, nodes, weights, mask
    keep = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in given)
    outputs, mean, variance = _Unrolled.apply(wiring, statistics, compiled, keep, *given)  # type: ignore[misc]
    return outputs[..., :hidden], mean[..., :hidden], variance[..., :hidden]


def _pad_hidden(x: Tensor, missing: int, halves: bool = False) -> Tensor:
    """Returns x [..., H] padded by zeros at the end, or x [..., 2 H] (gates, candidates) at the end of either half."""
    return F.pad(x.unflatten(-1, (2, -1)), (0, missing)).flatten(-2) if halves else F.pad(x, (0, missing))


class _Unrolled(Function):
    """A whole chunk as one autograd operation, so that PyTorch records nothing inside it."""

    @staticmethod
    def forward(
        ctx: Any,
        wiring: Wiring,
        statistics: Statistics,
        compiled: bool,
        keep: bool,
        projected: Tensor,
        state: Tensor,
        first: Tensor,
        nodes: Tensor,
        weights: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(projected, state, first, nodes, weights, mask)
        ctx.wiring, ctx.statistics = wiring, statistics
        make = CompiledChunk if compiled else UnrolledChunk
        ctx.chunk = chunk = make(wiring, statistics, projected, state, first, nodes, weights, mask)
        chunk.forward(keep=keep)
        mean, variance, _ = chunk.state_statistics.unbind(dim=2)
        ctx.mark_non_differentiable(mean, variance)
        return chunk.outputs[1:], mean, variance

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        *given, mask = ctx.saved_tensors
        needed = ctx.needs_input_grad[4:9]
        if torch.is_grad_enabled():
            # Views: autograd.grad must see each input as a tensor of its own, also where one was computed from another.
            given = [tensor.view_as(tensor) for tensor in given]
            outputs = written_out(*given, ctx.wiring, mask, ctx.statistics)
            wanted = [tensor for tensor, needs in zip(given, needed, strict=True) if needs]
            found = iter(torch.autograd.grad(outputs, wanted, above[0], create_graph=True, allow_unused=True))
            return None, None, None, None, *(next(found) if needs else None for needs in needed), None
        return None, None, None, None, *ctx.chunk.backward(above[0], needed), None
