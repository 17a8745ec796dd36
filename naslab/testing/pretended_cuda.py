"""A GPU that is not there: finds mixed devices and counts how often the host waits, on any machine.

    from naslab.testing.pretended_cuda import PretendedCuda

    with PretendedCuda() as gpu:
        search = nl.searchers.Darts(space, task, device="cuda")
        search.advance()                       # Adam's moments, caches
        gpu.reset()
        search.advance()
        assert gpu.waits <= 4, gpu.report()

Inside the `with` block, `torch.cuda.is_available()` is True, and a tensor that is made on or moved to "cuda" says that
it is there, though it is computed on the CPU (`pretended_tensor.py`). So numbers, and with them the control flow, are
the CPU's. An operation on tensors of two devices raises `Mixed`, and `numpy()` a `TypeError`, as on a GPU. `waits`
counts what blocks the host until the GPU has caught up: numbers read (`item`, `tolist`, `bool`), copies to the host,
copies to the device with `non_blocking=False`, lists and CPU tensors as indices, boolean indices, and `synchronize` of
an event, a stream or the device; `report()` says where in naslab. Afterwards torch is what it was before; tensors that
are still held can be dropped, and no longer be computed with.

What it cannot know: kernels that choose by device in C++ (cuDNN, autocast of CUDA), the address of a storage, mixed
devices inside a backward pass, other threads than the one that entered the block, and time. A copy with
`non_blocking=True` counts nothing, whether its memory is pinned or not; who reads the copy on the host has to wait for
an event before, which counts one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.utils.clip_grad
import torch.utils._foreach_utils
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from naslab.operations import indexing
from naslab.testing.pretended_tensor import (
    GPU,
    Ledger,
    Mixed,
    PretendedTensor,
    aten,
    current,
    dispatched,
    is_gpu,
    tensors_in,
)

__all__ = ["Mixed", "PretendedCuda"]

MEMORY = 80 * 2**30
"""Bytes of the pretended GPU, all of them free."""


class PretendedCuda:
    """Context in which there is one pretended GPU; see the module."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._stack = ExitStack()

    @property
    def waits(self) -> int:
        """How often the host waited for the GPU since the last `reset`."""
        return self._ledger.waits.total()

    @property
    def launches(self) -> int:
        """Operations that launch a kernel, or several, since the last `reset`: a lower bound of the kernels."""
        return self._ledger.launches.total()

    def reset(self) -> None:
        """Counts from 0 again."""
        self._ledger.waits.clear()
        self._ledger.launches.clear()

    def report(self) -> str:
        """Returns a line for each place where the host waited, most often first."""
        lines = [f"  {count:4d}  {where}: {why}" for (why, where), count in self._ledger.waits.most_common()]
        return "\n".join([f"{self.waits} waits for the GPU, {self.launches} operations launched", *lines])

    def __enter__(self) -> PretendedCuda:
        if current.ledger is not None:
            raise RuntimeError("one pretended GPU is in use in this thread already")
        with ExitStack() as stack:
            stack.enter_context(patch.object(current, "ledger", self._ledger))
            for where, name, value in _replacements():
                stack.enter_context(patch.object(where, name, value))
            stack.enter_context(_foreach_as_on_a_gpu())
            stack.enter_context(patch.dict(indexing._kept, clear=True))  # a real GPU has the same name
            # parameters of a module are replaced by those on the device, since a tensor cannot change its class
            before = torch.__future__.get_overwrite_module_params_on_conversion()
            torch.__future__.set_overwrite_module_params_on_conversion(True)
            stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, before)
            stack.enter_context(_Dispatch())
            stack.enter_context(_Functions())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


class _Dispatch(TorchDispatchMode):
    """Sends operations without a pretended tensor to `dispatched`, too: some make one, some mix devices."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Does what functions of torch do by device before the dispatcher sees anything."""

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in MOVES and (isinstance(args[0], PretendedTensor) or func in (Tensor.to, Tensor.pin_memory)):
            return MOVES[func](func, *args, **kwargs)
        if func in (torch.tensor, torch.as_tensor) and is_gpu(kwargs.get("device")):
            made = func(*args, **{**kwargs, "device": None})
            return made if isinstance(made, PretendedTensor) else aten._to_copy.default(made, device=GPU)
        functions, generator = current.functions, current.generator
        if any(isinstance(tensor, PretendedTensor) for tensor in tensors_in((args, kwargs))):
            current.functions = (*functions, func)
        if (drawn_from := kwargs.get("generator")) is not None:
            current.generator = drawn_from.device
        try:
            return func(*args, **kwargs)
        finally:
            current.functions, current.generator = functions, generator


