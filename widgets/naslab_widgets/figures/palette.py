"""Colours of operations, the same in every picture, also distinguishable for colour-blind readers.

The hues began as those of Okabe and Ito (https://jfly.uni-koeln.de/color/). They were moved apart until any two of them
differ by more than 20 (CIE 1976 colour difference), also in simulated protanopia, deuteranopia and tritanopia (Machado,
Oliveira and Fernandes 2009), on light and on dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Sequence

GREY = ("#585858", "#757575")
HUES: tuple[tuple[str, str], ...] = (
    ("#169a5d", "#00b674"),
    ("#bf4c00", "#da641e"),
    ("#015cc8", "#5589f6"),
    ("#b675a9", "#c7a5b5"),
    ("#f09216", "#ff9a14"),
    ("#40c5ff", "#92deff"),
    ("#441200", "#ffff3d"),
)
"""(colour on a light background, colour on a dark one)."""

RUNS: tuple[tuple[str, str], ...] = (
    ("#24292f", "#f0f3f6"),
    ("#c2188f", "#ff5fc4"),
    ("#5a1e6e", "#d9b8ff"),
    ("#8a94a0", "#8b98a5"),
    ("#b8005c", "#ffc2dd"),
    ("#8250df", "#b388ff"),
)
"""Colours of everything but operations: searches, curves of a chart, origins of candidates. They are ink, greys, pinks
and violets, so that each hue of `HUES` means an operation; dashes or shapes distinguish them as well."""

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
    """Returns operation -> (colour on light, colour on dark); unknown operations take the free hues in order."""
    taken = {NAMED[name] for name in operations if name in NAMED}
    free = [hue for hue in HUES if hue not in taken] or list(HUES)
    strangers = [name for name in dict.fromkeys(operations) if name not in NAMED]
    return {name: NAMED[name] for name in operations if name in NAMED} | {
        name: free[position % len(free)] for position, name in enumerate(strangers)
    }


def of_runs(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Returns name -> (colour on light, colour on dark) for names of searches, curves and origins, in order."""
    return {name: RUNS[place % len(RUNS)] for place, name in enumerate(names)}
