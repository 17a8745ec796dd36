"""Compiled kernels for what PyTorch does slowest on a CPU: the files with the ending `.c` in this folder.

Each is one or two hundred lines of C, compiled for this processor at the first use, in a second or two. Without a
compiler, or if it fails, supernets use the slower PyTorch code, which computes the same. The innermost loop of a kernel
runs over the channels of a pixel, so tensors must have the channels-last layout.

`NASLAB_KERNELS=0` in the environment turns the kernels off; `NASLAB_CACHE` is the folder of the compiled libraries.
Since a library is executed, each file has the checksum of its own bytes in its name, and is compiled again if it is
truncated or changed. A folder that other users may write to is not used.
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
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from naslab import allocator, files, snapshot

allocator.keep_freed_memory()

# No -ffast-math: loading a library that was linked with it turns on flush-to-zero outside the library, too.
OPTIONS = ("-O3", "-march=native", "-shared", "-fPIC")
LANES = (16, 8, 4)
"""Widths of a vector, in channels: the largest is used that divides the number of channels."""
BY_REGISTER = ("separable", "norms", "pools", "project")
"""Kernels whose blocks of registers are counted out: a vector is one register of this processor, no wider."""
REALS = {torch.float32: "float", torch.float64: "double"}
"""Number formats that the kernels exist in -> their type in C."""
LARGEST = 1 << 24
"""Maximal size of a library in bytes; a longer file cannot be one of ours."""
SMALLEST = 1 << 14
"""Minimal number of values for a thread: fewer take less time than handing them over."""


class Kernel:
    """The functions of `<name>.c` for a number of channels. Their arguments are ints, floats, tensors, None (a null
    pointer), and lists of tensors, which become an array of pointers."""

    def __init__(self, name: str, channels: int, dtype: torch.dtype) -> None:
        compiled = kernel(name, channels, dtype)
        assert compiled is not None
        self._compiled = compiled
        self.lanes = _lanes(name, channels, dtype) or LANES[-1]

    def __getattr__(self, function: str) -> Callable[..., None]:
        compiled = getattr(self._compiled, function)

        def call(*arguments: int | float | Tensor | Sequence[Tensor] | None) -> None:
            if compiled.argtypes is None:  # told once, ctypes converts numbers several times as fast
                compiled.argtypes = [_type(value) for value in arguments]
            # The caller holds the tensors until the call returns, so that the pointers stay valid.
            compiled(*[_argument(value) for value in arguments])

        return call


def _type(value: int | float | Tensor | Sequence[Tensor] | None) -> Any:
    """Returns the type of an argument in C: int64_t, double, or a pointer."""
    return (
        ctypes.c_int64 if isinstance(value, int) else ctypes.c_double if isinstance(value, float) else ctypes.c_void_p
    )


def _argument(value: int | float | Tensor | Sequence[Tensor] | None) -> Any:
    kind = type(value)
    if value is None or kind is int or kind is float or kind is bool:
        return value
    if isinstance(value, list | tuple):
        return (ctypes.c_void_p * len(value))(*[tensor.data_ptr() for tensor in value])
    return value.data_ptr()  # type: ignore[union-attr]


def has_layout(x: Tensor) -> bool:
    """Returns True if the kernels can read x: on the CPU, float32 or float64, channels last.

    Always False under `torch.compile`, which cannot trace a foreign function, and while torch counts multiply-adds; and
    for a subclass of tensors, which may have no numbers.
    """
    return (
        type(x) in (Tensor, nn.Parameter)
        and not torch.compiler.is_compiling()
        and not counting()
        and x.device.type == "cpu"
        and x.dtype in REALS
        and x.is_contiguous(memory_format=torch.channels_last)
    )


def counting() -> bool:
    """Returns True inside a `FlopCounterMode`, which sees PyTorch's operations alone, so that these must be used."""
    return any(hasattr(mode, "counter") for mode in _get_current_dispatch_mode_stack())


def kernel(name: str, channels: int, dtype: torch.dtype) -> ctypes.CDLL | None:
    """Returns the library of `<name>.c` for a number of channels, compiled if necessary; None if not available."""
    lanes = _lanes(name, channels, dtype)
    return None if lanes is None or dtype not in REALS else _library(name, lanes, REALS[dtype])


