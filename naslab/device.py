"""Devices: the one to compute on, and the memory that is free on it."""

from __future__ import annotations

import os

import torch

from naslab.errors import SpecError


def usable_device(wished: str | torch.device | None = None) -> torch.device:
    """Returns the device; by default the GPU if there is one, else the CPU. `SpecError` if it is not available here."""
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


def kept_device(name: str) -> str:
    """Returns the device for a run that recorded `name`: the CPU, if it was a GPU and there is none here."""
    return "cpu" if name.startswith("cuda") and not torch.cuda.is_available() else name


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
