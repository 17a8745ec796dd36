"""Parallel coordinates: each architecture is a line through its choices and metrics; drag along an axis to filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import SpecError, unknown
from naslab_widgets.figures.pareto import thinned
from naslab_widgets.figures.svg import INK as DARK
from naslab_widgets.figures.themes import SCALE, empty_figure, plain, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_LINES = 2000
NOT_ASKED = "–"


def parallel(
    architectures: Sequence[Architecture],
    space: Any,
    figures: Mapping[str, Sequence[float] | np.ndarray],
    *,
    colour: str | None = None,
) -> Figure:
    """Returns a figure with an axis per choice and per metric. `customdata[0]` of a line is its architecture's index.

    Args:
        architectures: N architectures; more than 2,000 are thinned evenly.
        space: their search space.
        figures: metric -> [N]; candidates without a finite value of every metric are left out.
        colour: metric that colours the lines; by default the first.
    """
    from plotly.graph_objects import Figure

    columns = {name: np.asarray(values, dtype=np.float64) for name, values in figures.items()}
    for name, column in columns.items():
        if column.shape != (len(architectures),):
            raise SpecError(f"{name!r} has {column.shape} numbers for {len(architectures)} architectures")
    if not columns:
        raise SpecError("parallel coordinates need at least one figure, as {'test_accuracy': [...]}")
    if colour is not None and colour not in columns:
        raise SpecError(unknown("figure", colour, columns))
    known = np.all([np.isfinite(column) for column in columns.values()], axis=0)
    numbers = thinned(np.flatnonzero(known), MOST_LINES)
    if not len(numbers):
        return empty_figure(styled(Figure(), legend=False), "no candidate has all of the figures")
    answers = [space.answers(architectures[number]) for number in numbers]
    dimensions = [_choice(name, answers) for name in dict.fromkeys(name for row in answers for name in row)]
    dimensions += [{"label": plain(name), "values": column[numbers]} for name, column in columns.items()]
    shade = columns[colour or next(iter(columns))][numbers]
    figure = Figure()
    figure.add_parcoords(
        dimensions=dimensions,
        customdata=numbers[:, None],
        line={"color": shade, "colorscale": SCALE, "showscale": False},
        labelfont={"color": DARK, "size": 11},
        tickfont={"color": DARK, "size": 10},
        rangefont={"color": DARK, "size": 10},
        labelangle=-18,
        labelside="top",
        unselected={"line": {"opacity": 0.04}},
    )
    styled(figure, height=430, legend=False)  # on paper: Plotly gives the labels of these axes a white rim
    return figure.update_layout(margin={"t": 70, "r": 70, "b": 30, "l": 90}, paper_bgcolor="#ffffff")


def _choice(name: str, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the axis of one choice, its options at 0, 1, 2, ..."""
    options = sorted({row.get(name, NOT_ASKED) for row in answers}, key=str)
    place = {option: i for i, option in enumerate(options)}
    return {
        "label": plain(name),
        "values": [place[row.get(name, NOT_ASKED)] for row in answers],
        "tickvals": list(place.values()),
        "ticktext": [plain(option) for option in options],
        "range": [-0.1, max(0.9, len(options) - 0.9)],
    }
