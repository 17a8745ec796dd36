"""The gated recurrent cell of DARTS over a whole chunk of a sequence (Liu et al. 2019, https://arxiv.org/abs/1806.09055,
Sec. 2.1 and Appendix A.1.2).

The states of a cell at one step in time are s_0, which reads the input x and the last output h, and nodes i = 1 to N:

    c_0, u_0 = [x ; h] W_0                               s_0 = h + sigmoid(c_0) (tanh(u_0) - h)
    c_j, u_j = s_j W_i, for every state j that i reads   s_i = sum of p[j, f] (s_j + sigmoid(c_j) (f(u_j) - s_j))

where the sum is over the states j and the functions f; the new output is the mean of some of the states. A node has one
matrix W_i for all states that it reads. Masks m_x and m_h, drawn once a chunk (variational dropout), multiply what
enters a product of matrices, and never the s_j that is carried past it. In the search s_0 and all nodes are normalised
over the batch.

`written_out` is this, line by line, with PyTorch's own gradients. `unrolled` is the same function with the gradient of
the whole chunk by hand: the result of each product of matrices is kept, the elementwise rest of a node is one pass over
memory (`recurrent.c`, where there is a compiler), and products of matrices add into their results. Where a gradient
must be differentiable itself, as in exact second order, `unrolled` goes back through `written_out`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from naslab.operations.kernels import REALS, in_parts, kernel

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
"""The functions f, in the order of the columns of the weights p."""
SMOOTH = ("tanh", "sigmoid")
"""Those that take an exponential."""
LANES = 8
"""The compiled kernel works on hidden units in multiples of this; others are filled up with zeros."""
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


def written_out(
    projected: Tensor,
    state: Tensor,
    first: Tensor,
    nodes: Tensor,
    weights: Tensor,
    wiring: Wiring,
    mask: Tensor | None = None,
    normalise: Normalise = Statistics(NONE),
) -> Tensor:
    """The outputs [T, B, H] of a cell over T steps, as the equations above have them.

    Args:
        projected: [T, B, 2 H], (x m_x) times the first rows of W_0, those of the input.
        state: [B, H], the output before the first step.
        first: [H, 2 H], the other rows of W_0.
        nodes: [N, H, 2 H], the W_i.
        weights: [E, 4], the p of each edge.
        wiring: which states are read, and which are averaged.
        mask: m_h, [B, H]; None for ones.
        normalise: of s_0 and of every node.
    """

    def masked(x: Tensor) -> Tensor:
        return x if mask is None else x * mask

    weights = weights * wiring.mask(weights)
    outputs = []
    for of_input in projected:
        gate, candidate = (of_input + masked(state) @ first).chunk(2, dim=-1)
        states = [normalise(state + gate.sigmoid() * (candidate.tanh() - state))]
        for sources, used, rows, matrix in zip(wiring.sources, wiring.used, wiring.rows, nodes, strict=True):
            if not sources:
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
    statistics: Statistics = Statistics(NONE),
    *,
    compiled: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same outputs [T, B, H], several times faster; then the mean and the unbiased variance [T, N + 1, H] of what
    was normalised over the batch.

    Args:
        compiled: by the kernel, where it `fits`.
    """
    hidden, compiled = state.shape[1], compiled and fits(projected)
    weights = weights.to(projected.dtype)
    if compiled and (missing := -hidden % LANES):
        pad = partial(_filled_up, missing=missing)
        projected, first, nodes = pad(projected, halves=True), pad(first, halves=True), pad(nodes, halves=True)
        first, nodes = F.pad(first, (0, 0, 0, missing)), F.pad(nodes, (0, 0, 0, missing))
        state, mask = pad(state), None if mask is None else pad(mask)
        statistics = statistics.filled_up(missing)
    given = projected, state, first, nodes, weights, mask
    keep = torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in given)
    outputs, mean, variance = _Unrolled.apply(wiring, statistics, compiled, keep, *given)  # type: ignore[misc]
    return outputs[..., :hidden], mean[..., :hidden], variance[..., :hidden]


def _filled_up(x: Tensor, missing: int, halves: bool = False) -> Tensor:
    """x [..., H] with so many zeros behind, or [..., 2 H] with as many behind either half."""
    return F.pad(x.unflatten(-1, (2, -1)), (0, missing)).flatten(-2) if halves else F.pad(x, (0, missing))


def fits(x: Tensor) -> bool:
    """Whether there is a compiled kernel for tensors like this one."""
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype in REALS
        and kernel("recurrent", LANES, x.dtype) is not None
    )


