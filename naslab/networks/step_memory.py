"""Memory of a search step: measured, and predicted before the run.

Counted are the bytes of live tensors, on a CUDA GPU as torch's allocator counts them there, with its rounding and the
workspaces of libraries. The process needs more: on a CPU about 0.1 GB for compiled kernels and scratch space, on a GPU
about 0.5 GB for its context.
"""

from __future__ import annotations

import copy
import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from naslab.device import available, bytes_shown
from naslab.errors import SpecError, whole
from naslab.immutable import Record
from naslab.networks.batch_norm import KeptBuffers
from naslab.networks.frozen import frozen
from naslab.networks.mixture import Mixture, takes_mixtures
from naslab.out_of_memory import is_out_of_memory
from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state
from naslab.trees import copied

FEW = 2
"""Examples in the smaller of the two steps that an estimate is extrapolated from."""
GENEROUS = 6
"""Upper bound: a step of twice `FEW` examples needs less than this many times what a forward pass of `FEW` keeps."""
Data = Task | Sequence[int]
"""A task, which provides examples and a loss; or (C, H, W), for images and cross-entropy."""


class Alive(TorchDispatchMode):
    """Dispatch mode that counts the bytes of tensors made inside and still alive; views share a storage."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self._storages: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return output

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._storages:
            self._storages[key] = size = storage.nbytes()
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.bytes -= self._storages.pop(key)


class AllocatorPeak(TorchDispatchMode):
    """Dispatch mode that follows the peak of torch's CUDA allocator, beyond what was allocated at its beginning.

    The allocator's own peak, `torch.cuda.max_memory_allocated`, starts anew only by a reset, which would destroy the
    figure that the user may be waiting for. Instead, after each operation two of its counters are read: the bytes that
    are allocated now, and the sum of all allocations so far. During an operation, at most

        bytes allocated before it + bytes that it allocated itself (results, workspaces)

    are allocated at once; exactly so many, if it frees its workspace after it has allocated its result.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device | str) -> None:
        super().__init__()
        self._device = device
        self._start, self._sum = self._counters()
        self._now = self._start
        self.peak = 0

    def _counters(self) -> tuple[int, int]:
        """Returns the bytes that are allocated, and the sum of all allocations."""
        found = torch.cuda.memory_stats_as_nested_dict(self._device)["allocated_bytes"]["all"]
        return found["current"], found["allocated"]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        now, allocated = self._counters()
        self.peak = max(self.peak, self._now + allocated - self._sum - self._start)
        self._now, self._sum = now, allocated
        return output


def peak(step: Callable[[], object], device: torch.device | str = "cpu", *, warm_up: bool = False) -> int:
    """Returns the peak of live bytes during a step, beyond those alive before; runs the step.

    Args:
        step: runs one step.
        device: where it computes.
        warm_up: run a first step that does not count: it also allocates what stays, workspaces of a GPU's libraries and
            indices that are kept, so that it belongs to no step.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.init()  # the counters exist only from then on
    if warm_up:
        step()
    if torch.device(device).type == "cuda":
        with AllocatorPeak(device) as counted:
            step()
        return counted.peak
    with Alive() as alive:
        step()
    return alive.peak


@dataclass(frozen=True)
class Beyond:
    """What a step needs beyond one of first order."""

    weight_copies: float = 0.0
    """Further copies of all weights that are alive at once."""
    activations: float = 1.0
    """Factor of everything that is alive during a step of first order."""


@dataclass(frozen=True, eq=False)
class StepMemory(Record):
    """Memory of a step of a supernet, in bytes."""

    batch_size: int
    """Examples in a mini-batch."""
    lasting: int
    """Bytes that stay between steps: weights, their momentum, buffers."""
    step: int
    """Peak of additional bytes during a step: activations for the backward pass, gradients, the mini-batch."""
    each_image: float
    """Additional bytes for each further example."""
    units: str = "images"
    """The task's word for its examples."""

    @property
    def total(self) -> int:
        """Peak of bytes in all."""
        return self.lasting + self.step

    def largest_batch(self, available: float) -> int:
        """Returns the largest batch size whose step fits into the available bytes; 0 if not even one example does."""
        rest = self.step - self.each_image * self.batch_size
        return max(0, int((available - self.lasting - rest) / self.each_image))

    def more(self, beyond: Beyond, weights: int) -> StepMemory:
        """Returns the memory of a step that needs more than one of first order.

        Args:
            beyond: what it needs more.
            weights: bytes of the weights.
        """
        step = int(self.step * beyond.activations + weights * beyond.weight_copies)
        return dataclasses.replace(self, step=step, each_image=self.each_image * beyond.activations)

    def __str__(self) -> str:
        return f"{bytes_shown(self.total)} for a step of {self.batch_size} {self.units}"


