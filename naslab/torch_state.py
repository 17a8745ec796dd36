"""The global settings of torch under which naslab computes, independent of those of the caller.

torch has global settings that change what a line of code computes: whether gradients are recorded, the dtype and the
device of new tensors, automatic mixed precision. A notebook cell that leaves one of them changed, or an interrupt while
one is being restored, would change or break later computations. So every entry point of naslab's computations sets them
first, and restores the caller's settings at the end:

    gradients recorded, inference mode off, new tensors float32 and on the CPU, autocast off

Anomaly detection, the number of threads, deterministic algorithms and the precision of matrix products are the caller's
choice, and stay as they are; but on a GPU the last two are set around each step (`naslab.numerics`).
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, ExitStack
from typing import Any, ClassVar, Self, TypeVar

import torch

Function = TypeVar("Function", bound=Callable[..., Any])

_AUTOCAST = (
    "cpu",
    *(["cuda"] if torch.backends.cuda.is_built() else []),
    *(["mps"] if torch.backends.mps.is_built() else []),
)
"""Kinds of device whose autocast this build of torch has."""
PROCESS_STATE = threading.RLock()
"""Held by a thread while a state of torch that belongs to the whole process is its own: a seeded global generator
(`naslab.randomness.seeded`), the settings of a GPU's libraries (`naslab.numerics`). Reentrant, for such blocks may be
nested; one lock for all of them, so that no two threads can each wait for the other's."""
_DTYPE = threading.Lock()
_dtype_holders = 0
"""Computations under way, of all threads, that rely on a float32 which was not the caller's default dtype."""
_callers_dtype = torch.float32
"""The default dtype to go back to when the last of them has ended."""


class default_torch_state(ContextDecorator):
    """Inside, torch's settings are those of a new process; afterwards the caller's, also after an interrupt.

    A context manager for one use, or a decorator. The settings belong to the thread, except for the default dtype,
    which belongs to the process: while a computation relies on float32, other threads see float32, too.

    Args:
        local_device: keep the device of a `with torch.device(...)` block around the call; the default of
            `torch.set_default_device` is replaced by the CPU all the same.
    """

    def __init__(self, *, local_device: bool = False) -> None:
        self._local_device = local_device
        self._changed: ExitStack | None = None
        self._gradients = True
        self._autocast: list[bool] = []

    def _recreate_cm(self) -> Self:
        return type(self)(local_device=self._local_device)

    def __enter__(self) -> None:
        self._gradients = torch.is_grad_enabled()
        self._autocast = [torch.is_autocast_enabled(kind) for kind in _AUTOCAST]
        on_cpu = torch.empty(0).device.type == "cpu"
        inference = torch.is_inference_mode_enabled()
        float32 = torch.get_default_dtype() is torch.float32 and not _dtype_holders
        if self._gradients and on_cpu and float32 and not inference and not any(self._autocast):
            return  # the common case: nothing to change, and nothing to restore
        with ExitStack() as stack:
            if inference:
                stack.enter_context(torch.inference_mode(False))
            if not on_cpu and not (self._local_device and _device_of_a_block()):
                stack.enter_context(torch.device("cpu"))
            if not float32:
                _hold_float32()
                stack.callback(_release_float32)
            for kind, enabled in zip(_AUTOCAST, self._autocast, strict=True):
                if enabled:
                    torch.set_autocast_enabled(kind, False)
            torch.set_grad_enabled(True)
            self._changed = stack.pop_all()

    def __exit__(self, *error: object) -> None:
        try:
            if self._changed is not None:
                self._changed.close()
        finally:  # an interrupted `torch.no_grad` or `torch.autocast` inside may have left its own setting behind
            if torch.is_grad_enabled() != self._gradients:
                torch.set_grad_enabled(self._gradients)
            for kind, enabled in zip(_AUTOCAST, self._autocast, strict=True):
                if torch.is_autocast_enabled(kind) != enabled:
                    torch.set_autocast_enabled(kind, enabled)


def _device_of_a_block() -> bool:
    """True if the default device comes from a `with torch.device(...)` block, not from `torch.set_default_device`."""
    own = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    return own is None or own.device.type != torch.empty(0).device.type


def _hold_float32() -> None:
    """Set the default dtype to float32. Holders are counted, for the dtype belongs to the whole process: the first one
    saves the caller's dtype, and the last one restores it.
    """
    global _dtype_holders, _callers_dtype
    with _DTYPE:
        if not _dtype_holders:
            _callers_dtype = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _dtype_holders += 1


def _release_float32() -> None:
    global _dtype_holders
    with _DTYPE:
        _dtype_holders -= 1
        if not _dtype_holders and torch.get_default_dtype() is torch.float32:  # otherwise the user has set it meanwhile
            torch.set_default_dtype(_callers_dtype)


def each_in_default_torch_state(generator: Function) -> Function:
    """Decorates a generator function: it computes in torch's default state, and its caller has its own in between."""

    @functools.wraps(generator)
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        values = generator(*args, **kwargs)
        try:
            while True:
                with default_torch_state():
                    try:
                        value = next(values)
                    except StopIteration:
                        return
                yield value
        finally:
            with default_torch_state():
                values.close()

    return run  # type: ignore[return-value]


class InDefaultTorchState:
    """Base of classes whose named methods compute in torch's default state, also where a subclass overrides them."""

    in_default_torch_state: ClassVar[tuple[str, ...]] = ()
    """Names of these methods and properties."""
    keeps_local_device: ClassVar[bool] = False
    """True if they respect a `with torch.device(...)` block around the call."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        state = default_torch_state(local_device=cls.keeps_local_device)
        for name in cls.in_default_torch_state:
            found = vars(cls).get(name)
            if inspect.isfunction(found) and not getattr(found, "__isabstractmethod__", False):
                setattr(cls, name, state(found))
            elif isinstance(found, property) and found.fget and not getattr(found, "__isabstractmethod__", False):
                setattr(cls, name, found.getter(state(found.fget)))
