"""Binary codes of NASWOT: which ReLU units are active for which image, accumulated into a kernel in a forward pass."""

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
"""ReLU and, as published, LeakyReLU, PReLU and ReLU6 (a hardtanh from 0), as modules or functions."""
EXACT = 2**24
"""Up to 2^24 float32 represents every integer, so that counts are exact."""


class Codes(TorchDispatchMode):
    """Context in which every ReLU adds to `kernel` the number of its units that agree on each pair of images.

    A unit is active where its input is positive. With the code c of a ReLU, [B, D] in {0, 1}, the number of agreements
    is c c' + (1 - c)(1 - c)'. With signs s = 2 c - 1 it is (D + s s') / 2: one product instead of two, and exact, since
    all numbers are integers. The product of a tensor that several ReLUs read, such as a node of a cell, is cached.

    Args:
        batch: number of images B.
    """

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(batch, batch, dtype=torch.float64)
        """Numbers of agreeing units, [B, B], from the first ReLU on where these are counted."""
        self.units = 0
        """Number of units per image, summed over all ReLUs."""
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in RELUS and not ("hardtanh" in func.__name__ and args[1:2] != (0,) and args[1:2] != (0.0,)):
            self._add(args[0])
        return func(*args, **(kwargs or {}))

    def _add(self, x: Tensor) -> None:
        """Add the agreements of a ReLU with input x, [B, ...]."""
        if x.ndim < 2 or len(x) != len(self.kernel):
            raise SpecError(
                f"NASWOT tells {len(self.kernel)} examples apart, but a ReLU reads a tensor of shape {list(x.shape)}: "
                "its first dimension must be the mini-batch"
            )
        # The version of a tensor counts its in-place changes: after one the cached product is outdated.
        version, agreement = self._known.get(x) or (-1, self.kernel)
        if version != x._version:
            agreement = agreements(x.detach().flatten(1))
            self._known[x] = (x._version, agreement)
        if not self.units:
            self.kernel = torch.zeros_like(agreement)
        self.kernel += agreement
        self.units += x[0].numel()


def agreements(x: Tensor) -> Tensor:
    """Returns, for x [B, D], how many units are active for both images or for neither: [B, B] float64, on the
    device of x, or on the CPU if that has no float64.
    """
    device = "cpu" if x.device.type == "mps" else x.device
    total = torch.zeros(len(x), len(x), dtype=torch.float64, device=device)
    # Products in float32 are fast, and exact up to EXACT units; their sums go on in float64.
    for part in x.split(EXACT, dim=1):
        signs = (part > 0).to(torch.float32).mul_(2).sub_(1)
        total += (signs @ signs.T).to(total)
    return total.add_(x.shape[1]).div_(2)
