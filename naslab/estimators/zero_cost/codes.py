"""Binary codes: which ReLU units are on for which image, added up into a kernel while a forward pass runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from naslab.errors import SpecError

_aten = torch.ops.aten
RELUS = frozenset({
    _aten.relu.default, _aten.relu_.default, _aten.leaky_relu.default, _aten.leaky_relu_.default,
    _aten.hardtanh.default, _aten.hardtanh_.default, _aten._prelu_kernel.default,
})  # fmt: skip
"""ReLU, and its kin as published: LeakyReLU, PReLU, ReLU6. As modules or as functions."""
EXACT = 2**24
"""float32 counts exactly up to here."""


class Codes(TorchDispatchMode):
    """While this is active, every ReLU adds to `kernel` how many of its units agree on each pair of images.

    With the code c in {0, 1}^[B, D] of a ReLU, a unit being on where its input is positive, that is c c' + (1 - c)
    (1 - c)'. With signs s = 2 c - 1 it is (D + s s') / 2: one product instead of two, and whole numbers, so exact. A
    tensor that several ReLUs read, such as the node of a cell, is multiplied once.

    Args:
        batch: B.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(batch, batch, dtype=torch.float64)
        """[B, B]"""
        self.units = 0
        """D over all ReLUs."""
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in RELUS and not ("hardtanh" in func.__name__ and args[1:2] != (0,) and args[1:2] != (0.0,)):
            self._add(args[0])
        return func(*args, **(kwargs or {}))

    def _add(self, x: Tensor) -> None:
        """x: [B, ...], what the ReLU reads."""
        if x.ndim < 2 or len(x) != len(self.kernel):
            raise SpecError(
                f"NASWOT tells {len(self.kernel)} examples apart, but a ReLU reads a tensor of shape {list(x.shape)}: "
                "its first dimension must be the mini-batch"
            )
        version, agreement = self._known.get(x) or (-1, self.kernel)
        if version != x._version:
            agreement = agreements(x.detach().flatten(1))
            self._known[x] = (x._version, agreement)
        self.kernel += agreement
        self.units += x[0].numel()


def agreements(x: Tensor) -> Tensor:
    """[B, D] -> [B, B] float64 on the CPU: how many of the D units are on for both or off for both."""
    total = torch.zeros(len(x), len(x), dtype=torch.float64)
    for part in x.split(EXACT, dim=1):
        signs = (part > 0).to(torch.float32).mul_(2).sub_(1)
        total += (signs @ signs.T).to(total)
    return total.add_(x.shape[1]).div_(2)
