"""Entries of a tensor by their numbers, without waiting for a device.

A Python list as an index of a tensor on a GPU is copied there at each use, and the host waits for the copy: a supernet
would wait hundreds of times in a step. Evenly spaced numbers, which most lists are, need no index at all: they are a
view. The indices of all others are kept on their device.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

KEPT = 4096
"""Largest number of indices that are kept. A supernet needs one for each set of edges that a sample computes."""

_kept: dict[tuple[tuple[int, ...], torch.device], Tensor] = {}


def index_on(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns the numbers as an index [n] int64, which is kept on the device and is not to be changed."""
    found = _kept.get((numbers, device))
    if found is None:
        if len(_kept) >= KEPT:
            _kept.clear()
        with torch.inference_mode(False):  # an inference tensor could not be saved for a backward pass later
            found = torch.tensor(numbers, dtype=torch.int64, device="cpu")
            if device.type == "cuda":
                found = found.pin_memory().to(device, non_blocking=True)
            _kept[numbers, device] = found = found.to(device)
    return found


# As `torch.compiler.assume_constant_result` does, which would import the whole compiler, and with it networkx, pandas
# and scikit-learn, for everyone who imports this module. `test_indexing` sees that a compiler obeys.
index_on._dynamo_marked_constant = True  # type: ignore[attr-defined]


def kept_indices() -> tuple[Tensor, ...]:
    """Returns all indices that are kept now. A CUDA graph that reads some of them is good while somebody holds them."""
    return tuple(_kept.values())


def picked(x: Tensor, numbers: Sequence[int], dim: int = 0) -> Tensor:
    """Returns the entries of x with these numbers along an axis: a view if they are evenly spaced, else a copy."""
    step = _step(numbers)
    if step is None:
        return x.index_select(dim, index_on(tuple(numbers), x.device))
    if step == 1:
        return x.narrow(dim, numbers[0], len(numbers))
    return x[(slice(None),) * (dim % x.ndim) + (slice(numbers[0], numbers[-1] + 1, step),)]


def put(x: Tensor, numbers: Sequence[int], values: Tensor) -> None:
    """Gives the entries of x with these numbers along the first axis other values [n, ...], without autograd."""
    with torch.no_grad():
        if _step(numbers) is None:
            x.index_copy_(0, index_on(tuple(numbers), x.device), values.to(x))
        else:
            picked(x, numbers).copy_(values)


def _step(numbers: Sequence[int]) -> int | None:
    """Returns the distance of neighbours if it is positive and everywhere the same, 1 for one number; else None."""
    if len(numbers) < 2:
        return 1 if numbers else None
    step = numbers[1] - numbers[0]
    even = step > 0 and all(after - before == step for before, after in pairwise(numbers))
    return step if even else None