def _to(func: Any, tensor: Tensor, *args: Any, **given: Any) -> Tensor:
    """`Tensor.to`: to a device, a dtype, both, or those of another tensor; then whether not to wait, and to copy."""
    options, names = dict(given), iter(("non_blocking", "copy"))
    for value in args:
        if isinstance(value, Tensor):
            options["other"] = value
        elif value is not None and not isinstance(value, bool):
            options["dtype" if isinstance(value, torch.dtype) else "device"] = value
        elif value is not None:
            options[next(names)] = value
    other = options.pop("other", None)
    dtype, device = options.get("dtype"), options.get("device")
    if other is not None:
        dtype, device = other.dtype, other.device
    memory_format, copied, at_once = (options.get(name) for name in ("memory_format", "copy", "non_blocking"))
    kind = None if device is None else torch.device(device).type
    if kind == "meta" or (not isinstance(tensor, PretendedTensor) and kind != "cuda"):
        return func(tensor, *args, **given)
    if kind == "cpu":
        return _to_host(tensor, dtype=dtype, non_blocking=bool(at_once))
    same_format = memory_format is None or tensor.is_contiguous(memory_format=memory_format)
    if isinstance(tensor, PretendedTensor) and dtype in (None, tensor.dtype) and not copied and same_format:
        return tensor
    return aten._to_copy.default(
        tensor, dtype=dtype, device=GPU, non_blocking=bool(at_once), memory_format=memory_format
    )


def _to_host(tensor: Tensor, **options: Any) -> Tensor:
    with patch.object(current, "leaving", True):
        return aten._to_copy.default(tensor, device=torch.device("cpu"), **options)


def _tolist(func: Any, tensor: PretendedTensor) -> Any:
    _wait("numbers read (tolist)")
    return tensor.held.tolist()


def _numpy(func: Any, tensor: Tensor, *args: Any, **options: Any) -> Any:
    raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host")


def _new_tensor(func: Any, tensor: Tensor, data: Any, **options: Any) -> Tensor:
    made = torch.tensor(data, dtype=options.get("dtype") or tensor.dtype)
    return aten._to_copy.default(made, device=GPU)


MOVES: dict[Any, Callable[..., Any]] = {
    Tensor.to: _to,
    Tensor.cpu: lambda func, tensor, **options: _to_host(tensor),
    Tensor.cuda: lambda func, tensor, *args, **options: tensor,
    Tensor.pin_memory: lambda func, tensor, *args: tensor.clone(),
    Tensor.tolist: _tolist,
    Tensor.numpy: _numpy,
    Tensor.__array__: _numpy,
    Tensor.new_tensor: _new_tensor,
    Tensor.record_stream: lambda func, tensor, stream: None,
}
"""Methods that move a tensor between the devices, or read it -> what they do to a pretended one, and two to any."""


def _wait(why: str) -> None:
    if current.ledger is not None:
        current.ledger.wait(why)


class _Stream:
    """A stream or an event of the pretended GPU: everything in it is finished, and waiting for it is counted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.device = GPU

    def synchronize(self) -> None:
        _wait("synchronize")

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: _Stream) -> float:
        return 0.0

    def record_event(self, event: _Stream | None = None) -> _Stream:
        return event or _Stream()

    def record(self, stream: _Stream | None = None) -> None: ...
    def wait(self, stream: _Stream | None = None) -> None: ...
    def wait_stream(self, stream: _Stream) -> None: ...
    def wait_event(self, event: _Stream) -> None: ...


class _Generator(torch.Generator):
    """A generator that says it is on the GPU if it was made for it."""

    _where: torch.device

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = super().__new__(cls)
        made._where = GPU if is_gpu(device) else torch.device("cpu")
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self._where


def _replacements() -> Iterator[tuple[Any, str, Any]]:
    """Yields (module, name, value) for what `torch.cuda` would ask a driver, and for what needs one."""
    values = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_bf16_supported": lambda *args, **options: True,
        "is_current_stream_capturing": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "a pretended GPU",
        "get_device_capability": lambda device=None: (8, 0),
        "get_device_properties": lambda device=None: SimpleNamespace(
            name="a pretended GPU", major=8, minor=0, total_memory=MEMORY
        ),
        "mem_get_info": lambda device=None: (MEMORY, MEMORY),
        "memory_allocated": lambda device=None: 0,
        "memory_reserved": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0,
        "reset_peak_memory_stats": lambda device=None: None,
        "empty_cache": lambda: None,
        "manual_seed_all": lambda seed: None,
        "default_generators": (_Generator("cuda"),),
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: None,
        "synchronize": lambda device=None: _wait("synchronize"),
        "Event": _Stream,
        "Stream": _Stream,
        "current_stream": _Stream,
        "stream": lambda stream: nullcontext(),
    }
    for name, value in values.items():
        yield torch.cuda, name, value
    yield torch, "Generator", _Generator
    yield torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda self: None


@contextmanager
def _foreach_as_on_a_gpu() -> Iterator[None]:
    """Optimizers and clipping take a pretended tensor for one of CUDA, whose updates `torch._foreach_*` does."""
    optimizer: Any = import_module("torch.optim.optimizer")  # torch.optim hides it
    supported = (optimizer._foreach_supported_types, torch.utils._foreach_utils._foreach_supported_types)
    grouped = torch.utils._foreach_utils._group_tensors_by_device_and_dtype

    def by_device(tensors: Any, with_indices: bool = False) -> Any:
        found = grouped(tensors, with_indices)  # by the device that C++ sees
        return {
            (GPU if isinstance(lists[0][0], PretendedTensor) else device, dtype): (lists, indices)
            for (device, dtype), (lists, indices) in found.items()
        }

    with ExitStack() as stack:
        for module in (optimizer, torch.nn.utils.clip_grad):
            stack.enter_context(patch.object(module, "_group_tensors_by_device_and_dtype", by_device))
        for types in supported:
            types.append(PretendedTensor)
            stack.callback(types.remove, PretendedTensor)
        yield
