"""Forward and backward passes of a supernet, as the update steps of a search compute them.

A pass of a supernet is thousands of small operations. On a GPU each of them takes less time than Python needs to launch
it, so that a step is as slow as Python is, whatever the GPU. A CUDA graph launches them all at once:

    `Passes`     as they are: each operation is launched by Python
    `Compiled`   `torch.compile`: operations are fused into fewer kernels, and those are recorded as CUDA graphs; takes
                 minutes to compile, and needs Triton
    `Captured`   CUDA graphs of the operations as they are; takes seconds

Only the passes whose gradients update something go through these. What is computed once for a shape or for an
architecture (children, the discretisation gap, estimates of memory, the Hessian) calls the network itself, because a
graph would be made for each.

Which graph is needed depends on everything that decides what is computed: shapes, what needs a gradient, whether
running statistics move, which operations are used. In DARTS the step of the weights and that of the architecture are
two graphs, and second order has a third. Each is made when it is first needed. Learning rates, weight decays and
temperatures do not belong to a pass, so that they may change at every step: the optimizer, the sampling and the loss
stay outside.

A graph writes its outputs and gradients always to the same memory. Outputs are therefore copied here. A gradient has to
be used before the next pass, or copied if it is to be kept (`Problem.reuses_memory`).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree

from naslab.errors import SpecError
from naslab.networks.batch_norm import KeptBuffers
from naslab.networks.mixture import Mixture
from naslab.operations.indexing import kept_indices
from naslab.precision import FULL_PRECISION
from naslab.randomness import seeded
from naslab.trees import tree_map

GRAPHS = 64
"""Largest number of graphs of one kind of supernet. `torch.compile` stops at 8, which a few searches with other sizes
use up in a notebook; each batch size and each set of forbidden operations needs its own."""


class Passes:
    """Passes of a supernet as they are.

    Args:
        network: called as network(inputs, weights), where weights are part -> [E, O] or a `Mixture`.
    """

    graphs: ClassVar[bool] = False
    """True if a pass is a graph: always the same operations, on the same memory, with one backward pass."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def begin(self) -> None:
        """Begin a step: no gradient of an earlier pass will be asked for any more."""

    def __call__(self, inputs: Any, weights: Mapping[str, Tensor | Mixture]) -> Any:
        """Returns the outputs of the network."""
        return self.network(inputs, weights)


class Compiled(Passes):
    """Passes through `torch.compile`.

    Args:
        network: the supernet.
        options: arguments of `torch.compile`. By default "reduce-overhead": Inductor, with CUDA graphs.

    Raises:
        SpecError: at a pass, if the network cannot be followed as one graph, or there is no compiler for the device.
    """

    graphs = True

    def __init__(self, network: nn.Module, **options: Any) -> None:
        super().__init__(network)
        # fullgraph: a graph that breaks would be compiled piece by piece, and be slower without a word
        self._compiled = torch.compile(network, fullgraph=True, **(options or {"mode": "reduce-overhead"}))

    def begin(self) -> None:
        # A forward pass after a backward pass frees the memory of earlier ones by itself; this frees that of a step
        # which was broken off. Not before each pass: `MixedLevel` sums two losses before one backward pass.
        torch.compiler.cudagraph_mark_step_begin()

    def __call__(self, inputs: Any, weights: Mapping[str, Tensor | Mixture]) -> Any:
        from torch import _dynamo
        from torch._dynamo.exc import TorchDynamoException

        with _dynamo.config.patch(recompile_limit=GRAPHS):
            try:
                outputs = self._compiled(inputs, weights)
            except TorchDynamoException as error:
                raise SpecError(
                    f"compile=True: torch.compile cannot follow the supernet, a {type(self.network).__name__}: "
                    f'{_first_line(error)}. Leave compile out, or take compile="cuda_graphs"'
                ) from error
        return tree_map(torch.clone, outputs)


