"""What a worker process does: it calls the functions that it is sent, within limits, and never outlives its parent."""

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

from naslab.errors import RunError
from naslab.notebook_code import Unsendable, packed, unpacked

_SET_PDEATHSIG = 1


class Limits(NamedTuple):
    """What a call may use."""

    timeout: float | None
    """Seconds."""
    memory: float | None
    """Bytes of address space above what an idle worker has."""
    threads: int
    tries: int


def work(pipe: Connection, limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; what becomes of it the parent says
    _die_with_parent()
    torch.set_num_threads(limits.threads)
    tqdm.set_lock(threading.RLock())  # its own belongs to the system, and would be left behind by one that is killed
    if limits.memory is not None:
        _limit_memory(limits.memory)
    pipe.send_bytes(packed(("ready", None)))
    function: Any = None
    while True:
        signal.signal(signal.SIGTERM, _tidily)  # the end of a script that has not shut the pool down
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):  # the parent has closed its end
            return
        try:
            new, args, kwargs = unpacked(message)
        except Exception as error:  # it names something that this process cannot import
            pipe.send_bytes(packed(("unreadable", f"{type(error).__name__}: {error}")))
            continue
        del message  # which may be as large as the data in it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        function = new or function
        try:
            pipe.send_bytes(_answer(function, args, kwargs))
        except OSError:
            return


def _answer(function: Callable[..., Any], args: Any, kwargs: Any) -> bytes:
    """What came of a call, as it is sent to the parent."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:
        try:
            answer = packed(("error", error))
            unpacked(answer)  # an exception is made again from its `args`, which its class may not accept
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
    except Exception:  # its own words fail it
        return "(no message)"


def _tidily(*_: Any) -> None:
    raise SystemExit


def _die_with_parent() -> None:
    """See to it that this process ends with the one that wanted it, and on Linux even while it computes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="naslab-watch", daemon=True).start()


def _limit_memory(more: float) -> None:
    """Let this process have so many bytes more than it has now."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * resource.getpagesize() + int(more)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
