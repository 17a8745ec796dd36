"""What is known of a number by its name: whether more of it is better, and its unit.

A chart, a table and a card follow from it. It is said by whoever measures the number, never guessed from the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naslab.directions import DIRECTIONS, Direction
from naslab.errors import SpecError, among, unknown

UNITS = ("", "%", "nats", "bits", "s", "ms")
"""Units that charts know how to write. Any other text is written behind the number as it is."""


@dataclass(frozen=True)
class Quantity:
    """Direction and unit of a number that is measured."""

    direction: Direction | None = None
    """"max" if more is better, "min" if less is; None for what is neither good nor bad, such as an entropy."""
    unit: str = ""
    """"%" for a share in [0, 1] that is shown in per cent; "nats", "bits", "s"; "" for a bare number."""

    def __post_init__(self) -> None:
        if self.direction is not None and not among(self.direction, DIRECTIONS):
            raise SpecError(unknown("direction", self.direction, DIRECTIONS))
        if not isinstance(self.unit, str):
            raise SpecError(f"a unit is a text, such as 'nats', '%' or '', not {self.unit!r}")

    def text(self, value: float) -> str:
        """The number as people read it: "93.4 %", "1.52 nats"."""
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        return f"{value:.4g} {self.unit}".rstrip()

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is strictly better than `other`; of what has no direction nothing is."""
        if self.direction is None:
            return False
        return one > other if self.direction == "max" else one < other

    def to_json(self) -> dict[str, Any]:
        return {"direction": self.direction, "unit": self.unit}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Quantity:
        return cls(given.get("direction"), given.get("unit", ""))