class _Unrolled(Function):
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
        make = _Compiled if compiled else _Chunk
        ctx.chunk = chunk = make(wiring, statistics, projected, state, first, nodes, weights, mask)
        chunk.forward(keep=keep)
        mean, variance, _ = chunk.of_states.unbind(dim=2)
        ctx.mark_non_differentiable(mean, variance)
        return chunk.outputs[1:], mean, variance

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        *given, mask = ctx.saved_tensors
        needed = ctx.needs_input_grad[4:9]
        if torch.is_grad_enabled():
            given = [tensor.view_as(tensor) for tensor in given]  # so that none is made of another
            outputs = written_out(*given, ctx.wiring, mask, ctx.statistics)
            wanted = [tensor for tensor, needs in zip(given, needed, strict=True) if needs]
            found = iter(torch.autograd.grad(outputs, wanted, above[0], create_graph=True, allow_unused=True))
            return None, None, None, None, *(next(found) if needs else None for needs in needed), None
        return None, None, None, None, *ctx.chunk.backward(above[0], needed), None


class _Chunk:
    """The states of a chunk, step after step, and the way back; elementwise by PyTorch.

    Args:
        given: as those of `written_out`, detached; contiguous.
    """

    def __init__(
        self,
        wiring: Wiring,
        statistics: Statistics,
        projected: Tensor,
        state: Tensor,
        first: Tensor,
        nodes: Tensor,
        weights: Tensor,
        mask: Tensor | None,
    ) -> None:
        steps, (self.batch, self.hidden) = len(projected), state.shape
        self.wiring, self.statistics = wiring, statistics
        self.first, self.nodes, self.mask = first.contiguous(), nodes.contiguous(), mask
        self.used = wiring.mask(weights)
        self.weights = weights * self.used
        self.new = partial(torch.empty, dtype=state.dtype, device=state.device)
        self.outputs = self.new(steps + 1, self.batch, self.hidden)
        self.outputs[0] = state
        self.masked_outputs = self.outputs
        if mask is not None:
            self.masked_outputs = torch.empty_like(self.outputs)
            torch.mul(state, mask, out=self.masked_outputs[0])
        self.products: list[list[Tensor]] = []
        """For each step and state [K B, 2 H]: gates and candidates of the K states that it reads."""
        self.states: list[Tensor] = []
        """For each step [S, B, H]."""
        self.masked: list[Tensor] = []
        """The same times the mask."""
        self.of_states = self.new(steps, wiring.states, 3, self.hidden).zero_()
        """Mean, unbiased variance and inverse deviation of each state at each step."""
        if statistics.kind == GIVEN:
            assert statistics.mean is not None
            assert statistics.variance is not None
            self.of_states[:, :, 0] = statistics.mean
            self.of_states[:, :, 2] = (statistics.variance + statistics.epsilon).rsqrt()
        self.projected = projected
        self.saved: dict[tuple[int, int], tuple[Tensor, Tensor, list[Tensor]]] = {}
        """(step, state) -> what it read, gates, and the values of the functions, where PyTorch computes them."""
        self.before: dict[tuple[int, int], Tensor] = {}
        """(step, state) -> the state before it was normalised, where PyTorch does it."""
        self.begin()

    def forward(self, *, keep: bool) -> None:
        """Compute the outputs.

        Args:
            keep: what the way back needs.
        """
        shape = self.wiring.states, self.batch, self.hidden
        matrices = self.nodes.unbind()
        for step, projected in enumerate(self.projected):
            # many small tensors: one large one would be new memory each time, which the system must clear
            states = self.new(shape)
            masked = states if self.mask is None else self.new(shape)
            products = [torch.addmm(projected, self.masked_outputs[step], self.first)]
            self.states.append(states)
            self.masked.append(masked)
            self.products.append(products)
            self.node(step, 0, self.outputs[step : step + 1], products[0])
            read = masked.view(-1, self.hidden)
            for number, (matrix, runs) in enumerate(zip(matrices, self.wiring.runs, strict=True), start=1):
                if len(runs) == 1:
                    products.append(torch.mm(self._rows(read, *runs[0][1:]), matrix))
                else:
                    products.append(self.new(len(self.wiring.sources[number - 1]) * self.batch, 2 * self.hidden))
                    for position, begin, end in runs:
                        result = self._rows(products[-1], position, position + end - begin)
                        torch.mm(self._rows(read, begin, end), matrix, out=result)
                self.node(step, number, states, products[-1])
            self.output(step)
            if not keep:
                self.products[step], self.states[step], self.masked[step] = [], self.outputs, self.outputs
                self.saved.clear()
                self.before.clear()
        self.finish()

    def _rows(self, x: Tensor, begin: int, end: int) -> Tensor:
        """Those of the states from `begin` to `end` in x [S B, ...]."""
        return x[begin * self.batch : end * self.batch]

    def backward(self, above: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """The gradients of projected, state, first, nodes and weights, as far as they are needed, from those of the
        outputs [T, B, H]."""
        _, _, of_first, of_nodes, of_weights = needed
        states = self.wiring.states
        shares = self.new(states, 1, 1).zero_()
        shares[[*self.wiring.output]] = 1 / len(self.wiring.output)
        projected = self.new(len(above), self.batch, 2 * self.hidden)
        nodes = torch.zeros_like(self.nodes) if of_nodes else None
        self.begin_backward(of_weights)
        direct, through = self.new(states, self.batch, self.hidden), self.new(states * self.batch, self.hidden)
        rooms = [self.new(len(sources) * self.batch, 2 * self.hidden) for sources in self.wiring.sources]
        into = [  # for each node, of each run: the gradient of its products, of what was multiplied, and the matrices
            [
                (self._rows(room, position, position + end - begin), self._rows(through, begin, end), begin, end)
                for position, begin, end in runs
            ]
            for room, runs in zip(rooms, self.wiring.runs, strict=True)
        ]
        turned = [matrix.t() for matrix in self.nodes.unbind()]
        of_matrices = [None] * len(rooms) if nodes is None else nodes.unbind()
        carried = torch.zeros_like(above[0])
        for step in reversed(range(len(above))):
            torch.mul(above[step] + carried, shares, out=direct)
            through.zero_()
            states, products = self.states[step], self.products[step]
            read = self.masked[step].view(-1, self.hidden)
            for number in reversed(range(len(rooms))):
                self.node_gradient(
                    step, number + 1, states, products[number + 1], direct, through, direct, rooms[number]
                )
                of_matrix = of_matrices[number]
                for gradient, of_read, begin, end in into[number]:
                    of_read.addmm_(gradient, turned[number])
                    if of_matrix is not None:
                        of_matrix.addmm_(self._rows(read, begin, end).t(), gradient)
            before = torch.zeros_like(carried)
            room = projected[step]
            self.node_gradient(step, 0, self.outputs[step : step + 1], products[0], direct, through, before[None], room)
            back = room @ self.first.t()
            carried = before + back if self.mask is None else torch.addcmul(before, back, self.mask)
        first = None
        if of_first:
            first = self.masked_outputs[:-1].flatten(0, 1).t() @ projected.flatten(0, 1)
        return [projected, carried, first, nodes, self.weight_gradient() if of_weights else None]

    def _edges(self, number: int) -> tuple[Sequence[int], Sequence[Sequence[bool]], Tensor]:
        """Of a state: the sources, the functions of each, and their weights [K, 4]."""
        if number == 0:
            return (0,), ((True, False, False, False),), self.weights.new_tensor([[1, 0, 0, 0]])
        node = number - 1
        return self.wiring.sources[node], self.wiring.used[node], self.weights[self.wiring.rows[node]]

    # --- elementwise -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Before the first step."""
        self.factors = []
        """Of each state: the sources, the functions that any of them takes, the weights [K, 1, 1] of each, and the sum
        of those."""
        for number in range(self.wiring.states):
            sources, used, weights = self._edges(number)
            names = {column: name for column, name in enumerate(ACTIVATIONS) if any(edge[column] for edge in used)}
            factors = [weights[:, column, None, None] for column in names]
            self.factors.append((sources, list(names.values()), factors, weights.sum(dim=1)[:, None, None]))

    def finish(self) -> None:
        """After the last step."""
        if self.statistics.kind == BATCH:  # PyTorch gives the inverse deviation alone
            variance = self.of_states[:, :, 2].pow(-2) - self.statistics.epsilon
            self.of_states[:, :, 1] = variance * (self.batch / (self.batch - 1))

    def node(self, step: int, number: int, read: Tensor, products: Tensor) -> None:
        """Compute a state [B, H] and what is saved of it.

        Args:
            read: [S, B, H], of which the sources are numbers.
            products: [K B, 2 H].
        """
        sources, names, factors, share = self.factors[number]
        y = torch.zeros_like(self.outputs[0])
        if sources:
            s = read[sources[0] : sources[-1] + 1] if len(sources) == sources[-1] + 1 - sources[0] else read[[*sources]]
            gates, candidates = products.view(-1, self.batch, 2 * self.hidden).chunk(2, dim=-1)
            gates = gates.sigmoid()
            old = share * s
            new, results = old.neg(), []
            for name, factor in zip(names, factors, strict=True):
                results.append(ACTIVATIONS[name](candidates))
                new.addcmul_(results[-1], factor)
            self.saved[step, number] = s, gates, results
            y = torch.addcmul(old, gates, new).sum(dim=0)
        of_state = self.of_states[step, number]
        if self.statistics.kind == BATCH:
            self.before[step, number] = y
            y, mean, inverse = torch.native_batch_norm(y, None, None, None, None, True, 0.0, self.statistics.epsilon)
            of_state[0], of_state[2] = mean, inverse
        elif self.statistics.kind == GIVEN:
            y = (y - of_state[0]) * of_state[2]
        self.states[step][number] = y
        if self.mask is not None:
            torch.mul(y, self.mask, out=self.masked[step][number])

    def output(self, step: int) -> None:
        """Compute the output [B, H] of a step."""
        output = self.outputs[step + 1]
        torch.mean(self.states[step][[*self.wiring.output]], dim=0, out=output)
        if self.mask is not None:
            torch.mul(output, self.mask, out=self.masked_outputs[step + 1])

    def begin_backward(self, of_weights: bool) -> None:
        """Before the last step."""
        self.of_weights = of_weights
        self.totals = torch.zeros_like(self.weights)

    def weight_gradient(self) -> Tensor:
        """[E, 4], after the first step."""
        return self.totals * self.used

    def node_gradient(
        self,
        step: int,
        number: int,
        read: Tensor,
        products: Tensor,
        direct: Tensor,
        through: Tensor,
        back: Tensor,
        room: Tensor,
    ) -> None:
        """From the gradient of a state to those of what it read.

        Args:
            read: [S, B, H], of which the sources are numbers.
            products: [K B, 2 H].
            direct: [S, B, H], the gradients of the states themselves.
            through: [S B, H], the gradients of what the products of matrices read.
            back: [S, B, H], to which the gradient of what was read is added, but for that by the products.
            room: [K B, 2 H], for the gradient of the products.
        """
        sources, names, factors, share = self.factors[number]
        if not sources:
            return
        g = through.view_as(direct)[number]
        g = direct[number] + g if self.mask is None else torch.addcmul(direct[number], g, self.mask)
        mean, _, inverse = self.of_states[step, number]
        if self.statistics.kind == BATCH:
            about = mean, inverse, True, self.statistics.epsilon, [True, False, False]
            y = self.before[step, number]
            g, _, _ = torch.ops.aten.native_batch_norm_backward(g, y, None, None, None, *about)
        elif self.statistics.kind == GIVEN:
            g = g * inverse
        s, gates, results = self.saved[step, number]
        shape = len(sources), self.batch, 2 * self.hidden
        candidates = products.view(shape).chunk(2, dim=-1)[1]
        passed = gates * g
        kept = g - passed
        new, slope = -share * s, torch.zeros_like(s)
        of_s = (kept * s).sum(dim=(1, 2)) if self.of_weights and number > 0 else None
        for name, factor, f in zip(names, factors, results, strict=True):
            new.addcmul_(f, factor)
            slope.addcmul_(_slope(name, candidates, f), factor)
            if of_s is not None:
                total = of_s + (passed * f).sum(dim=(1, 2))
                self.totals[self.wiring.rows[number - 1], [*ACTIVATIONS].index(name)] += total
        of_gates, of_candidates = room.view(shape).chunk(2, dim=-1)
        torch.mul(new.mul_(kept), gates, out=of_gates)
        torch.mul(passed, slope, out=of_candidates)
        kept.mul_(share)
        for position, source in enumerate(sources):
            back[source] += kept[position]


def _slope(name: str, x: Tensor, f: Tensor) -> Tensor:
    """The derivative of a function at x, whose value is f."""
    if name == "tanh":
        return 1 - f * f
    if name == "relu":
        return (x > 0).to(x)
    return torch.addcmul(f, f, f, value=-1) if name == "sigmoid" else torch.ones_like(x)


_WHOLE, _REAL, _POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class _Compiled(_Chunk):
    """The same with the elementwise part in one pass (`recurrent.c`)."""

    def begin(self) -> None:
        """See `_Chunk`."""
        library = kernel("recurrent", LANES, self.outputs.dtype)
        assert library is not None
        # with the types of arguments told once, a call takes no more than a few microseconds
        self.run_node, self.run_gradient, self.run_output = library.node, library.node_gradient, library.output
        self.run_node.argtypes = [*[_WHOLE] * 6, _REAL, _WHOLE, *[_POINTER] * 9]
        self.run_gradient.argtypes = [*[_WHOLE] * 8, *[_POINTER] * 14]
        self.run_output.argtypes = [*[_WHOLE] * 5, *[_POINTER] * 5]
        for run in (self.run_node, self.run_gradient, self.run_output):
            run.restype = None
        self.mask = None if self.mask is None else self.mask.contiguous()
        self.at_mask = None if self.mask is None else self.mask.data_ptr()
        self.numbers = [self._as_numbers(number) for number in range(self.wiring.states)]
        self.edges = [(len(sources), *(x.data_ptr() for x in (sources, *rest))) for sources, *rest in self.numbers]
        """Of each state: how many sources, and the addresses of their numbers, of whether they need an exponential, and
        of their weights."""
        self.output_states = torch.tensor(self.wiring.output)

    def finish(self) -> None:
        """See `_Chunk`."""

    def _as_numbers(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        sources, used, weights = self._edges(number)
        smooth = [any(u and f in SMOOTH for u, f in zip(edge, ACTIVATIONS, strict=True)) for edge in used]
        return torch.tensor(sources), torch.tensor(smooth).long(), weights.double().contiguous()

    def _in_parts(self, many: int, run: Callable[[int, int, int], None]) -> None:
        """`run(part, first column, end)`; the work is `many` times B times the columns."""
        if torch.get_num_threads() == 1:
            run(0, 0, self.hidden)
            return
        blocks = self.hidden // LANES
        in_parts(blocks, many * self.batch * LANES, lambda part, i, j: run(part, i * LANES, j * LANES))

    def _address(self, x: Tensor, number: int) -> int:
        """Of x[number], contiguous."""
        return x.data_ptr() + number * x.stride(0) * x.element_size()

    def node(self, step: int, number: int, read: Tensor, products: Tensor) -> None:
        """See `_Chunk`."""
        many, sources, smooth, weights = self.edges[number]
        about = self.batch, self.hidden, many, self.statistics.kind, self.statistics.epsilon, number, sources, smooth
        given = read.data_ptr(), products.data_ptr(), weights, self.at_mask
        statistics = self._address(self.of_states, step) + number * 3 * self.hidden * self.of_states.element_size()
        found = statistics, self.states[step].data_ptr(), self.masked[step].data_ptr()
        self._in_parts(many, lambda _, i, j: self.run_node(i, j, *about, *given, *found))

    def output(self, step: int) -> None:
        """See `_Chunk`."""
        about = self.batch, self.hidden, len(self.output_states), self.output_states.data_ptr()
        given = self.states[step].data_ptr(), self.at_mask
        found = self._address(self.outputs, step + 1), self._address(self.masked_outputs, step + 1)
        self._in_parts(1, lambda _, i, j: self.run_output(i, j, *about, *given, *found))

    def begin_backward(self, of_weights: bool) -> None:
        """See `_Chunk`."""
        self.of_weights = of_weights
        self.sums = torch.zeros(self.wiring.states, torch.get_num_threads(), self.wiring.states, 5, dtype=torch.float64)
        self.two_rows = self.new(2, self.hidden)

    def weight_gradient(self) -> Tensor:
        """See `_Chunk`."""
        sums = self.sums.sum(dim=1)
        of_edges = torch.cat([sums[number, :many] for number, (many, *_) in enumerate(self.edges)][1:])
        return (of_edges[:, 1:] + of_edges[:, :1]).to(self.weights) * self.used

    def node_gradient(
        self,
        step: int,
        number: int,
        read: Tensor,
        products: Tensor,
        direct: Tensor,
        through: Tensor,
        back: Tensor,
        room: Tensor,
    ) -> None:
        """See `_Chunk`."""
        many, sources, smooth, weights = self.edges[number]
        of_weights = int(self.of_weights and number > 0)
        about = self.batch, self.hidden, many, self.statistics.kind, of_weights, number, sources, smooth
        statistics = self._address(self.of_states, step) + number * 3 * self.hidden * self.of_states.element_size()
        given = read.data_ptr(), products.data_ptr(), weights, self.at_mask, statistics, self.states[step].data_ptr()
        found = (*(x.data_ptr() for x in (direct, through, back, room, self.two_rows)),)
        sums = self.sums[number]
        self._in_parts(
            many, lambda part, i, j: self.run_gradient(i, j, *about, *given, *found, self._address(sums, part))
        )
