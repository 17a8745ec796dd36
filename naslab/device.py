"""Where to compute: the device that was asked for, if it is there."""

from __future__ import annotations

import torch

from naslab.errors import SpecError


def usable_device(wished: str | torch.device | None = None) -> torch.device:
    """The device; without a wish the GPU where there is one, else the CPU. `SpecError` for one that is not here."""
    if wished is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wished)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        raise SpecError(
            f"device={str(wished)!r} cannot be used here ({str(error).splitlines()[0]:.120}); there is: "
            f"{', '.join(['cpu', *found])}"
        ) from None
    return device
