"""Forward and backward pass of a recurrent cell over a chunk of steps, with the elementwise part in PyTorch.

The gradients of node i with sources j, for g = dL/ds_i before its normalisation, c = sigmoid(c_j), p_j = sum_f p[j, f]:

    dL/dc_j     =  g c (1 - c) (sum_f p[j, f] f(u_j) - p_j s_j)
    dL/du_j     =  g c sum_f p[j, f] f'(u_j)
    dL/ds_j    +=  g (1 - c) p_j  +  [dL/dc_j, dL/du_j] W_i^T m_h
    dL/dW_i    +=  (s_j m_h)^T [dL/dc_j, dL/du_j]
    dL/dp[j,f] +=  sum over batch and units of  g ((1 - c) s_j + c f(u_j))

The first two lines, the first term of the third and the last line are elementwise (`node_gradient`); the others are
matrix products over all sources of a node at once (`backward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from naslab.operations.indexing import index_on, picked
from naslab.operations.recurrent_wiring import ACTIVATIONS, BATCH, GIVEN, Statistics, Wiring


class UnrolledChunk:
    """The forward pass over a chunk, and what the backward pass needs of it.

    `recurrent_compiled.CompiledChunk` overrides the elementwise methods. The arguments are those of
    `recurrent.written_out`; tensors are used without autograd.
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
        """For each step [S, B, H]: the states."""
        self.masked: list[Tensor] = []
        """For each step [S, B, H]: the states times the mask, the inputs of the matrix products."""
        self.state_statistics = self.new(steps, wiring.states, 3, self.hidden).zero_()
        """[T, S, 3, H]: mean, unbiased variance and inverse deviation of each state at each step."""
        if statistics.kind == GIVEN:
            assert statistics.mean is not None
            assert statistics.variance is not None
            self.state_statistics[:, :, 0] = statistics.mean
            self.state_statistics[:, :, 2] = (statistics.variance + statistics.epsilon).rsqrt()
        self.projected = projected
        self.saved: dict[tuple[int, int], tuple[Tensor, Tensor, list[Tensor]]] = {}
        """(step, state) -> what it read, its gates, and the values of the functions; empty in a compiled chunk."""
        self.before: dict[tuple[int, int], Tensor] = {}
        """(step, state) -> the state before its normalisation; empty in a compiled chunk."""
        self.begin()

    def forward(self, *, keep: bool) -> None:
        """Compute the outputs.

        Args:
            keep: keep what the backward pass needs.
        """
        shape = self.wiring.states, self.batch, self.hidden
        matrices = self.nodes.unbind()
        for step, projected in enumerate(self.projected):
            # Small tensors for each step, which the allocator reuses; one large tensor for all steps would be new
            # memory each time, which the operating system must clear first.
            states = self.new(shape)
            masked = states if self.mask is None else self.new(shape)
            products = [torch.addmm(projected, self.masked_outputs[step], self.first)]
            self.states.append(states)
            self.masked.append(masked)
            self.products.append(products)
            self.node(step, 0, self.outputs[step : step + 1], products[0])
            read = masked.view(-1, self.hidden)
            for number, (matrix, runs) in enumerate(zip(matrices, self.wiring.runs, strict=True), start=1):
                # Adjacent sources are one matrix product; without a copy, since `masked` has the states in order.
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
        """Returns the rows of the states from `begin` to `end` in x [S B, ...]."""
        return x[begin * self.batch : end * self.batch]

    def backward(self, above: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """Returns the gradients of projected, state, first, nodes and weights; None for those that are not needed.

        Args:
            above: gradients of the outputs, [T, B, H].
            needed: which of the five gradients are needed.
        """
        _, _, of_first, of_nodes, of_weights = needed
        states = self.wiring.states
        # share of each state in the output, their mean: [S, 1, 1]
        shares = self.new(states, 1, 1).zero_()
        for state in self.wiring.output:
            shares[state] = 1 / len(self.wiring.output)
        projected = self.new(len(above), self.batch, 2 * self.hidden)
        nodes = torch.zeros_like(self.nodes) if of_nodes else None
        self.begin_backward(of_weights)
        # Two gradients of every state: as it is carried past the products, and as the masked input of the products.
        direct, through = self.new(states, self.batch, self.hidden), self.new(states * self.batch, self.hidden)
        rooms = [self.new(len(sources) * self.batch, 2 * self.hidden) for sources in self.wiring.sources]
        into = [  # for each node and run: views of the gradients of its products and of what was multiplied, its states
            [
                (self._rows(room, position, position + end - begin), self._rows(through, begin, end), begin, end)
                for position, begin, end in runs
            ]
            for room, runs in zip(rooms, self.wiring.runs, strict=True)
        ]
        transposed = [matrix.t() for matrix in self.nodes.unbind()]
        of_matrices = [None] * len(rooms) if nodes is None else nodes.unbind()
        carried = torch.zeros_like(above[0])  # gradient of the output of this step that comes from the next step
        for step in reversed(range(len(above))):
            torch.mul(above[step] + carried, shares, out=direct)
            through.zero_()
            states, products = self.states[step], self.products[step]
            read = self.masked[step].view(-1, self.hidden)
            # Backwards through the nodes: when a state is reached, all nodes that read it have added their part.
            for number in reversed(range(len(rooms))):
                self.node_gradient(
                    step, number + 1, states, products[number + 1], direct, through, direct, rooms[number]
                )
                of_matrix = of_matrices[number]
                for gradient, of_read, begin, end in into[number]:
                    of_read.addmm_(gradient, transposed[number])
                    if of_matrix is not None:
                        of_matrix.addmm_(self._rows(read, begin, end).t(), gradient)
            before = torch.zeros_like(carried)
            room = projected[step]
            self.node_gradient(step, 0, self.outputs[step : step + 1], products[0], direct, through, before[None], room)
            back = room @ self.first.t()
            carried = before + back if self.mask is None else torch.addcmul(before, back, self.mask)
        first = None
        if of_first:  # one product over all steps: [H, T B] times [T B, 2 H]
            first = self.masked_outputs[:-1].flatten(0, 1).t() @ projected.flatten(0, 1)
        return [projected, carried, first, nodes, self.weight_gradient() if of_weights else None]

    def _edges(self, number: int) -> tuple[Sequence[int], Sequence[Sequence[bool]], Tensor]:
        """Returns the sources of a state, the functions used with each, and their weights [K, 4].

        State 0 is computed as a node that reads the last output through tanh, with weight 1.
        """
        if number == 0:
            one = index_on((1, 0, 0, 0), self.weights.device).to(self.weights)[None]
            return (0,), ((True, False, False, False),), one
        node = number - 1
        return self.wiring.sources[node], self.wiring.used[node], self.weights[self.wiring.rows[node]]

    # --- the elementwise part, overridden by `CompiledChunk` -------------------------------------

    def begin(self) -> None:
        """Prepare what does not change from step to step."""
        self.factors = []
        """For each state: its sources, the functions that any source uses, their weights [K, 1, 1], and the sum of all
        weights of a source [K, 1, 1]."""
        for number in range(self.wiring.states):
            sources, used, weights = self._edges(number)
            names = {column: name for column, name in enumerate(ACTIVATIONS) if any(edge[column] for edge in used)}
            factors = [weights[:, column, None, None] for column in names]
            self.factors.append((sources, list(names.values()), factors, weights.sum(dim=1)[:, None, None]))

    def finish(self) -> None:
        """Complete the statistics after the last step."""
        if self.statistics.kind == BATCH:  # PyTorch returns only the inverse of the biased deviation
            variance = self.state_statistics[:, :, 2].pow(-2) - self.statistics.epsilon
            self.state_statistics[:, :, 1] = variance * (self.batch / (self.batch - 1))

    def node(self, step: int, number: int, read: Tensor, products: Tensor) -> None:
        """Compute a state [B, H], and keep what its gradient needs.

        Args:
            step: number of the step.
            number: number of the state.
            read: [S, B, H], indexed by the sources.
            products: [K B, 2 H], gates and candidates.
        """
        sources, names, factors, share = self.factors[number]
        y = torch.zeros_like(self.outputs[0])
        if sources:
            s = picked(read, sources)
            gates, candidates = products.view(-1, self.batch, 2 * self.hidden).chunk(2, dim=-1)
            gates = gates.sigmoid()
            # sum_f p_f (s + gate (f - s))  =  share s + gate (sum_f p_f f - share s): one product with the gate
            old = share * s
            new, results = old.neg(), []
            for name, factor in zip(names, factors, strict=True):
                results.append(ACTIVATIONS[name](candidates))
                new.addcmul_(results[-1], factor)
            self.saved[step, number] = s, gates, results
            y = torch.addcmul(old, gates, new).sum(dim=0)
        of_state = self.state_statistics[step, number]
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
        torch.mean(picked(self.states[step], self.wiring.output), dim=0, out=output)
        if self.mask is not None:
            torch.mul(output, self.mask, out=self.masked_outputs[step + 1])

    def begin_backward(self, of_weights: bool) -> None:
        """Prepare the backward pass; `of_weights`: whether the gradient of the weights is needed."""
        self.of_weights = of_weights
        self.totals = torch.zeros_like(self.weights)

    def weight_gradient(self) -> Tensor:
        """Returns the gradient [E, 4] of the weights, at the end of the backward pass."""
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
        """Propagate the gradient of a state to what it read, except through the matrix products.

        Args:
            step: number of the step.
            number: number of the state.
            read: [S, B, H], indexed by the sources.
            products: [K B, 2 H], gates and candidates.
            direct: [S, B, H], gradients of the states themselves.
            through: [S B, H], gradients of the masked states, which the matrix products read.
            back: [S, B, H]; the gradient of what was read is added here.
            room: [K B, 2 H]; the gradient of the products is written here.
        """
        sources, names, factors, share = self.factors[number]
        if not sources:
            return
        g = through.view_as(direct)[number]
        g = direct[number] + g if self.mask is None else torch.addcmul(direct[number], g, self.mask)
        mean, _, inverse = self.state_statistics[step, number]
        if self.statistics.kind == BATCH:
            about = mean, inverse, True, self.statistics.epsilon, [True, False, False]
            y = self.before[step, number]
            g, _, _ = torch.ops.aten.native_batch_norm_backward(g, y, None, None, None, *about)
        elif self.statistics.kind == GIVEN:
            g = g * inverse
        s, gates, results = self.saved[step, number]
        shape = len(sources), self.batch, 2 * self.hidden
        candidates = products.view(shape).chunk(2, dim=-1)[1]
        passed = gates * g  # gradient of f(u)
        kept = g - passed  # gradient of s where it is carried past
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
    """Returns the derivative of a function at x, where its value is f."""
    if name == "tanh":
        return 1 - f * f
    if name == "relu":
        return (x > 0).to(x)
    return torch.addcmul(f, f, f, value=-1) if name == "sigmoid" else torch.ones_like(x)
