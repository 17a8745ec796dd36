"""A compiled kernel for what PyTorch does slowest: the weight gradient of a depthwise convolution (`depthwise.c`).

Forty lines of C, which a compiler, where there is one, turns into machine code for this very processor in a second or
two, once; where there is none, or it fails, the supernets do without. No other part of a step is worth it: PyTorch's
depthwise convolutions are fast forward, and the gradient of the input is one of them.

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
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("depthwise.c")
OPTIONS = ("-O3", "-march=native", "-shared", "-fPIC")  # no -ffast-math: it changes numbers all over the process
LANES = (16, 8, 4)
"""Channels at a time, from which the largest is taken that divides the number of channels."""
SIZES = (3, 5, 7)
"""Sides of the kernels that there is code for."""
_NUMBER, _POINTER = ctypes.c_int64, ctypes.c_void_p


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel can do it: floats on the CPU, channels side by side, a square kernel of a known size."""
    side, other = weight.shape[2:]
    return (
        side == other
        and side in SIZES
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.shape[1] % LANES[-1] == 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and library(_lanes(x.shape[1])) is not None
    )


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """[C, 1, k, k]: of the depthwise convolution of x [B, C, H, W], from its output's, [B, C, P, Q]; see `fits`."""
    batch, channels, height, width = x.shape
    side = weight.shape[2]
    found = torch.empty(side, side, channels)
    compiled = library(_lanes(channels))
    assert compiled is not None
    pointers = (tensor.data_ptr() for tensor in (x, gradient, found))
    compiled.weight_gradient(side, *pointers, batch, channels, height, width, *gradient.shape[2:], stride, dilation)
    return found.permute(2, 0, 1).unsqueeze(1).contiguous()


def _lanes(channels: int) -> int:
    return next(lanes for lanes in LANES if channels % lanes == 0)


@functools.cache
def library(lanes: int) -> ctypes.CDLL | None:
    """The machine code, compiled if it is not there yet; None where it cannot be had."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if os.environ.get("NASLAB_KERNELS") == "0" or compiler is None or os.name != "posix":
        return None
    try:
        return _loaded(compiler, lanes)
    except (OSError, subprocess.SubprocessError):
        return None


def _loaded(compiler: str, lanes: int) -> ctypes.CDLL:
    source = SOURCE.read_bytes()
    about = "\0".join([platform.node(), platform.machine(), compiler, *OPTIONS, str(lanes)]).encode()
    path = _folder() / f"depthwise-{hashlib.sha256(source + about).hexdigest()[:16]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            command = [compiler, *OPTIONS, f"-DLANES={lanes}", "-x", "c", str(SOURCE), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            made.replace(path)  # at once, so that another process never sees half of it
    compiled = ctypes.CDLL(str(path))
    compiled.weight_gradient.argtypes = [_NUMBER, *[_POINTER] * 3, *[_NUMBER] * 8]
    compiled.weight_gradient.restype = None
    return compiled


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