@functools.cache
def _lanes(name: str, channels: int, dtype: torch.dtype) -> int | None:
    """Returns the channels in a vector of a kernel: as many as possible that divide the channels; None if none do."""
    bytes_of_register = 64 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 32
    most = bytes_of_register // dtype.itemsize if name in BY_REGISTER else LANES[0]
    return next((lanes for lanes in LANES if lanes <= most and channels % lanes == 0), None)


def available() -> bool:
    """Returns True if kernels can be compiled on this machine."""
    return _library("depthwise", LANES[0], "float") is not None


def in_parts(count: int, size: int, run: Callable[[int, int, int], None]) -> None:
    """Run a kernel in parallel over range(count).

    The ranges depend on the number of threads, and with them the order in which a kernel adds up: results agree bit for
    bit only between runs with equal numbers of threads.

    Args:
        count: number of items (pixels, rows, blocks of columns).
        size: values of each item; decides how many threads are worth while (`SMALLEST`).
        run: called as run(part, first, end), once for each part; part 0 runs in this thread.
    """
    parts = max(1, min(torch.get_num_threads(), count * size // SMALLEST, count))
    ends = [count * part // parts for part in range(parts + 1)]
    others = [_pool(parts - 1).submit(run, part, ends[part], ends[part + 1]) for part in range(1, parts)]
    run(0, 0, ends[1])
    for other in others:
        other.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # ctypes releases the GIL during a call, so that threads of Python run kernels at the same time.
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads


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
    # -march=native is for one processor: a home folder shared by several machines needs a library for each.
    about = "\0".join([platform.node(), platform.machine(), compiler, *options]).encode()
    text = b"".join(file.read_bytes() for file in [source, *sorted(source.parent.glob("*.h"))])
    begin = f"{name}-{_checksum(text + about)}"
    folder = _folder()
    path = _find(folder, begin) or _compile(
        folder, begin, [compiler, *options, f"-I{source.parent}", "-x", "c", str(source)]
    )
    return ctypes.CDLL(str(path))


def _find(folder: Path, begin: str) -> Path | None:
    """Returns the library if it has been compiled before. A damaged file is removed: to load it would crash Python."""
    for path in sorted(folder.glob(f"{begin}-*.so")):
        try:
            if path.name == _file_name(begin, files.read(path, LARGEST)):
                return path
        except FileNotFoundError:  # another process has removed it
            continue
        except OSError:
            pass
        with contextlib.suppress(OSError):
            files.remove(path)
    return None


def _compile(folder: Path, begin: str, command: Sequence[str]) -> Path:
    """Returns the library, newly compiled."""
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        made = Path(aside) / "made.so"
        subprocess.run([*command, "-o", str(made)], check=True, capture_output=True, timeout=60)
        compiled = made.read_bytes()
    path = folder / _file_name(begin, compiled)
    snapshot.write_bytes(path, compiled)  # atomic and synced: another process sees all of the file or none
    return path


def _file_name(begin: str, compiled: bytes) -> str:
    return f"{begin}-{_checksum(compiled)}.so"


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _folder() -> Path:
    """Returns a folder that only this user may write to, because its files are executed."""
    configured = os.environ.get("NASLAB_CACHE")
    usual = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "naslab")
    for place in (configured, usual, os.path.join(tempfile.gettempdir(), f"naslab-{os.getuid()}")):
        if place and (folder := _private(Path(os.path.expanduser(place)))) is not None:
            return folder
    return _temporary_folder()


@functools.cache
def _temporary_folder() -> Path:
    """Returns a temporary folder that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="naslab-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _private(folder: Path) -> Path | None:
    """Returns the folder, created if necessary; None unless this user owns it and nobody else may write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        mine = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return folder.absolute() if mine and os.access(folder, os.W_OK | os.X_OK) else None
    except (OSError, ValueError):
        return None


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked process runs this, too, and must leave the folder
        shutil.rmtree(folder, ignore_errors=True)
