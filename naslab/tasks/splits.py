"""Random splits of labelled examples: uniform, or stratified, so that every class is in every part.

All functions return indices, and depend on the labels and the words that are the key of the randomness only.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from naslab.errors import DataError, real
from naslab.randomness import numpy_generator


def by_chance(total: int, count: int, *words: int | str) -> tuple[Tensor, Tensor]:
    """Returns two random parts whatever their labels, [total - count] and [count] int64."""
    order = torch.from_numpy(numpy_generator(*words).permutation(total))
    return order[count:], order[:count]


def stratified(labels: Tensor, count: int, *words: int | str) -> tuple[Tensor, Tensor]:
    """Returns two random parts, between which each class is divided in the proportion of the whole.

    Every class of at least two examples is in both parts, even if the second is then larger than `count`; the single
    example of a smaller class is in the first part.

    Returns:
        About [N - count] and [count] int64, in random order.
    """
    order = numpy_generator(*words).permutation(len(labels))
    _, classes, sizes = np.unique(labels.numpy()[order], return_inverse=True, return_counts=True)
    # The first examples of each class in a random order are a random sample of it.
    second = _rank_in_class(classes) < _shares(sizes, count)[classes]
    return torch.from_numpy(order[~second]), torch.from_numpy(order[second])


def test_split(labels: Tensor, fraction: float, by_class: bool, seed: int) -> tuple[Tensor, Tensor]:
    """Returns indices of the training images and of a random test set, stratified if `by_class`."""
    count = held_out(len(labels), fraction)
    if by_class:
        parts = stratified(labels, count, seed, "test")
        if len(parts[1]):
            return parts
    return by_chance(len(labels), count, seed, "test")  # also if no class has two images


def held_out(total: int, fraction: float) -> int:
    """Returns the number of images of the test set, of `total`; `DataError` unless both parts get an image."""
    share = real("test_fraction", fraction, error=DataError)
    count = round(total * share) if 0 < share < 1 else 0
    if not 0 < count < total:
        raise DataError(
            f"of {total} images a test set cannot be kept by test_fraction={fraction!r}: give a fraction between "
            "0 and 1, more images, or test=(x, y)"
        )
    return count


def evenly(labels: Tensor, count: int, *words: int | str) -> Tensor:
    """Returns [count] int64: sorted random indices, as evenly over the classes as possible."""
    order = numpy_generator(*words, "subset").permutation(len(labels))
    rank = _rank_in_class(labels.numpy()[order])  # first one example of each class, then a second of each, ...
    return torch.from_numpy(np.sort(order[np.argsort(rank, kind="stable")[:count]]))


def _rank_in_class(classes: np.ndarray) -> np.ndarray:
    """Returns [N] int64: for each example, the number of earlier examples of the same class."""
    by_class = np.argsort(classes, kind="stable")
    _, first, sizes = np.unique(classes[by_class], return_index=True, return_counts=True)
    rank = np.empty(len(classes), dtype=np.int64)
    rank[by_class] = np.arange(len(classes)) - np.repeat(first, sizes)
    return rank


def _shares(sizes: np.ndarray, count: int) -> np.ndarray:
    """Returns [K] int64: how many examples of each class belong to `count`, by the method of largest remainders.

    Args:
        sizes: [K] examples of each class. Of a class of at least two, one stays in either part.
        count: examples in all.
    """
    exact = sizes * count / sizes.sum()
    low, high = (sizes > 1).astype(np.int64), sizes - 1
    shares = np.clip(np.floor(exact).astype(np.int64), low, high)
    # The bounds may move the sum away from `count` in either direction: give to whom most is missing, or take where
    # most is too much, one example at a time.
    while shares.sum() < count and (shares < high).any():
        shares[np.argmax(np.where(shares < high, exact - shares, -np.inf))] += 1
    while shares.sum() > count and (shares > low).any():
        shares[np.argmax(np.where(shares > low, shares - exact, -np.inf))] -= 1
    return shares
