"""The order in which data is gone through, as a pure function of the step.

Nothing is shuffled in place and no position is kept, so a search that is resumed, rewound or run on another
machine sees the same mini-batches at the same steps.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from naslab.errors import DataError, whole
from naslab.randomness import torch_generator


def epoch_length(count: int, batch_size: int) -> int:
    """Whole mini-batches in one pass over `count` examples; the rest of the pass is left out."""
    batch_size = whole("the batch size", batch_size, 1, error=DataError)
    if batch_size > count:
        raise DataError(
            f"a batch of {batch_size} cannot be filled from {count} examples: take batch_size={max(count, 1)} or less, "
            "or give more data"
        )
    return count // batch_size


def batch_indices(indices: Tensor, batch_size: int, step: int, *words: int | str) -> Tensor:
    """[B] int64: which examples make up mini-batch `step`, counted from 0 over all epochs.

    Each epoch goes through `indices` in a new order, drawn from the words and the number of the epoch.

    Args:
        indices: [N] int64, the examples to go through.
        batch_size: B.
        step: mini-batches before this one.
        words: what the order is drawn from: the seed, and the name of the stream where there are several.
    """
    step = whole("the step", step, error=DataError)
    epoch, position = divmod(step, epoch_length(len(indices), batch_size))
    order = _permutation(len(indices), epoch, *words)
    return indices[order[position * batch_size : (position + 1) * batch_size]]


@lru_cache(maxsize=8)  # the steps of an epoch share it
def _permutation(count: int, epoch: int, *words: int | str) -> Tensor:
    return torch.randperm(count, generator=torch_generator(*words, "order", epoch))
