"""The states of a recurrent cell over a chunk, step after step, and the way back; elementwise by PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from naslab.operations.recurrent_wiring import ACTIVATIONS, BATCH, GIVEN, Statistics, Wiring


class UnrolledChunk:
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
