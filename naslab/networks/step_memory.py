"""The memory of a search step: measured, and told before the run.

What is counted are the bytes of the tensors that are alive, as `torch.cuda.max_memory_allocated` counts them on a GPU.
The process needs more: on a CPU about 0.1 GB for compiled kernels and scratch space.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from naslab.device import available
from naslab.errors import SpecError, whole
from naslab.immutable import Record
from naslab.networks.batch_norm import KeptBuffers
from naslab.networks.frozen import frozen
from naslab.networks.mixture import Mixture, takes_mixtures
from naslab.tasks.task import Task
from naslab.torch_state import default_torch_state
from naslab.trees import copied

FEW = 2
"""Examples of the smaller of the two steps that an estimate comes from."""
GENEROUS = 6
"""A step of twice as many examples takes less than this many times what a forward pass of `FEW` keeps."""
Data = Task | Sequence[int]
"""A task, whose examples and loss a step is made of; or (C, H, W), for images and cross-entropy."""


class Alive(TorchDispatchMode):
    """Inside, counts the bytes of tensors that are made and not gone yet."""

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


def peak(step: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """The most bytes that were alive at once during a step, beyond those alive before; measured by doing the step."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with Alive() as alive:
        step()
    return alive.peak


@dataclass(frozen=True, eq=False)
class StepMemory(Record):
    """What a first-order step of a supernet needs, in bytes."""

    batch_size: int
    lasting: int
    """Weights, their momentum, buffers: there between the steps too."""
    step: int
    """At most during the step, on top: what is kept for the backward pass, gradients, the mini-batch."""
    each_image: float
    """What one example more adds."""
    units: str = "images"
    """What examples are called."""

    @property
    def total(self) -> int:
        return self.lasting + self.step

    def largest_batch(self, available: float) -> int:
        """The largest batch whose step fits into so many bytes; 0 if not even one example does."""
        rest = self.step - self.each_image * self.batch_size
        return max(0, int((available - self.lasting - rest) / self.each_image))

    def __str__(self) -> str:
        return f"{bytes_shown(self.total)} for a step of {self.batch_size} {self.units}"


def _units(data: Data) -> str:
    return "examples" if isinstance(data, Task) and data.units != "images" else "images"


