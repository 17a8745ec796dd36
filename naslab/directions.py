"""Whether much or little of a metric is wanted: its name says so if everybody knows the name, else the user does.

A name is known by its words, which are whole: "test_loss", "latency/fpga", "valid-accuracy" and "WordErrorRate" are,
"mapped" is no "map". A name whose words contradict each other ("accuracy_loss"), or that turns one round
("neg_error", "perplexity_reduction"), is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from naslab.errors import SpecError, unknown

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
