"""Direction of a metric, "max" or "min": from its name if that is a standard one, else from the user.

A name is recognised by whole words: "test_loss", "latency/fpga", "valid-accuracy" and "WordErrorRate" are recognised,
"mapped" is not taken for "map". A name whose words contradict each other ("accuracy_loss"), or that inverts one
("neg_error", "perplexity_reduction"), is not recognised: the user must say its direction.
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
"""Words that invert the direction of a metric, or leave it open."""


def known_direction(metric: str) -> Direction | None:
    """Returns "max" or "min" for the name of a standard metric; None for others."""
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
    """Returns the direction that was given for the metric, else that of its name.

    Args:
        metric: name of the metric.
        given: metric -> "min" or "max".
        example: name of the argument that takes the directions, for the error.

    Raises:
        SpecError: none was given and the name is not recognised; or what was given is no direction.
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
    """Returns the words of a name in lower case, with a space before and after each: split at punctuation alone, and at
    capitals as well.
    """
    by_capitals = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", metric)
    first, second = (re.sub(r"[\W_]+", " ", text.lower()).split() for text in (metric, by_capitals))
    return f" {' '.join(first)} ", f" {' '.join(second)} "
