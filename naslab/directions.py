"""Whether much or little of a metric is wanted: its name says so if everybody knows the name, else the user does.

A name is known by its words, which are whole: "test_loss", "latency/fpga", "valid-accuracy" and "WordErrorRate" are,
"mapped" is no "map". A name whose words contradict each other ("accuracy_loss"), or that turns one round
("neg_error", "perplexity_reduction"), is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from naslab.errors import SpecError, among, listed, unknown

Direction = Literal["min", "max"]
DIRECTIONS = ("min", "max")

MAXIMISED = frozenset({"accuracy", "f1", "auc", "map", "bleu", "cider", "fitness"})
MINIMISED = frozenset(
    {"error", "wer", "cer", "mae", "mse", "rmse", "loss", "nll", "perplexity", "ppl", "bpc", "bits per byte", "fid"}
    | {"latency", "seconds", "parameters", "flops", "memory", "energy", "co2"}
)
TURNING = frozenset(
    {"neg", "negative", "negated", "minus", "inverse", "inverted", "reciprocal"}
    | {"reduction", "reduced", "drop", "decrease", "increase", "gain", "improvement", "change", "delta", "gap", "no"}
)
"""Words that leave open what is meant, or turn it round."""


class Objective(NamedTuple):
    """A quantity that a search maximises or minimises."""

    name: str
    direction: Direction
    """ "max" or "min"."""
    unit: str = ""
    """For instance "%" or "s"; empty for a number without one."""

    @property
    def sign(self) -> int:
        """1, or -1 where less is better: a fitness is the value times this."""
        return -1 if self.direction == "min" else 1

    @property
    def wish(self) -> str:
        """ "more is better", or "less is better"."""
        return "less is better" if self.direction == "min" else "more is better"

    def __str__(self) -> str:
        return f"{self.name}, {self.unit}" if self.unit else self.name


FITNESS = Objective("fitness", "max")
"""The objective of an estimator that names none."""


def as_objectives(given: Any) -> tuple[Objective, ...]:
    """Objectives from a list of them, or of lists `[name, direction, unit]`, as JSON keeps them.

    Raises:
        SpecError: there is none, two have one name, or a direction is neither "max" nor "min".
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


def known_direction(metric: str) -> Direction | None:
    """ "max" or "min" for a metric that everybody knows; None for others."""
    found = {
        direction
        for direction, names in (("max", MAXIMISED), ("min", MINIMISED))
        if any(f" {name} " in words for name in names for words in _words(metric))
    }
    if len(found) != 1 or any(f" {word} " in words for word in TURNING for words in _words(metric)):
        return None
    if metric.lstrip().startswith(("-", "1-", "1 -", "1/", "1 /")):
        return None
    return found.pop()  # type: ignore[return-value]


def direction_of(metric: str, given: Mapping[str, str] | None = None, *, example: str = "direction") -> Direction:
    """The direction that was given for the metric, else that of its name.

    Args:
        given: metric -> "min" or "max".
        example: name of the argument that takes the directions, for the error.

    Raises:
        SpecError: none was given, and nobody knows the name; or what was given is no direction.
    """
    if given is not None and metric in given:
        if not isinstance(given[metric], str) or given[metric] not in DIRECTIONS:
            raise SpecError(f"of {metric!r}: {unknown('direction', given[metric], DIRECTIONS)}")
        return given[metric]  # type: ignore[return-value]
    if (known := known_direction(metric)) is None:
        raise SpecError(
            f"whether much or little of {metric!r} is wanted cannot be told from its name; say it: "
            f"{example}={{{metric!r}: 'max'}}, or 'min'"
        )
    return known


def _words(metric: str) -> tuple[str, str]:
    """The words of a name in lower case, with a space before and behind each: as they are parted by signs, and as they
    are by capitals, too.
    """
    by_capitals = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", metric)
    first, second = (re.sub(r"[\W_]+", " ", text.lower()).split() for text in (metric, by_capitals))
    return f" {' '.join(first)} ", f" {' '.join(second)} "