def _units(data: Data) -> str:
    return "examples" if isinstance(data, Task) and data.units != "images" else "images"


def _some(data: Data, count: int, device: torch.device) -> tuple[Any, Any]:
    """Returns a mini-batch for measuring, and the inputs of a network for it, without a recurrent state."""
    if isinstance(data, Task):
        batch = data.example(count, device=device)
        return batch, data.inputs(batch)
    x = torch.zeros(count, *data, device=device)
    return (x, torch.zeros(count, dtype=torch.int64, device=device)), x


def _loss(data: Data, outputs: Any, batch: Any) -> Tensor:
    return data.loss(outputs, batch) if isinstance(data, Task) else F.cross_entropy(outputs, batch[1])


@default_torch_state()
def gradients_at_the_start(
    network: nn.Module,
    edges: Mapping[str, int],
    operations: int,
    inputs: Any,
    loss: Callable[[Any], Tensor],
    *,
    search: bool,
) -> None:
    """Compute and discard the gradients of a step in which all operations have equal weights.

    Nothing changes but the running statistics of batch normalisation.

    Args:
        network: a `naslab.spaces.weight_sharing.Supernet`.
        edges: part -> number of edges E.
        operations: number of candidates O of an edge.
        inputs: inputs of the network.
        loss: loss of its outputs.
        search: True for the gradients of the alphas, False for those of the weights.
    """
    device = next(network.parameters()).device
    alphas = {
        part: torch.full((rows, operations), 1 / operations, device=device, requires_grad=search)
        for part, rows in edges.items()
    }
    mixtures = _of_all(network, alphas)
    wanted = list(alphas.values()) if search else [w for w in network.parameters() if w.requires_grad]
    torch.autograd.grad(loss(network(inputs, mixtures)), wanted, allow_unused=True)


def _of_all(network: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor | Mixture]:
    """Returns the weights, with every operation computed, in the form that the supernet takes."""
    return {part: Mixture.of_all(w) for part, w in weights.items()} if takes_mixtures(network) else weights


def extrapolated(
    steps: Sequence[Callable[[], object]], device: torch.device | str, batch_size: int
) -> tuple[int, float]:
    """Returns the peak of bytes in a step of `batch_size` examples, and the bytes of each example.

    Args:
        steps: a step of `FEW` examples, and one of twice as many.
        device: where they compute.
        batch_size: number of examples.
    """
    smaller, larger = (peak(step, device, warm_up=True) for step in steps)
    each = max(1.0, (larger - smaller) / FEW)
    return int(smaller + each * (batch_size - FEW)), each


@default_torch_state()
def step_memory(
    network: nn.Module, edges: Mapping[str, int], operations: int, data: Data, *, batch_size: int
) -> StepMemory:
    """Returns an estimate extrapolated from two steps of very few examples, which leave the network unchanged.

    Activations grow linearly with the number of examples; the rest (gradients) does not grow. So two measurements
    determine a line, separately for a step of the weights and one of the alphas.

    Args:
        network: a `naslab.spaces.weight_sharing.Supernet`, on its device.
        edges: part -> number of edges E, as of a `naslab.spaces.weight_sharing.Mixable`.
        operations: number of candidates O of an edge.
        data: a task; or (C, H, W), for images and cross-entropy.
        batch_size: examples in a mini-batch.
    """
    batch_size = whole("batch_size", batch_size, 1)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    device = weights[0].device

    def step(few: tuple[Any, Any], search: bool) -> None:
        batch, inputs = (copied(tree) for tree in few)  # the copy counts as the mini-batch; loading it is not measured
        gradients_at_the_start(network, edges, operations, inputs, partial(_loss, data, batch=batch), search=search)

    examples = [_some(data, count, device) for count in (FEW, 2 * FEW)]

    with KeptBuffers(network):
        of_weights = extrapolated([partial(step, few, False) for few in examples], device, batch_size)
        with frozen(weights):
            of_alphas = extrapolated([partial(step, few, True) for few in examples], device, batch_size)
    lasting = 2 * sum(weight.nbytes for weight in weights) + sum(buffer.nbytes for buffer in network.buffers())
    return StepMemory(batch_size, lasting, *max(of_weights, of_alphas), _units(data))


