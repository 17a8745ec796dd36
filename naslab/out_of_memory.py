"""Running out of memory: recognised, named, and survived.

torch says it in several ways. A GPU raises `torch.OutOfMemoryError`, or, where a library could not get its workspace or
there was no room for a context, an error with a text; the CPU's allocator raises a `RuntimeError` with a text; Python
and NumPy raise a `MemoryError`.

An exception holds the frames that it passed through, with their tensors. As long as it is alive, or another one that
was raised in its `except` block, no memory is free. So the error that the user gets is raised after that block.
"""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from naslab.device import available, bytes_shown
from naslab.errors import NaslabError, OutOfMemory

Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)

SIGNS = ("out of memory", "can't allocate memory", "not enough memory: you tried", "STATUS_ALLOC_FAILED")
"""Parts of the texts by which libraries, and the allocators of CPU, CUDA and MPS, say so."""
ASKED = re.compile(r"(?:tried|unable) to allocate (?P<number>[\d.]+) (?P<unit>\w+)", re.IGNORECASE)
"""The size in such a text: "Tried to allocate 2.00 GiB", "you tried to allocate 4096 bytes"."""
MARGIN = 0.9
"""Share of the free memory that a suggested batch size may take: the rest is lost to fragments."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if an exception of torch, NumPy or Python says that memory is used up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    told = isinstance(error, RuntimeError) and not isinstance(error, NaslabError)
    return told and any(sign in str(error) for sign in SIGNS)


def requested(error: BaseException) -> str:
    """Returns the size of the allocation that failed, for people to read; empty if the error does not say."""
    found = ASKED.search(str(error))
    if found is None:
        return ""
    number, unit = found["number"], found["unit"]
    return bytes_shown(float(number)) if unit == "bytes" else f"{number} {unit}"


def release(device: torch.device | str) -> None:
    """Free what nothing refers to any more, and give the blocks that torch keeps for later back to the device."""
    gc.collect()  # a graph of autograd may be in a cycle
    kind = torch.device(device).type
    if kind == "cuda" and torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif kind == "mps" and torch.backends.mps.is_available():
        torch.mps.empty_cache()


def within_memory(
    compute: Callable[[], Result],
    device: torch.device | str,
    advice: Callable[[], tuple[str, int | None]],
    *,
    what: str,
) -> Result:
    """Returns the result of a computation.

    Args:
        compute: the computation.
        device: where it computes.
        advice: called after a failure, once all memory of the computation is free again; returns what to do about it,
            and the largest batch size that fits, None if that is not known.
        what: what is computed, in words, for the error: "step 12".

    Raises:
        OutOfMemory: the memory was not enough.
    """
    try:
        return compute()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        asked = requested(error)
        traceback.clear_frames(error.__traceback__)
    # From here on the exception is gone, and with it the tensors of its frames.
    release(device)
    raise exhausted(what, device, asked, *advice())


def exhausted(what: str, device: torch.device | str, asked: str, advice: str, batch_size: int | None) -> OutOfMemory:
    """Returns the error that names what was asked for, what is free now, and what to do."""
    free = available_or_none(device)
    told = [f"{asked} more were asked for"] if asked else []
    if free is not None:
        told.append(f"{bytes_shown(free)} are free now that its tensors are gone")
    error = OutOfMemory(
        f"{what} ran out of memory on {device}" + (f" ({'; '.join(told)})" if told else "") + f". {advice}"
    )
    error.batch_size = batch_size
    return error


def available_or_none(device: torch.device | str) -> int | None:
    """Returns `available`; None as well if the device is too full, or too broken, to be asked."""
    try:
        return available(device)
    except (RuntimeError, AssertionError):
        return None


def placed(network: Network, device: torch.device) -> Network:
    """Returns the network, moved to a device. `OutOfMemory` if that is too full for it, or for a context of CUDA."""
    size = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))

    def advice() -> tuple[str, None]:
        network.to("cpu")  # what was moved already
        return (
            "Other processes may fill the device, as nvidia-smi shows; end them, or take another by device='cuda:1' or "
            "device='cpu'",
            None,
        )

    what = f"moving {bytes_shown(size)} of a {type(network).__name__} there"
    return within_memory(lambda: network.to(device), device, advice, what=what)


def smaller(batch_size: int, fits: float | None) -> int | None:
    """Returns the batch size to suggest instead of one that was too large.

    Args:
        batch_size: the size that was too large.
        fits: the size that an estimate found to fit; None without an estimate.

    Returns:
        The estimate; half the size if there is none, or if it is wrong, as it is not smaller than what was too large;
        None if not even one example is expected to fit.
    """
    if fits is None or fits >= batch_size:
        fits = batch_size // 2
    return max(0, int(fits)) or None
