"""Main loop of a worker process: runs the calls it receives, within limits, and exits with its parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from naslab.device import take_gpu
from naslab.errors import RunError
from naslab.notebook_code import Unsendable, packed, unpacked

_SET_PDEATHSIG = 1


class Limits(NamedTuple):
    """Limits of a call."""

    timeout: float | None
    """Time limit in seconds; the parent enforces it."""
    memory: float | None
    """Bytes of address space in addition to those of an idle worker; of the memory of its GPU, for one that has one."""
    threads: int
    tries: int
    gpu: tuple[int, str] | None = None
    """Number and name of the worker's own GPU (see `naslab.device.take_gpu`); None if it computes on the CPU."""


def work(pipe: Connection, limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; only the parent handles it
    _die_with_parent()
    torch.set_num_threads(limits.threads)
    tqdm.set_lock(threading.RLock())  # the default is a system semaphore, which a killed worker leaks
    take_gpu(*(limits.gpu or (None, "")))
    if limits.memory is not None:
        (_limit_memory if limits.gpu is None else _limit_gpu_memory)(limits.memory)
    pipe.send_bytes(packed(("ready", None)))
    function: Any = None
    while True:
        signal.signal(signal.SIGTERM, _tidily)  # a script ended without shutting the pool down
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):  # the parent has closed the pipe
            return
        try:
            new, args, kwargs = unpacked(message)
        except Exception as error:  # the pickle refers to something that cannot be imported here
            pipe.send_bytes(packed(("unreadable", f"{type(error).__name__}: {error}")))
            continue
        del message  # may be as large as the data in it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        function = new or function
        try:
            pipe.send_bytes(_answer(function, args, kwargs))
        except OSError:
            return


def _answer(function: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
    """Returns the outcome of a call as a message to the parent."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        try:
            answer = packed(("error", error))
            unpacked(answer)  # unpickling calls the class with `args`, which may fail
        except Exception:
            answer = packed(("error", RunError(f"{type(error).__name__}: {_text(error)}")))
        return answer
    try:
        return packed(("result", result))
    except MemoryError as error:
        return packed(("error", error))
    except Unsendable as error:
        return packed(("unsendable", Unsendable(f"what {function!r:.200} gives: {error}")))


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # its __str__ raised
        return "(no message)"


def _tidily(*_: Any) -> None:
    raise SystemExit


def _die_with_parent() -> None:
    """Exit when the parent process does; on Linux immediately, even during computation."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    # Elsewhere a thread waits for the parent's end. It needs the GIL, so a long call in C delays it.
    threading.Thread(target=watch, name="naslab-watch", daemon=True).start()


def _limit_memory(more: float) -> None:
    """Limit the address space to its current size plus `more` bytes."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + int(more)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _limit_gpu_memory(most: float) -> None:
    """Limit the memory that torch allocates on this process's GPU, beyond that of the context of CUDA.

    The address space is not limited: CUDA reserves far more of it than it uses.
    """
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, most / whole), 0)
