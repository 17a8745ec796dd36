"""`recurrent_chunk` with the elementwise part in a compiled kernel (`recurrent.c`).

The kernel computes sigmoid and tanh again in the backward pass instead of keeping them, and fuses normalisation, mask
and all functions of a node into one pass over memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from naslab.operations.kernels import REALS, in_parts, kernel
from naslab.operations.recurrent_chunk import UnrolledChunk
from naslab.operations.recurrent_wiring import ACTIVATIONS, SMOOTH

LANES = 8
"""Hidden units that the kernel computes at a time; other numbers of units are padded by zeros to a multiple."""


def fits(x: Tensor) -> bool:
    """Returns True if there is a compiled kernel for the device and number format of x."""
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype in REALS
        and kernel("recurrent", LANES, x.dtype) is not None
    )


_WHOLE, _REAL, _POINTER = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p


class CompiledChunk(UnrolledChunk):
    """An `UnrolledChunk` whose elementwise part is compiled."""

    def begin(self) -> None:
        """See `UnrolledChunk`."""
        library = kernel("recurrent", LANES, self.outputs.dtype)
        assert library is not None
        # With argument types declared once, a call takes a few microseconds; there are N + 2 of them in every step.
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
        """For each state: number of sources K, and the addresses of their numbers, of flags whether their functions
        need an exponential, and of their weights. `numbers` keeps the tensors alive."""
        self.output_states = torch.tensor(self.wiring.output)

    def finish(self) -> None:
        """See `UnrolledChunk`."""

    def _as_numbers(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the sources [K] int64, the flags [K] int64 and the weights [K, 4] float64 of a state."""
        sources, used, weights = self._edges(number)
        smooth = [any(u and f in SMOOTH for u, f in zip(edge, ACTIVATIONS, strict=True)) for edge in used]
        return torch.tensor(sources), torch.tensor(smooth).long(), weights.double().contiguous()

    def _in_parts(self, many: int, run: Callable[[int, int, int], None]) -> None:
        """Run a kernel over the hidden units in parallel: run(part, first unit, end).

        Threads share units, not sequences, so that each sees all of the batch, over which a unit is normalised.
        """
        if torch.get_num_threads() == 1:
            run(0, 0, self.hidden)
            return
        blocks = self.hidden // LANES
        in_parts(blocks, many * self.batch * LANES, lambda part, i, j: run(part, i * LANES, j * LANES))

    def _address(self, x: Tensor, number: int) -> int:
        """Returns the address of x[number]; x is contiguous."""
        return x.data_ptr() + number * x.stride(0) * x.element_size()

    def node(self, step: int, number: int, read: Tensor, products: Tensor) -> None:
        """See `UnrolledChunk`."""
        many, sources, smooth, weights = self.edges[number]
        about = self.batch, self.hidden, many, self.statistics.kind, self.statistics.epsilon, number, sources, smooth
        given = read.data_ptr(), products.data_ptr(), weights, self.at_mask
        statistics = (
            self._address(self.state_statistics, step) + number * 3 * self.hidden * self.state_statistics.element_size()
        )
        found = statistics, self.states[step].data_ptr(), self.masked[step].data_ptr()
        self._in_parts(many, lambda _, i, j: self.run_node(i, j, *about, *given, *found))

    def output(self, step: int) -> None:
        """See `UnrolledChunk`."""
        about = self.batch, self.hidden, len(self.output_states), self.output_states.data_ptr()
        given = self.states[step].data_ptr(), self.at_mask
        found = self._address(self.outputs, step + 1), self._address(self.masked_outputs, step + 1)
        self._in_parts(1, lambda _, i, j: self.run_output(i, j, *about, *given, *found))

    def begin_backward(self, of_weights: bool) -> None:
        """See `UnrolledChunk`."""
        self.of_weights = of_weights
        self.sums = torch.zeros(self.wiring.states, torch.get_num_threads(), self.wiring.states, 5, dtype=torch.float64)
        self.two_rows = self.new(2, self.hidden)  # scratch memory of the kernel

    def weight_gradient(self) -> Tensor:
        """See `UnrolledChunk`."""
        sums = self.sums.sum(dim=1)
        edge_sums = torch.cat([sums[number, :many] for number, (many, *_) in enumerate(self.edges)][1:])
        return (edge_sums[:, 1:] + edge_sums[:, :1]).to(self.weights) * self.used

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
        """See `UnrolledChunk`."""
        many, sources, smooth, weights = self.edges[number]
        of_weights = int(self.of_weights and number > 0)
        about = self.batch, self.hidden, many, self.statistics.kind, of_weights, number, sources, smooth
        statistics = (
            self._address(self.state_statistics, step) + number * 3 * self.hidden * self.state_statistics.element_size()
        )
        given = read.data_ptr(), products.data_ptr(), weights, self.at_mask, statistics, self.states[step].data_ptr()
        found = (*(x.data_ptr() for x in (direct, through, back, room, self.two_rows)),)
        sums = self.sums[number]
        self._in_parts(
            many, lambda part, i, j: self.run_gradient(i, j, *about, *given, *found, self._address(sums, part))
        )
