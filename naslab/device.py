"""Devices: the one to compute on, its GPU among several, and the memory that is free on it."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress

import torch

from naslab.errors import SpecError

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable that names the GPUs which CUDA shows to a process. CUDA reads it once, at its first use."""
_own_gpu: int | None = None
"""Number of the only GPU of this process, as its parent counts them, if it was given one by `take_gpu`."""


def usable_device(wished: str | torch.device | None = None) -> torch.device:
    """Returns the device; by default the GPU if there is one, else the CPU. `SpecError` if it is not available here."""
    if wished is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = named_device(wished)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise SpecError(
                f"device={str(wished)!r} was asked for, but torch finds no CUDA here ({why_no_cuda()}); use "
                "device='cpu'"
            )
        if _own_gpu is not None and device.index == _own_gpu:
            return torch.device("cuda", 0)  # CUDA shows no other here, so it is number 0, whatever its parent calls it
        if device.index is not None and device.index >= torch.cuda.device_count():
            if _own_gpu is not None:
                raise SpecError(
                    f"this worker computes on GPU {_own_gpu} alone, so not on {device}; say device='cuda', by which "
                    f"each worker means its own, or make the workers with Workers(gpus=[{device.index}])"
                )
            raise SpecError(f"there are {torch.cuda.device_count()} GPUs, so {device} is not one of them")
    elif device.type != "cpu":
        try:
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = f"{str(error).partition('. ')[0]:.200}"  # torch goes on with every backend that there is
            raise SpecError(f"device={str(wished)!r} cannot be computed on here ({reason}); use device='cpu'") from None
    return device


def named_device(wished: str | torch.device) -> torch.device:
    """Returns the device, which need not be available here; `SpecError` for a name that no device has."""
    try:
        if not isinstance(wished, str | torch.device):
            raise TypeError
        return torch.device(wished)
    except (RuntimeError, TypeError):
        raise SpecError(
            f"there is no device {wished!r:.100}; give 'cpu', 'cuda' (a GPU of NVIDIA or AMD) or 'mps'"
        ) from None


def device_name(wished: str | torch.device) -> str:
    """Returns the name of a device, which need not be available here: a run may be opened on another machine."""
    return str(named_device(wished))


def why_no_cuda() -> str:
    """Returns why torch cannot compute on a GPU here, and what to do; empty if it can."""
    if torch.cuda.is_available():
        return ""
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} is a build without CUDA; install one with it, see pytorch.org"
    if os.environ.get(VISIBLE) == "":
        return f"{VISIBLE} is empty in the environment, which hides all GPUs"
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        found = " ".join(str(error).split())
        if "too old" in found:
            return (
                f"the driver is too old for torch {torch.__version__}, which is built for CUDA {torch.version.cuda}: "
                "update the driver, or install a build of torch for an older CUDA, see pytorch.org"
            )
        return f"{found:.300}".rstrip(".")
    return "there is no GPU"


def visible_gpus() -> tuple[str, ...]:
    """Returns the names of the GPUs that this process can use, in torch's order, as `CUDA_VISIBLE_DEVICES` has them.

    CUDA is not initialised by it, so that a child process may still choose its own.
    """
    count = torch.cuda.device_count()
    listed = os.environ.get(VISIBLE)
    names = [str(number) for number in range(count)] if listed is None else [name.strip() for name in listed.split(",")]
    return tuple(names[:count])


def take_gpu(number: int | None, name: str) -> None:
    """Make a GPU the only one that CUDA shows to this process. Only before the first use of CUDA in it.

    Args:
        number: its number in the parent process, which `usable_device` goes on to know it by; None to hide all GPUs.
        name: its name, as `visible_gpus` of the parent process has it; "" to hide all.
    """
    global _own_gpu
    os.environ[VISIBLE], _own_gpu = name, number


def gpus_of(wished: str | torch.device | None) -> tuple[int, ...] | None:
    """Returns the numbers of the GPUs among which the workers of a computation on this device are spread.

    The one that the device names; none, for the CPU; None, which means all, if it names none or is left out.
    """
    if wished is None:
        return None
    device = named_device(wished)
    if device.type != "cuda":
        return ()
    # of a number that there is not, the error of the computation itself says what there is
    return None if device.index is None or device.index >= torch.cuda.device_count() else (device.index,)


def synchronise(device: torch.device | str) -> None:
    """Wait until the device has computed everything that was asked of it: GPUs compute while Python goes on."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def kept_device(name: str) -> str:
    """Returns the device for a run that recorded `name`: the same; or the first GPU, if there is none of that number;
    or the CPU, if there is no device of that kind here.
    """
    for wished in (name, "cuda:0"):
        if named_device(wished).type == named_device(name).type:
            with suppress(SpecError):
                return str(usable_device(wished))
    return "cpu"


def moved(recorded: str, now: torch.device | str) -> str:
    """Returns a sentence for a computation that was begun on a device and goes on on another; "" if it is the same."""
    was, here = named_device(recorded), torch.device(now)
    same = was.type == here.type and (was.index or 0) == (here.index or 0)
    return "" if same else f"it was begun on {was} and goes on on {here}"


def device_here(name: str | None) -> torch.device:
    """Returns the device of that name, or with a warning what `kept_device` puts in its place; the default for None."""
    device = usable_device(None if name is None else kept_device(name))
    if name is not None and moved(name, device):
        warnings.warn(f"device={name!r} is not available here; {device} is used instead", stacklevel=3)
    return device


def available(device: torch.device | str = "cpu") -> int | None:
    """Returns the bytes that are free for new tensors; None if the system does not say."""
    if torch.device(device).type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # and torch's cache
    try:
        with open("/proc/meminfo") as lines:
            found = dict(line.split(":", 1) for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pages = getattr(os, "sysconf_names", {})
        if "SC_AVPHYS_PAGES" in pages:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return None


def bytes_shown(size: float) -> str:
    """Returns a size for people to read: "310 MB", "1.6 GB"."""
    return f"{size / 1e9:.2g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
