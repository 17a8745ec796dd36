"""Weights that stand still while a gradient with respect to something else is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor


@contextmanager
def frozen(weights: Sequence[Tensor]) -> Iterator[None]:
    """Inside, the weights need no gradient: none is computed for them, and nothing is kept for it."""
    for w in weights:
        w.requires_grad_(False)
    try:
        yield
    finally:
        for w in weights:
            w.requires_grad_(True)
