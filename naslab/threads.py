"""CPU threads, chosen deliberately: torch's own choice suits large networks on idle machines only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Inside, torch uses this many CPU threads; afterwards as many as before. None leaves them alone."""
    before = torch.get_num_threads()
    change = number is not None and number != before
    if change:
        torch.set_num_threads(number)  # type: ignore[arg-type]
    try:
        yield
    finally:
        if change:
            torch.set_num_threads(before)
