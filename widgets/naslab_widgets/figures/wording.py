"""What a decision of a controller is called where a person reads it; the names that are data stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from naslab.architecture import Option

_OF_A_LAYER = re.compile(r"chain/(\d+)/(op|from_(\d+))")
_BITS = (0, 1)


def question(name: str) -> str:
    """The name of a choice in words: "layer 4 reads 2" of `chain/4/from_2`; where there are none for it, itself."""
    found = _OF_A_LAYER.fullmatch(name)
    if found is None:
        return name
    layer, asked, source = found.groups()
    if asked == "op":
        return f"layer {layer} does"
    return f"layer {layer} reads {'the stem' if source == '0' else source}"


def answers(name: str, options: Sequence[Option]) -> list[str]:
    """What its options are called: "no" and "yes", where 0 and 1 answer whether one layer reads another."""
    found = _OF_A_LAYER.fullmatch(name)
    if found is not None and found[3] is not None and tuple(options) == _BITS:
        return ["no", "yes"]
    return [str(option) for option in options]
