"""A sequence of any length in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Sampled:
    """Every stride-th item of a sequence of any length, from the first on.

    When `limit` items are kept, every second one is dropped and the stride doubles; so at least half of `limit` stay,
    evenly spaced.
    """

    def __init__(self, limit: int) -> None:
        self.kept: list[Any] = []
        self.stride, self.seen = 1, 0
        self._limit = limit

    def extend(self, items: Sequence[Any]) -> None:
        """Append items of the sequence."""
        # The first kept item is at the next position that is a multiple of the stride.
        self.kept += items[-self.seen % self.stride :: self.stride]
        self.seen += len(items)
        while len(self.kept) >= self._limit:
            self.kept = self.kept[::2]
            self.stride *= 2

    def since(self, seen: int) -> list[Any]:
        """Returns the kept items at positions `seen` and later."""
        return self.kept[-(-seen // self.stride) :]
