"""Freezes weights while a gradient with respect to something else (the alphas) is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor


@contextmanager
def frozen(weights: Sequence[Tensor]) -> Iterator[None]:
    """Context in which the weights need no gradient, so that autograd neither computes one nor keeps tensors for it."""
    for w in weights:
        w.requires_grad_(False)
    try:
        yield
    finally:
        for w in weights:
            w.requires_grad_(True)
