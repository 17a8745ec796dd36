"""One colour an operation, the same in every picture, told apart by colour-blind readers too.

The hues are Okabe and Ito's (https://jfly.uni-koeln.de/color/); their yellow, too pale on white, is darkened there.
"""

from __future__ import annotations

from collections.abc import Sequence

GREY = ("#8c8c8c", "#9a9a9a")
HUES: tuple[tuple[str, str], ...] = (
    ("#009e73", "#12b98a"),
    ("#d55e00", "#f07a1f"),
    ("#0072b2", "#3f9fe0"),
    ("#cc79a7", "#dd8fba"),
    ("#e69f00", "#f0b020"),
    ("#56b4e9", "#7cc8f4"),
    ("#9a8600", "#f0e442"),
)
"""(on a light ground, on a dark ground)"""

NAMED: dict[str, tuple[str, str]] = {
    "none": GREY,
    "sep_conv_3x3": HUES[0],
    "nor_conv_3x3": HUES[0],
    "sep_conv_5x5": HUES[1],
    "dil_conv_3x3": HUES[2],
    "nor_conv_1x1": HUES[2],
    "dil_conv_5x5": HUES[3],
    "skip_connect": HUES[4],
    "max_pool_3x3": HUES[5],
    "avg_pool_3x3": HUES[6],
    "tanh": HUES[0],
    "relu": HUES[1],
    "sigmoid": HUES[2],
    "identity": HUES[4],
}


def colours(operations: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Operation -> (colour on light, colour on dark). Unknown ones take, in order, what the known ones leave."""
    taken = {NAMED[name] for name in operations if name in NAMED}
    free = [hue for hue in HUES if hue not in taken] or list(HUES)
    strangers = [name for name in dict.fromkeys(operations) if name not in NAMED]
    return {name: NAMED[name] for name in operations if name in NAMED} | {
        name: free[position % len(free)] for position, name in enumerate(strangers)
    }