@default_torch_state()
def must_fit(
    network: nn.Module,
    edges: Mapping[str, int],
    operations: int,
    data: Data,
    *,
    batch_size: int,
    free: int | None = None,
    beyond: Beyond | None = None,
) -> None:
    """Raise `SpecError` if a step does not fit into free memory; the error names the largest batch size.

    In the common case that it fits by far, one forward pass of `FEW` examples decides. Otherwise the estimate of
    `step_memory` is made; if there may be too little memory even for that, it is made on the meta device.

    The other arguments are those of `step_memory`.

    Args:
        free: free memory in bytes; None for what the system reports.
        beyond: what a step needs beyond one of first order; nothing if left out.
    """
    beyond = Beyond() if beyond is None else beyond
    device = next(network.parameters()).device
    free = available(device) if free is None else free
    if free is None:
        return
    with _uncompiled(network):
        saved = _kept_for_backward(network, edges, operations, data, most=free // 2)
        weights = sum(weight.nbytes for weight in network.parameters())
        copies = weights * (1 + beyond.weight_copies)
        if copies + batch_size * saved / FEW * beyond.activations < free / 2:
            return
        if GENEROUS * saved + weights < free:  # there is room for trying
            memory = step_memory(network, edges, operations, data, batch_size=batch_size)
        else:
            memory = _without_computing(network, edges, operations, data, batch_size, saved)
    memory = memory.more(beyond, weights)
    if memory.total > free:
        largest, one = memory.largest_batch(free), memory.units.removesuffix("s")
        fits = f"batch_size={largest} fits" if largest else f"not even one {one} fits: take fewer channels or cells"
        raise SpecError(
            f"the supernet needs about {memory}, and {bytes_shown(free)} are free; {fits}, and checkpointing=True "
            "needs less"
        )


class _Enough(Exception):
    """Ends a forward pass early: the limit on bytes has been exceeded."""


def _kept_for_backward(network: nn.Module, edges: Mapping[str, int], operations: int, data: Data, most: int) -> int:
    """Returns the bytes, weights excluded, that a forward pass of `FEW` examples keeps; stops early above `most`."""
    saved = {weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in network.parameters()}
    total = 0

    def seen(tensor: Tensor) -> Tensor:
        nonlocal total
        storage = tensor.untyped_storage()
        total += storage.nbytes() - saved.get(storage.data_ptr(), 0)
        saved[storage.data_ptr()] = storage.nbytes()
        if total > most:
            raise _Enough
        return tensor

    device = next(network.parameters()).device
    _, inputs = _some(data, FEW, device)
    weights = {part: torch.full((rows, operations), 1 / operations, device=device) for part, rows in edges.items()}
    hooks = torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor)
    try:
        with KeptBuffers(network), hooks:
            network(inputs, _of_all(network, weights))
    except _Enough:
        return max(total, most)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return max(total, most)
    return total


def _without_computing(
    network: nn.Module,
    edges: Mapping[str, int],
    operations: int,
    data: Data,
    batch_size: int,
    saved: int,
) -> StepMemory:
    """Returns `step_memory` of a copy on the meta device, whose tensors have a size but take no memory.

    For a supernet that cannot run there, the estimate is extrapolated from what `FEW` examples keep.
    """
    known: dict[int, Any] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        shadow = torch.empty_like(tensor, device="meta")
        weight = isinstance(tensor, nn.Parameter)
        known[id(tensor)] = nn.Parameter(shadow, tensor.requires_grad) if weight else shadow
    try:
        shadow_network = copy.deepcopy(network, known)  # the memo maps each tensor to its shadow, so none is copied
        return step_memory(shadow_network, edges, operations, data, batch_size=batch_size)
    except Exception:  # whatever a supernet does that cannot be done without numbers
        lasting = 2 * sum(weight.nbytes for weight in network.parameters())
        return StepMemory(batch_size, lasting, saved * batch_size // FEW, max(1.0, saved / FEW), _units(data))


@contextmanager
def _uncompiled(network: nn.Module) -> Iterator[None]:
    """Context in which a compiled network runs uncompiled: a few examples are not worth a compilation."""
    compiled = getattr(network, "_compiled_call_impl", None)
    network._compiled_call_impl = None  # type: ignore[assignment]
    try:
        yield
    finally:
        network._compiled_call_impl = compiled  # type: ignore[assignment]
