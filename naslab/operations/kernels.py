"""Compiled kernels for what PyTorch does slowest on a CPU: `depthwise.c` and `blend.c` beside this file.

A hundred lines of C, which a compiler, where there is one, turns into machine code for this very processor in a second
or two, once; where there is none, or it fails, the supernets do without. They go from channel to channel of a pixel
fastest, so that they want the channels side by side in memory.

`NASLAB_KERNELS=0` in the environment does without in any case; `NASLAB_CACHE` says where the machine code is kept.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

OPTIONS = ("-O3", "-march=native", "-shared", "-fPIC")  # no -ffast-math: it changes numbers all over the process
LANES = (16, 8, 4)
"""Channels at a time, from which the largest is taken that divides the number of channels."""
REALS = {torch.float32: "float", torch.float64: "double"}
"""Types of numbers that there is code for."""
SMALLEST = 1 << 14
"""Numbers that are worth a thread of their own."""


class Kernel:
    """The functions of `<name>.c` for so many channels; they take integers, floats, tensors and lists of tensors."""

    def __init__(self, name: str, channels: int, dtype: torch.dtype) -> None:
        compiled = kernel(name, channels, dtype)
        assert compiled is not None
        self._compiled = compiled

    def __getattr__(self, function: str) -> Callable[..., None]:
        compiled = getattr(self._compiled, function)
        return lambda *arguments: compiled(*[_argument(value) for value in arguments])


def _argument(value: int | float | Tensor | Sequence[Tensor]) -> Any:
    if isinstance(value, int):
        return ctypes.c_int64(value)
    if isinstance(value, float):
        return ctypes.c_double(value)
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return (ctypes.c_void_p * len(value))(*[tensor.data_ptr() for tensor in value])


def has_layout(x: Tensor) -> bool:
    """Whether it is of a type and layout that the kernels can read: on the CPU, channels side by side. Never for
    `torch.compile`, which cannot look inside."""
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype in REALS
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def kernel(name: str, channels: int, dtype: torch.dtype) -> ctypes.CDLL | None:
    """The functions of `<name>.c` for so many channels, compiled if they are not there yet; None where they cannot be
    had."""
    lanes = next((lanes for lanes in LANES if channels % lanes == 0), None)
    return None if lanes is None or dtype not in REALS else _library(name, lanes, REALS[dtype])


def available() -> bool:
    """Whether there are compiled kernels on this machine."""
    return _library("depthwise", LANES[0], "float") is not None


def in_parts(count: int, size: int, run: Callable[[int, int, int], None]) -> None:
    """`run(part, first, end)` for the parts of range(count), as many as PyTorch has threads; of items that are `size`
    numbers each, no fewer than are worth a thread."""
    parts = max(1, min(torch.get_num_threads(), count * size // SMALLEST, count))
    ends = [count * part // parts for part in range(parts + 1)]
    others = [_pool(parts - 1).submit(run, part, ends[part], ends[part + 1]) for part in range(1, parts)]
    run(0, 0, ends[1])
    for other in others:
        other.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child process has none of the threads


@functools.cache
def _library(name: str, lanes: int, real: str) -> ctypes.CDLL | None:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if os.environ.get("NASLAB_KERNELS") == "0" or compiler is None or os.name != "posix":
        return None
    try:
        return _loaded(compiler, name, lanes, real)
    except (OSError, subprocess.SubprocessError):
        return None


def _loaded(compiler: str, name: str, lanes: int, real: str) -> ctypes.CDLL:
    source = Path(__file__).with_name(f"{name}.c")
    options = [*OPTIONS, f"-DLANES={lanes}", f"-DREAL={real}"]
    about = "\0".join([platform.node(), platform.machine(), compiler, *options]).encode()
    path = _folder() / f"{name}-{hashlib.sha256(source.read_bytes() + about).hexdigest()[:16]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            command = [compiler, *options, "-x", "c", str(source), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            made.replace(path)  # at once, so that another process never sees half of it
    return ctypes.CDLL(str(path))


def _folder() -> Path:
    """Where only this user may write: what lies there is run."""
    base = os.environ.get("NASLAB_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "naslab"
    )
    folder = Path(base)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written by others")
    return folder
