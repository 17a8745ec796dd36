"""Round marks on an axis."""

from __future__ import annotations

import math


def ticks(low: float, high: float, about: int = 4) -> tuple[float, float, list[float]]:
    """Ends around low and high, and round numbers between them, ends included; about so many steps."""
    rough = (high - low) / about
    scale = 10 ** math.floor(math.log10(rough))
    step = next(m * scale for m in (1, 2, 5, 10) if m * scale >= rough * (1 - 1e-9))
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return first * step, last * step, [i * step for i in range(first, last + 1)]
