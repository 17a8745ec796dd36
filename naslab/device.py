"""Where to compute: the device that was asked for, if it is there."""

from __future__ import annotations

import os

import torch

from naslab.errors import SpecError


def usable_device(wished: str | torch.device | None = None) -> torch.device:
    """The device; without a wish the GPU where there is one, else the CPU. `SpecError` for one that is not here."""
    if wished is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = named_device(wished)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise SpecError(f"device={str(wished)!r} was asked for, but torch finds no CUDA here; use device='cpu'")
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise SpecError(f"there are {torch.cuda.device_count()} GPUs, so {device} is not one of them")
    elif device.type != "cpu":
        try:
            torch.zeros(1, device=device).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise SpecError(f"device={str(wished)!r} cannot be computed on here: {error}") from None
    return device


def named_device(wished: str | torch.device) -> torch.device:
    """The device, here or elsewhere; `SpecError` for a name that there is not."""
    try:
        if not isinstance(wished, str | torch.device):
            raise TypeError
        return torch.device(wished)
    except (RuntimeError, TypeError):
        raise SpecError(
            f"there is no device {wished!r:.100}; give 'cpu', 'cuda' (a GPU of NVIDIA or AMD) or 'mps'"
        ) from None


def device_name(wished: str | torch.device) -> str:
    """The name of a device that exists somewhere: a kept search may be opened on a machine without it."""
    return str(named_device(wished))


def kept_device(name: str) -> str:
    """That of a search which was kept: the CPU, if it was a GPU and none is here."""
    return "cpu" if name.startswith("cuda") and not torch.cuda.is_available() else name


def available(device: torch.device | str = "cpu") -> int | None:
    """Bytes that are free for more tensors; None where the system does not say."""
    if torch.device(device).type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch holds the rest
    try:
        with open("/proc/meminfo") as lines:
            found = dict(line.split(":", 1) for line in lines)
        return int(found["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pages = getattr(os, "sysconf_names", {})
        if "SC_AVPHYS_PAGES" in pages:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return None
