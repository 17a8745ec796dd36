"""Random order of exchangeable examples, as a pure function of the step; see `naslab.tasks.streams`."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from naslab.errors import DataError, whole
from naslab.randomness import torch_generator


def epoch_length(count: int, batch_size: int) -> int:
    """Returns the number of complete mini-batches of a pass over `count` examples; the remainder is left out."""
    batch_size = whole("the batch size", batch_size, 1, error=DataError)
    if batch_size > count:
        raise DataError(
            f"a batch of {batch_size} cannot be filled from {count} examples: take batch_size={max(count, 1)} or less, "
            "or give more data"
        )
    return count // batch_size


def batch_indices(indices: Tensor, batch_size: int, step: int, *words: int | str) -> Tensor:
    """Returns the indices [B] int64 of mini-batch `step`, counted from 0 over all epochs.

    Each epoch has a new order of `indices`, drawn from the words and the number of the epoch.

    Args:
        indices: [N] int64, the examples.
        batch_size: B.
        step: number of mini-batches before this one.
        words: key of the order: the seed, and the name of the stream if there are several.
    """
    step = whole("the step", step, error=DataError)
    epoch, position = divmod(step, epoch_length(len(indices), batch_size))
    order = _permutation(len(indices), epoch, *words)
    return indices[order[position * batch_size : (position + 1) * batch_size]]


@lru_cache(maxsize=8)  # the steps of an epoch share one permutation
def _permutation(count: int, epoch: int, *words: int | str) -> Tensor:
    return torch.randperm(count, generator=torch_generator(*words, "order", epoch))
