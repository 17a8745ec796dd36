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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from naslab.operations.kernels import REALS, Kernel, in_parts, kernel

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
        moved, kept, factors = int(norm.num_batches_tracked), 1.0, []
        count = mean.shape[0] * mean.shape[1]
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
    outputs, mean, variance = _Unrolled.apply(wiring, statistics, compiled, *given)  # type: ignore[misc]
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
        chunk.forward()
        ctx.mark_non_differentiable(chunk.mean, chunk.variance)
        return chunk.outputs[1:], chunk.mean, chunk.variance

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        *given, mask = ctx.saved_tensors
        needed = ctx.needs_input_grad[3:8]
        if torch.is_grad_enabled():
            given = [tensor.view_as(tensor) for tensor in given]  # so that none is made of another
            outputs = written_out(*given, ctx.wiring, mask, ctx.statistics)
            wanted = [tensor for tensor, needs in zip(given, needed, strict=True) if needs]
            found = iter(torch.autograd.grad(outputs, wanted, above[0], create_graph=True, allow_unused=True))
            return None, None, None, *(next(found) if needs else None for needs in needed), None
        return None, None, None, *ctx.chunk.backward(above[0], needed), None


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
        steps, batch, hidden = projected.shape[0], *state.shape
        self.wiring, self.statistics = wiring, statistics
        self.first, self.nodes, self.mask = first.contiguous(), nodes.contiguous(), mask
        self.used = wiring.mask(weights)
        self.weights = weights * self.used
        new = state.new_empty
        self.outputs = new(steps + 1, batch, hidden)
        self.outputs[0] = state
        self.states = new(steps, wiring.states, batch, hidden)
        self.masked_outputs, self.masked_states = self.outputs, self.states
        if mask is not None:
            self.masked_outputs, self.masked_states = torch.empty_like(self.outputs), torch.empty_like(self.states)
            torch.mul(state, mask, out=self.masked_outputs[0])
        self.of_first = projected.clone(memory_format=torch.contiguous_format).unsqueeze(1)  # [T, 1, B, 2 H]
        self.of_nodes = [new(steps, len(sources), batch, 2 * hidden) for sources in wiring.sources]
        """For each node [T, K, B, 2 H]: gates and candidates of what it reads."""
        self.mean, self.variance, self.inverse = new(3, steps, wiring.states, hidden).zero_().unbind()
        if statistics.kind == GIVEN:
            assert statistics.mean is not None
            assert statistics.variance is not None
            self.mean[:], self.inverse[:] = statistics.mean, (statistics.variance + statistics.epsilon).rsqrt()
        self.saved: dict[tuple[int, int], tuple[Tensor, Tensor, dict[str, Tensor]]] = {}
        """(step, state) -> what it read, gates, and name -> values of the functions, where PyTorch computed them."""

    def forward(self) -> None:
        """Compute the outputs."""
        hidden = self.outputs.shape[2]
        for step, (states, masked, of_first) in enumerate(
            zip(self.states, self.masked_states, self.of_first, strict=True)
        ):
            torch.addmm(of_first[0], self.masked_outputs[step], self.first, out=of_first[0])
            self.node(step, 0, self.outputs[step : step + 1], of_first)
            for number, (matrix, of_node, runs) in enumerate(
                zip(self.nodes, self.of_nodes, self.wiring.runs, strict=True)
            ):
                results = of_node[step]
                for position, begin, end in runs:
                    result = results[position : position + end - begin].view(-1, 2 * hidden)
                    torch.mm(masked[begin:end].view(-1, hidden), matrix, out=result)
                self.node(step, number + 1, states, results)
            self.output(step)

    def backward(self, above: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """The gradients of projected, state, first, nodes and weights, as far as they are needed, from those of the
        outputs [T, B, H]."""
        steps, batch, hidden = above.shape
        _, _, of_first, of_nodes, of_weights = needed
        share = 1 / len(self.wiring.output)
        projected = torch.empty_like(self.of_first)
        nodes = torch.zeros_like(self.nodes) if of_nodes else None
        self.begin_backward(of_weights)
        rooms = [torch.empty_like(of_node[0]) for of_node in self.of_nodes]
        direct, through = above.new_empty(2, self.wiring.states, batch, hidden).unbind()
        carried = torch.zeros_like(above[0])
        for step in reversed(range(steps)):
            direct.zero_()
            through.zero_()
            of_output = (above[step] + carried).mul_(share)
            for number in self.wiring.output:
                direct[number] = of_output
            states, masked = self.states[step], self.masked_states[step]
            for number in reversed(range(len(self.nodes))):
                room = rooms[number]
                self.node_gradient(step, number + 1, states, self.of_nodes[number][step], direct, through, direct, room)
                for position, begin, end in self.wiring.runs[number]:
                    gradient = room[position : position + end - begin].view(-1, 2 * hidden)
                    through[begin:end].view(-1, hidden).addmm_(gradient, self.nodes[number].t())
                    if nodes is not None:
                        nodes[number].addmm_(masked[begin:end].view(-1, hidden).t(), gradient)
            before = torch.zeros_like(direct[:1])
            read = self.outputs[step : step + 1]
            self.node_gradient(step, 0, read, self.of_first[step], direct, through, before, projected[step])
            back = projected[step, 0] @ self.first.t()
            carried = before[0] + (back if self.mask is None else back.mul_(self.mask))
        projected = projected.squeeze(1)
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

    def node(self, step: int, number: int, read: Tensor, products: Tensor) -> None:
        """Compute a state [B, H] and what is saved of it.

        Args:
            read: [S, B, H], of which the sources are numbers.
            products: [K, B, 2 H].
        """
        sources, used, weights = self._edges(number)
        y = torch.zeros_like(self.outputs[0])
        if sources:
            s = read[sources[0] : sources[-1] + 1] if len(sources) == sources[-1] + 1 - sources[0] else read[[*sources]]
            gates, candidates = products.chunk(2, dim=-1)
            gates = gates.sigmoid()
            results = {f: ACTIVATIONS[f](candidates) for c, f in enumerate(ACTIVATIONS) if any(u[c] for u in used)}
            columns = [c for c, f in enumerate(ACTIVATIONS) if f in results]
            self.saved[step, number] = s, gates, results
            factors = weights[:, :, None, None]
            old = factors.sum(dim=1) * s
            new = sum((factors[:, c] * f for c, f in zip(columns, results.values(), strict=True)), start=-old)
            y = torch.addcmul(old, gates, new).sum(dim=0)
        if self.statistics.kind == BATCH:
            variance, mean = torch.var_mean(y, dim=0, correction=0)
            self.mean[step, number], self.variance[step, number] = mean, variance * (len(y) / (len(y) - 1))
            self.inverse[step, number] = (variance + self.statistics.epsilon).rsqrt()
        if self.statistics.kind != NONE:
            y = (y - self.mean[step, number]) * self.inverse[step, number]
        self.states[step, number] = y
        if self.mask is not None:
            torch.mul(y, self.mask, out=self.masked_states[step, number])

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
            products: [K, B, 2 H].
            direct: [N + 1, B, H], the gradients of the states themselves.
            through: [N + 1, B, H], the gradients of what the products of matrices read.
            back: [S, B, H], to which the gradient of what was read is added, but for that by the products.
            room: [K, B, 2 H], for the gradient of the products.
        """
        sources, _, weights = self._edges(number)
        if not sources:
            return
        g = direct[number] + (through[number] if self.mask is None else through[number] * self.mask)
        if self.statistics.kind == BATCH:
            y = self.states[step, number]
            g = g - g.mean(dim=0) - y * (g * y).mean(dim=0)
        if self.statistics.kind != NONE:
            g = g * self.inverse[step, number]
        s, gates, results = self.saved[step, number]
        candidates = products.chunk(2, dim=-1)[1]
        passed = gates * g
        kept = g - passed
        factors = weights[:, :, None, None]
        share = factors.sum(dim=1)
        new, slope = -share * s, torch.zeros_like(s)
        for column, (name, _) in enumerate(ACTIVATIONS.items()):
            if name not in results:
                continue
            f, factor = results[name], factors[:, column]
            new.addcmul_(f, factor)
            slope.addcmul_(_slope(name, candidates, f), factor)
            if self.of_weights and number:
                total = (kept * s).sum(dim=(1, 2)) + (passed * f).sum(dim=(1, 2))
                self.totals[self.wiring.rows[number - 1], column] += total
        of_gates, of_candidates = room.chunk(2, dim=-1)
        torch.mul(new.mul_(kept), gates, out=of_gates)
        torch.mul(passed, slope, out=of_candidates)
        kept = kept * share
        for position, source in enumerate(sources):
            back[source] += kept[position]


def _slope(name: str, x: Tensor, f: Tensor) -> Tensor:
    """The derivative of a function at x, whose value is f."""
    if name == "tanh":
        return 1 - f * f
    if name == "relu":
        return (x > 0).to(x)
    return f - f * f if name == "sigmoid" else torch.ones_like(x)


class _Compiled(_Chunk):
    """The same with the elementwise part in one pass (`recurrent.c`)."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        run = Kernel("recurrent", self.outputs.shape[2], self.outputs.dtype)
        self.run_node, self.run_gradient, self.run_output = run.node, run.node_gradient, run.output
        self.mask_or_not = self.outputs.new_empty(0) if self.mask is None else self.mask.contiguous()
        self.edges = [self._as_numbers(number) for number in range(self.wiring.states)]
        self.output_states = torch.tensor(self.wiring.output)

    def _as_numbers(self, number: int) -> tuple[int, Tensor, Tensor, Tensor]:
        """Of a state: how many sources, which, whether they need an exponential, and their weights in double."""
        sources, used, weights = self._edges(number)
        smooth = [any(u and f in SMOOTH for u, f in zip(edge, ACTIVATIONS, strict=True)) for edge in used]
        return len(sources), torch.tensor(sources), torch.tensor(smooth).long(), weights.double().contiguous()

    def _in_parts(self, many: int, run: Callable[[int, int, int], None]) -> None:
        """`run(part, first column, end)`; the work is `many` times B times the columns."""
        _, batch, hidden = self.outputs.shape
        in_parts(hidden // LANES, many * batch * LANES, lambda part, i, j: run(part, i * LANES, j * LANES))

    def node(self, step: int, number: int, read: Tensor, products: Tensor) -> None:
        """See `_Chunk`."""
        many, sources, smooth, weights = self.edges[number]
        _, batch, hidden = self.outputs.shape
        statistics = self.statistics.kind, self.statistics.epsilon
        found = self.mean[step, number], self.variance[step, number], self.inverse[step, number]
        states = self.states[step, number], self.masked_states[step, number]
        about = batch, hidden, many, *statistics, sources, smooth, read, products, weights, self.mask_or_not
        self._in_parts(many, lambda _, i, j: self.run_node(i, j, *about, *found, *states))

    def output(self, step: int) -> None:
        """See `_Chunk`."""
        _, batch, hidden = self.outputs.shape
        outputs = self.outputs[step + 1], self.masked_outputs[step + 1]
        about = batch, hidden, len(self.output_states), self.output_states, self.states[step], self.mask_or_not
        self._in_parts(1, lambda _, i, j: self.run_output(i, j, *about, *outputs))

    def begin_backward(self, of_weights: bool) -> None:
        """See `_Chunk`."""
        self.of_weights = of_weights
        self.sums = torch.zeros(self.wiring.states, torch.get_num_threads(), self.wiring.states, 5, dtype=torch.float64)
        self.two_rows = self.outputs.new_empty(2, self.outputs.shape[2])

    def weight_gradient(self) -> Tensor:
        """See `_Chunk`."""
        sums = self.sums.sum(dim=1)
        rows = [sums[number, :many] for number, (many, *_) in enumerate(self.edges)][1:]
        of_edges = torch.cat(rows)
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
        _, batch, hidden = self.outputs.shape
        about = batch, hidden, many, self.statistics.kind, int(self.of_weights and number > 0)
        edges = sources, smooth, read, products, weights, self.mask_or_not
        own = self.inverse[step, number], self.states[step, number], direct[number], through[number]
        sums = self.sums[number]
        given = *about, *edges, *own, back, room, self.two_rows
        self._in_parts(many, lambda part, i, j: self.run_gradient(i, j, *given, sums[part]))
