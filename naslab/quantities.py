"""Direction and unit of a measured quantity.

Charts, tables and cards follow from them. They are declared by the code that measures the quantity, and never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.directions import DIRECTIONS, Direction
from naslab.errors import SpecError, among, listed, unknown

UNITS = ("", "%", "nats", "bits", "s", "ms")
"""Units that charts format in a special way. Any other unit is written after the number as it is."""


@dataclass(frozen=True)
class Quantity:
    """Direction and unit of a measured quantity."""

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
        """Returns the value with its unit: "93.4 %", "1.52 nats"."""
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        return f"{value:.4g} {self.unit}".rstrip()

    def better(self, one: float, other: float) -> bool:
        """True if `one` is strictly better than `other`; always False for a quantity without a direction."""
        if self.direction is None:
            return False
        return one > other if self.direction == "max" else one < other

    def to_json(self) -> dict[str, Any]:
        return {"direction": self.direction, "unit": self.unit}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Quantity:
        return cls(given.get("direction"), given.get("unit", ""))


class Objective(NamedTuple):
    """A quantity that a search maximises or minimises."""

    name: str
    direction: Direction
    """ "max" or "min"."""
    unit: str = ""
    """Unit, as in `Quantity`: "%" for a share in [0, 1], "per cent" for a value in [0, 100]."""

    @property
    def sign(self) -> int:
        """1, or -1 if less is better: the fitness is the value times this sign."""
        return -1 if self.direction == "min" else 1

    @property
    def wish(self) -> str:
        """ "more is better", or "less is better"."""
        return "less is better" if self.direction == "min" else "more is better"

    @property
    def quantity(self) -> Quantity:
        """Direction and unit."""
        return Quantity(self.direction, self.unit)

    @property
    def scale(self) -> float:
        """Factor between a value and its display with the unit: 100 for "%", else 1."""
        return 100.0 if self.unit == "%" else 1.0


FITNESS = Objective("fitness", "max")
"""The objective of an estimator that names none."""


def as_objectives(given: Any) -> tuple[Objective, ...]:
    """Returns objectives from a list of them, or from lists `[name, direction, unit]`, their JSON form.

    Raises:
        SpecError: the list is empty, two have the same name, or a direction is neither "max" nor "min".
    """
    if isinstance(given, Objective):
        given = [given]
    if not listed(given) or not (rows := list(given)):
        raise SpecError(
            "objectives are a list with at least one, for instance [nl.estimators.Objective('accuracy', 'max'), "
            f"nl.estimators.Objective('latency', 'min', 's')]; got {given!r:.200}"
        )
    found = tuple(map(_as_objective, rows))
    if len({objective.name for objective in found}) < len(found):
        raise SpecError(f"objectives have different names, not {', '.join(repr(each.name) for each in found)}")
    return found


def _as_objective(given: Any) -> Objective:
    if isinstance(given, str) or not isinstance(given, Sequence) or not 2 <= len(given) <= 3:
        raise SpecError(f"an objective is Objective(name, direction, unit), not {given!r:.200}")
    objective = Objective(*given)
    if not all(isinstance(text, str) for text in objective) or not objective.name:
        raise SpecError(f"the name, the direction and the unit of an objective are texts, not {given!r:.200}")
    if not among(objective.direction, DIRECTIONS):
        raise SpecError(f"of the objective {objective.name!r}: {unknown('direction', objective.direction, DIRECTIONS)}")
    return objective
