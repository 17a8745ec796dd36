"""Arithmetic on lists of tensors: one call, and on a GPU one kernel, for many.

PyTorch's optimizers compute so, by the functions `torch._foreach_*`. Each number is what the same operation on one
tensor after the other gives, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_torch: Any = torch
"""These functions are documented, but not exported."""


def added(xs: Sequence[Tensor], ys: Sequence[Tensor]) -> list[Tensor]:
    """Returns x + y of each pair."""
    return list(_torch._foreach_add(list(xs), list(ys)))


def subtracted(xs: Sequence[Tensor], ys: Sequence[Tensor]) -> list[Tensor]:
    """Returns x - y of each pair."""
    return list(_torch._foreach_sub(list(xs), list(ys)))


def scaled(factor: float | Tensor, xs: Sequence[Tensor]) -> list[Tensor]:
    """Returns factor * x of each tensor."""
    return list(_torch._foreach_mul(list(xs), factor))


def assign(xs: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copies a value into each tensor, without autograd."""
    with torch.no_grad():
        _torch._foreach_copy_(list(xs), list(values))
