"""Random parts of labelled examples: by chance alone, or stratified, so that every class is in every part.

All are functions of the labels and of the words that the randomness is named by, and give indices.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from naslab.errors import DataError, real
from naslab.randomness import numpy_generator


def by_chance(total: int, count: int, *words: int | str) -> tuple[Tensor, Tensor]:
    """[total - count] and [count] int64: two random parts, whatever their labels."""
    order = torch.from_numpy(numpy_generator(*words).permutation(total))
    return order[count:], order[:count]


def stratified(labels: Tensor, count: int, *words: int | str) -> tuple[Tensor, Tensor]:
    """Two random parts, between which each class is divided in the proportion of the whole.

    Every class of at least two examples is in both parts, even where the second then holds more than `count`; the one
    example of a smaller class is in the first part.

    Returns:
        About [N - count] and [count] int64, in random order.
    """
    order = numpy_generator(*words).permutation(len(labels))
    _, classes, sizes = np.unique(labels.numpy()[order], return_inverse=True, return_counts=True)
    second = _turn(classes) < _shares(sizes, count)[classes]
    return torch.from_numpy(order[~second]), torch.from_numpy(order[second])


def test_split(labels: Tensor, fraction: float, by_class: bool, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training images, and of a random part that is kept for the test: stratified, or by chance."""
    count = held_out(len(labels), fraction)
    if by_class:
        parts = stratified(labels, count, seed, "test")
        if len(parts[1]):
            return parts
    return by_chance(len(labels), count, seed, "test")  # also where no class has two images


def held_out(total: int, fraction: float) -> int:
    """How many of `total` images are kept for the test."""
    share = real("test_fraction", fraction, error=DataError)
    count = round(total * share) if 0 < share < 1 else 0
    if not 0 < count < total:
        raise DataError(
            f"of {total} images a test set cannot be kept by test_fraction={fraction!r}: give a fraction between "
            "0 and 1, more images, or test=(x, y)"
        )
    return count


def evenly(labels: Tensor, count: int, *words: int | str) -> Tensor:
    """[count] int64: random indices, sorted, as evenly over the classes as can be."""
    order = numpy_generator(*words, "subset").permutation(len(labels))
    turn = _turn(labels.numpy()[order])
    return torch.from_numpy(np.sort(order[np.argsort(turn, kind="stable")[:count]]))


def _turn(classes: np.ndarray) -> np.ndarray:
    """[N] int64: how many of the same class come before."""
    by_class = np.argsort(classes, kind="stable")
    _, first, sizes = np.unique(classes[by_class], return_index=True, return_counts=True)
    turn = np.empty(len(classes), dtype=np.int64)
    turn[by_class] = np.arange(len(classes)) - np.repeat(first, sizes)
    return turn


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """[K] int64: how many of each class of the given sizes are among `count` (largest remainders, within bounds)."""
    exact = sizes * count / sizes.sum()
    low, high = (sizes > 1).astype(np.int64), sizes - 1
    shares = np.clip(np.floor(exact).astype(np.int64), low, high)
    while shares.sum() < count and (shares < high).any():
        shares[np.argmax(np.where(shares < high, exact - shares, -np.inf))] += 1
    while shares.sum() > count and (shares > low).any():
        shares[np.argmax(np.where(shares > low, shares - exact, -np.inf))] -= 1
    return shares