class Captured(Passes):
    """Passes as CUDA graphs of the operations as they are, by `torch.cuda.make_graphed_callables`.

    Inputs and weights of operations are copied to where the graph reads them; parameters are read where they lie, so
    that optimizers go on as always. All graphs share one memory pool, so that they need no more memory than the largest
    of them: a graph overwrites what another has kept for its backward pass. Each backward pass must therefore come
    before the next forward pass.

    Raises:
        SpecError: at a pass, if the network cannot be captured: it asks the GPU for a number (`item`, `tolist`), copies
            from the CPU, or takes or returns something other than tensors.
    """

    graphs = True

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self._parameters = list(network.parameters())
        self._norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        self._graphs: dict[Hashable, nn.Module] = {}
        self._sizes: Hashable = None
        self._pool: Any = None

    def __call__(self, inputs: Any, weights: Mapping[str, Tensor | Mixture]) -> Any:
        leaves, structure = _pytree.tree_flatten(inputs)
        if not all(isinstance(leaf, Tensor) for leaf in leaves):
            raise self._refusal("its inputs are not all tensors")
        mixtures = {part: given if isinstance(given, Mixture) else None for part, given in weights.items()}
        matrices = [given.weights if isinstance(given, Mixture) else given for given in weights.values()]
        tensors = [*leaves, *matrices]
        if (sizes := tuple(leaf.shape for leaf in leaves)) != self._sizes or len(self._graphs) == GRAPHS:
            self._graphs.clear()  # the graphs of another batch size would keep the memory of its activations
            self._sizes, self._pool = sizes, torch.cuda.graph_pool_handle()
        key = (
            str(structure),
            tuple((tensor.dtype, tensor.requires_grad) for tensor in tensors),
            tuple((part, None if one is None else tuple(map(tuple, one.used))) for part, one in mixtures.items()),
            torch.is_grad_enabled(),
            getattr(self.network, FULL_PRECISION, False),
            tuple(module.training for module in self.network.modules()),
            tuple(parameter.requires_grad for parameter in self._parameters),
            tuple(norm.track_running_stats for norm in self._norms),
        )
        if key not in self._graphs:
            self._graphs[key] = self._capture(_OfTensors(self.network, structure, mixtures), tensors)
        return tree_map(torch.clone, self._graphs[key](*tensors))

    def _capture(self, function: _OfTensors, tensors: Sequence[Tensor]) -> _OfTensors:
        """Turns the function into a graph, and returns it. The trial passes before the capture leave no trace."""
        device = tensors[0].device
        places = tuple(tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors)
        with ExitStack() as stack:
            stack.enter_context(KeptBuffers(self.network))
            stack.enter_context(seeded("capture", device=device))  # afterwards the generator is where it was
            try:
                torch.cuda.make_graphed_callables(function, places, allow_unused_input=True, pool=self._pool)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise self._refusal(_first_line(error)) from error
        function.read = kept_indices()  # the graph reads where they lie, whatever becomes of what keeps them
        return function

    def _refusal(self, why: str) -> SpecError:
        return SpecError(
            f'compile="cuda_graphs": the supernet, a {type(self.network).__name__}, cannot be captured: {why}. Leave '
            "compile out, or take compile=True"
        )


class _OfTensors(nn.Module):
    """A supernet as a function of tensors alone: the leaves of the inputs, then the weights of each part.

    Args:
        network: the supernet.
        structure: of the inputs.
        mixtures: part -> a mixture that says which operations are computed; None for a supernet of bare weights.
    """

    read: tuple[Tensor, ...] = ()
    """Further tensors that a graph of it may read."""

    def __init__(self, network: nn.Module, structure: _pytree.TreeSpec, mixtures: Mapping[str, Mixture | None]) -> None:
        super().__init__()
        self.network, self.training = network, network.training
        self._structure = structure
        self._used = {part: None if one is None else one.used for part, one in mixtures.items()}

    def forward(self, *tensors: Tensor) -> Any:
        inputs = _pytree.tree_unflatten(tensors[: -len(self._used)], self._structure)
        matrices = zip(self._used.items(), tensors[-len(self._used) :], strict=True)
        return self.network(
            inputs, {part: matrix if used is None else Mixture(matrix, used) for (part, used), matrix in matrices}
        )


PASSES: Mapping[bool | str, type[Passes]] = {False: Passes, True: Compiled, "cuda_graphs": Captured}
"""Value of the argument `compile` -> how passes are computed."""


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")[:300]
