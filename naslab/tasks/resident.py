"""Data sets in the memory of a device.

A data set that takes at most `SHARE` of the memory that is free on a device is copied there once, when its first
mini-batch is asked for. Its mini-batches are then gathered on the device, and only indices and random numbers travel.
The copy lives as long as the tensors on the host that it is of, and all tasks of the same tensors share it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from naslab.device import available
from naslab.transfer import HERE

SHARE = 0.25
"""Largest share of the free memory of a device that a data set takes."""
SMALL = 1_000_000
"""Bytes up to which it is copied in any case."""
Copies = dict[torch.device, tuple[Tensor, ...] | None]
"""Device -> the copy of a data set; None for a device that had no room for it."""

_kept: weakref.WeakKeyDictionary[object, Copies] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
"""Held while a copy is made, so that searches in several threads make one together."""


def resident(owner: object, data: Callable[[], tuple[Tensor, ...]], device: torch.device) -> tuple[Tensor, ...] | None:
    """Returns the copy of a data set on a device; None on the CPU, and if the device lacks the memory or does not say.

    What was decided for the first mini-batch holds for all later ones.

    Args:
        owner: object whose life the copy shares, compared by identity.
        data: returns the tensors on the CPU.
        device: a device of computation.
    """
    if device.type in HERE:
        return None
    device = exactly(device)
    known = _kept.get(owner)
    if known is not None and device in known:
        return known[device]
    with _lock:
        known = _kept.setdefault(owner, {})
        if device not in known:
            here = data()
            size, free = sum(tensor.numel() * tensor.element_size() for tensor in here), available(device)
            fits = size <= SMALL or (free is not None and size <= SHARE * free)
            known[device] = tuple(tensor.to(device) for tensor in here) if fits else None
        return known[device]


def exactly(device: torch.device) -> torch.device:
    """Returns the device with its number: "cuda" is the GPU that is the current one now."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device
