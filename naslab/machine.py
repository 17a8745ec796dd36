"""What naslab finds on this machine: where it computes, with what, and what is missing.

python -m naslab          prints it
print(nl.machine())       in a notebook
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass

import torch

from naslab._version import __version__
from naslab.device import available, bytes_shown, usable_device, why_no_cuda
from naslab.errors import SpecError
from naslab.immutable import Record
from naslab.operations import kernels
from naslab.precision import check_precision
from naslab.threads import processors


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Machine(Record):
    """The parts of a machine that decide how fast a search is."""

    versions: str
    """Versions of naslab, torch and Python."""
    device: str
    """The device that is taken if none is named."""
    gpus: tuple[str, ...]
    """Name, memory and free memory of each GPU."""
    processors: int
    """Processors that this process may use."""
    vectors: str
    """The widest vectors that torch computes with on this processor, such as "AVX2"."""
    threads: int
    """CPU threads of torch now."""
    free: int | None
    """Bytes of main memory that are free; None if the system does not say."""
    kernels: bool
    """True if the compiled kernels of the supernets can be used on the CPU."""
    missing: tuple[str, ...]
    """What is not there, what that costs, and what to do."""

    def __str__(self) -> str:
        free = "" if self.free is None else f", {bytes_shown(self.free)} of memory free"
        rows = {
            "versions": self.versions,
            "device": self.device,
            "GPUs": "; ".join(self.gpus) or "none",
            "processors": f"{self.processors} ({self.vectors}), threads of torch: {self.threads}{free}",
            "compiled kernels": "yes" if self.kernels else "no",
        }
        lines = [f"{name + ':':<18}{value}" for name, value in rows.items()]
        return "\n".join([*lines, *(f"missing: {text}" for text in self.missing)])

    __repr__ = __str__


def machine() -> Machine:
    """Returns what naslab finds on this machine. The first call may compile a kernel, which takes a second or two."""
    compiled, no_cuda = kernels.available(), why_no_cuda()
    missing = [] if compiled else [_no_kernels()]
    if no_cuda:
        missing.append(f"a GPU: {no_cuda}. Everything runs on the CPU")
    gpus = []
    for number in range(0 if no_cuda else torch.cuda.device_count()):
        device = torch.device("cuda", number)
        whole, free = torch.cuda.get_device_properties(device).total_memory, available(device) or 0
        gpus.append(f"{torch.cuda.get_device_name(device)}, {bytes_shown(whole)}, {bytes_shown(free)} free")
        if free < whole / 10:
            missing.append(f"memory of {device}: {bytes_shown(free)} are free; nvidia-smi shows what fills it")
    if gpus:
        try:
            check_precision("bfloat16", torch.device("cuda"), instead="float32, or float16 in trainings")
        except SpecError as error:
            missing.append(str(error))
    return Machine(
        versions=f"naslab {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        device=str(usable_device()),
        gpus=tuple(gpus),
        processors=processors(),
        vectors=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        free=available(),
        kernels=compiled,
        missing=tuple(missing),
    )


def _no_kernels() -> str:
    """Returns why there are no compiled kernels, what that costs, and what to do."""
    name = os.environ.get("CC", "cc")
    if os.environ.get("NASLAB_KERNELS") == "0":
        why = "NASLAB_KERNELS=0 in the environment turns them off"
    elif os.name != "posix":
        why = "they exist for Linux and macOS"
    elif shutil.which(name) is None:
        why = f"there is no C compiler ({name!r}); install one, for instance gcc"
    else:
        why = f"the C compiler {name!r} could not compile them for this processor, or no folder can keep them"
    return f"compiled kernels: {why}. Supernets compute the same without them on a CPU, in about twice the time"
