"""Readable names of a controller's decisions, for pictures alone: data keep the names of the choices."""

from __future__ import annotations

import re
from collections.abc import Sequence

from naslab.architecture import Option

_OF_A_LAYER = re.compile(r"chain/(\d+)/(op|from_(\d+))")
_BITS = (0, 1)


def question(name: str) -> str:
    """Returns the name of a choice in words: `chain/4/from_2` -> "layer 4 reads 2"; other names unchanged."""
    found = _OF_A_LAYER.fullmatch(name)
    if found is None:
        return name
    layer, asked, source = found.groups()
    if asked == "op":
        return f"layer {layer} does"
    return f"layer {layer} reads {'the stem' if source == '0' else source}"


def answers(name: str, options: Sequence[Option]) -> list[str]:
    """Returns the names of the options: "no" and "yes" if 0 and 1 decide whether a layer reads another."""
    found = _OF_A_LAYER.fullmatch(name)
    if found is not None and found[3] is not None and tuple(options) == _BITS:
        return ["no", "yes"]
    return [str(option) for option in options]
