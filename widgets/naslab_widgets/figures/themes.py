"""Common style of the Plotly figures: legible on light and dark backgrounds, and text that stays text.

Plotly interprets some HTML tags in labels and hover texts; `plain` escapes names that come from users.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from naslab.markup import plotly

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INK = "#7b8794"
"""A grey with enough contrast to both white and black."""
GRID = "rgba(128, 138, 150, 0.22)"
LONGEST = 200
"""Maximum number of characters of a name in a legend or a hover text."""
SCALE = ((0.0, "#440154"), (0.25, "#3b528b"), (0.5, "#21918c"), (0.75, "#5ec962"), (1.0, "#fde725"))
"""Viridis: perceptually uniform, also for colour-blind readers."""
TOP = 62
"""Pixels above the axes, for Plotly's mode bar and below it a legend or titles."""
LINES = ("#2080c3", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Hues after Okabe and Ito that are visible on light and dark backgrounds."""


def plain(text: object) -> str:
    """Returns a user's text escaped for Plotly, so that it is never markup."""
    return plotly(text, LONGEST)


def line_colours(names: Sequence[str]) -> dict[str, str]:
    """Returns name -> colour: random searches are always grey, the others take the hues in order."""
    coloured = [name for name in names if "random" not in name.lower()]
    hues = {name: LINES[place % len(LINES)] for place, name in enumerate(coloured)}
    return {name: hues.get(name, "#8c8c8c") for name in names}


def translucent(colour: str, opacity: float) -> str:
    """`#0072b2` -> `rgba(0, 114, 178, 0.2)`."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def gaps(values: np.ndarray) -> np.ndarray:
    """Returns the numbers with None for non-finite values, which JSON cannot represent."""
    blank = values.astype(object)
    blank[~np.isfinite(values)] = None
    return blank


def styled(figure: Figure, *, height: int = 380, legend: bool = True) -> Figure:
    """Returns the figure in naslab's style: transparent background, grey text and grid."""
    axes = {"gridcolor": GRID, "zeroline": False, "linecolor": INK, "ticks": "outside", "tickcolor": GRID}
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"color": INK, "size": 12},
        margin={"t": TOP, "r": 20, "b": 48, "l": 64},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": INK},
        hoverlabel={"align": "left"},
    )
    return figure.update_xaxes(**axes).update_yaxes(**axes)


def empty_figure(figure: Figure, text: str) -> Figure:
    """Returns the figure with a text in place of its axes, the reason why it is empty."""
    figure.add_annotation(text=plain(text), showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure
