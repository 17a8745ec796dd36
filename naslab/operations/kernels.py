"""Compiled kernels for what PyTorch does slowest on a CPU: `depthwise.c`, `blend.c` and `recurrent.c` beside this file.

A hundred lines of C, which a compiler, where there is one, turns into machine code for this very processor in a second
or two, once; where there is none, or it fails, the supernets do without. They go from channel to channel of a pixel
fastest, so that they want the channels side by side in memory.

`NASLAB_KERNELS=0` in the environment does without in any case; `NASLAB_CACHE` says where the machine code is kept. What
lies there is run: each file has the checksum of its own bytes in its name, and one that is cut short, or changed, is
made again. A folder that others may write to is not used.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from naslab import files, snapshot

OPTIONS = ("-O3", "-march=native", "-shared", "-fPIC")  # no -ffast-math: it changes numbers all over the process
LANES = (16, 8, 4)
"""Channels at a time, from which the largest is taken that divides the number of channels."""
REALS = {torch.float32: "float", torch.float64: "double"}
"""Types of numbers that there is code for."""
LARGEST = 1 << 24
"""Bytes of machine code; a file that is longer is none of ours."""
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
    begin = f"{name}-{_checksum(source.read_bytes() + about)}"
    folder = _folder()
    path = _whole(folder, begin) or _made(folder, begin, [compiler, *options, "-x", "c", str(source)])
    return ctypes.CDLL(str(path))


def _whole(folder: Path, begin: str) -> Path | None:
    """The machine code that is there already. What is not what was written is removed: it would kill the process."""
    for path in sorted(folder.glob(f"{begin}-*.so")):
        try:
            if path.name == _named(begin, files.read(path, LARGEST)):
                return path
        except FileNotFoundError:  # another process has removed it
            continue
        except OSError:
            pass
        with contextlib.suppress(OSError):
            files.remove(path)
    return None


def _made(folder: Path, begin: str, command: Sequence[str]) -> Path:
    """The machine code, compiled."""
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        made = Path(aside) / "made.so"
        subprocess.run([*command, "-o", str(made)], check=True, capture_output=True, timeout=60)
        compiled = made.read_bytes()
    path = folder / _named(begin, compiled)
    snapshot.write_bytes(path, compiled)  # forced to the disk, and there at once or not at all
    return path


def _named(begin: str, compiled: bytes) -> str:
    return f"{begin}-{_checksum(compiled)}.so"


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _folder() -> Path:
    """Where only this user may write: what lies there is run."""
    told = os.environ.get("NASLAB_CACHE")
    usual = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "naslab")
    for place in (told, usual, os.path.join(tempfile.gettempdir(), f"naslab-{os.getuid()}")):
        if place and (folder := _private(Path(os.path.expanduser(place)))) is not None:
            return folder
    return _for_now()


@functools.cache
def _for_now() -> Path:
    """A folder that goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="naslab-"))
    atexit.register(_forget, folder, os.getpid())
    return folder


def _private(folder: Path) -> Path | None:
    """The folder, made if need be, if it is this user's, and nobody else may write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        mine = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return folder.absolute() if mine and os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, ValueError):
        return None


def _forget(folder: Path, process: int) -> None:
    if os.getpid() == process:  # and none that was forked
        shutil.rmtree(folder, ignore_errors=True)