def _some(data: Data, count: int, device: torch.device) -> tuple[Any, Any]:
    """A mini-batch for measuring, and the inputs that it gives to a network, which begins without a state."""
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
    """Compute and forget the gradients of a step when all operations weigh the same: of the alphas, or of the weights.

    Only the statistics of batch normalisation move.

    Args:
        network: a `naslab.spaces.weight_sharing.Supernet`.
        edges: part -> number of edges E.
        operations: how many candidates O an edge has.
        inputs: of the network.
        loss: of its outputs.
        search: whether of the alphas.
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
    """The weights, with every operation computed, in a form that the supernet takes."""
    return {part: Mixture.of_all(w) for part, w in weights.items()} if takes_mixtures(network) else weights


@default_torch_state()
def step_memory(
    network: nn.Module, edges: Mapping[str, int], operations: int, data: Data, *, batch_size: int
) -> StepMemory:
    """An estimate from two steps of very few examples, which leave the network as it is.

    What is kept for the backward pass grows evenly with the examples; the rest (gradients) does not grow.

    Args:
        network: a `naslab.spaces.weight_sharing.Supernet`, on its device.
        edges: part -> number of edges E, as of a `naslab.spaces.weight_sharing.SupernetSpace`.
        operations: how many candidates O an edge has.
        data: a task; or (C, H, W), for images and cross-entropy.
        batch_size: examples in a mini-batch.
    """
    batch_size = whole("batch_size", batch_size, 1)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    device = weights[0].device

    def step(few: tuple[Any, Any], search: bool) -> None:
        batch, inputs = (copied(tree) for tree in few)  # so that the mini-batch counts, and not how it came about
        gradients_at_the_start(network, edges, operations, inputs, partial(_loss, data, batch=batch), search=search)

    examples = [_some(data, count, device) for count in (FEW, 2 * FEW)]

    def line(search: bool) -> tuple[int, float]:
        """Bytes at the batch size, and for each example."""
        if device.type == "cuda":
            step(examples[0], search)  # the first one also pays for workspaces, which stay
        smaller, larger = (peak(partial(step, few, search), device) for few in examples)
        each = max(1.0, (larger - smaller) / FEW)
        return int(smaller + each * (batch_size - FEW)), each

    with KeptBuffers(network):
        of_weights = line(search=False)
        with frozen(weights):
            of_alphas = line(search=True)
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
) -> None:
    """`SpecError` if a first-order step does not fit into the memory that is free, with the largest batch that does.

    Quick, for the common case that it fits by far: else the estimate is made that `step_memory` makes. Where there may
    not be the memory even for that, nothing is computed, and the sizes of tensors are added up on the meta device.
    Arguments as there; `free` bytes, what the system says if left out.
    """
    device = next(network.parameters()).device
    free = available(device) if free is None else free
    if free is None:
        return
    with _uncompiled(network):
        saved = _kept_for_backward(network, edges, operations, data, most=free // 2)
        weights = sum(weight.nbytes for weight in network.parameters())
        if weights + batch_size * saved / FEW < free / 2:
            return
        if GENEROUS * saved + weights < free:  # there is room for trying
            memory = step_memory(network, edges, operations, data, batch_size=batch_size)
        else:
            memory = _without_computing(network, edges, operations, data, batch_size, saved)
    if memory.total > free:
        largest, one = memory.largest_batch(free), memory.units.removesuffix("s")
        fits = f"batch_size={largest} fits" if largest else f"not even one {one} fits: take fewer channels or cells"
        raise SpecError(
            f"the supernet needs about {memory}, and {bytes_shown(free)} are free; {fits}, and checkpointing=True "
            "needs less"
        )


class _Enough(Exception):
    """More has been seen than was asked for."""


def _kept_for_backward(network: nn.Module, edges: Mapping[str, int], operations: int, data: Data, most: int) -> int:
    """Bytes beside the weights that a forward pass of `FEW` examples keeps; it ends early where they exceed `most`."""
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
    with suppress(_Enough, torch.OutOfMemoryError), KeptBuffers(network), hooks:
        network(inputs, _of_all(network, weights))
        return total
    return max(total, most)


def _without_computing(
    network: nn.Module,
    edges: Mapping[str, int],
    operations: int,
    data: Data,
    batch_size: int,
    saved: int,
) -> StepMemory:
    """`step_memory` of a copy on the meta device, whose tensors have a size and take no memory.

    A supernet of the user's own that cannot be computed there is judged by what `FEW` examples are known to keep.
    """
    known: dict[int, Any] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        shadow = torch.empty_like(tensor, device="meta")
        weight = isinstance(tensor, nn.Parameter)
        known[id(tensor)] = nn.Parameter(shadow, tensor.requires_grad) if weight else shadow
    try:
        shadow_network = copy.deepcopy(network, known)  # deepcopy takes what it is told is already copied
        return step_memory(shadow_network, edges, operations, data, batch_size=batch_size)
    except Exception:  # whatever a supernet does that cannot be done without numbers
        lasting = 2 * sum(weight.nbytes for weight in network.parameters())
        return StepMemory(batch_size, lasting, saved * batch_size // FEW, max(1.0, saved / FEW), _units(data))


@contextmanager
def _uncompiled(network: nn.Module) -> Iterator[None]:
    """Inside, a network that was compiled is computed as it is written: a few examples are not worth compiling for."""
    compiled = getattr(network, "_compiled_call_impl", None)
    network._compiled_call_impl = None  # type: ignore[assignment]
    try:
        yield
    finally:
        network._compiled_call_impl = compiled  # type: ignore[assignment]


def bytes_shown(size: float) -> str:
    """As people say it: "310 MB", "1.6 GB"."""
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
