"""Map of the search space of a table, coloured by utility, with the paths of searches across it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from naslab.analysis.landscape import Landscape
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.markup import hover
from naslab_widgets.figures.oracle import architecture_text
from naslab_widgets.figures.themes import SCALE, gaps, line_colours, plain, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CELLS = (96, 60)
"""Cells of the map, across and down; the architectures within a cell are aggregated."""


def landscape(
    found: Landscape, paths: Mapping[str, Sequence[Architecture]] | None = None, *, cells: tuple[int, int] = CELLS
) -> Figure:
    """Returns the map; the colour of a cell is the mean percentile of the architectures in it.

    `customdata[0]` of a point is the number of its architecture in the table, for a cell that of its best architecture.

    Args:
        paths: name -> architectures that a search evaluated, in order, or only its successive best ones.
    """
    from plotly.graph_objects import Figure

    if not np.isfinite(found.utility).any():
        raise SpecError(f"no architecture of the table has a finite {found.metric}: there is nothing to map")
    space = found.benchmark.space
    percentile = _percentiles(found.utility)
    mean, best, count, across, down = _cells(found.points, percentile, cells)
    texts = np.full(best.shape, "", dtype=object)
    for place in zip(*np.nonzero(count), strict=True):
        texts[place] = architecture_text(found.benchmark.at(int(best[place])), space)
    figure = Figure()
    figure.add_heatmap(
        x=across,
        y=down,
        z=gaps(mean),
        customdata=np.stack([best.astype(object), count.astype(object), texts], axis=2),
        colorscale=SCALE,
        zmin=0,
        zmax=100,
        hoverongaps=False,
        colorbar={"title": {"text": "percentile", "side": "right"}, "thickness": 12, "outlinewidth": 0},
        hovertemplate=hover("%{customdata[1]} here, mean percentile %{z:.0f}; the best:", "%{customdata[2]}"),
        name="map",
    )
    colours = line_colours(list(paths or {}))
    for name, architectures in (paths or {}).items():
        numbers = [found.benchmark.index(architecture) for architecture in architectures]
        if numbers:
            _walk(figure, found, plain(name), numbers, colours[name])
    top = int(np.nanargmax(found.utility))
    figure.add_scatter(
        x=found.points[[top], 0],
        y=found.points[[top], 1],
        mode="markers",
        marker={"symbol": "star", "size": 15, "color": "#ffffff", "line": {"color": "#000000", "width": 1.4}},
        name="the best of all",
        customdata=np.array([[top, architecture_text(found.benchmark.at(top), space)]], dtype=object),
        hovertemplate=hover("the best of all", "%{customdata[1]}"),
    )
    styled(figure, height=480)
    figure.update_xaxes(title_text="first discriminant: bad to good", showgrid=False, range=_ends(across))
    return figure.update_yaxes(title_text="second discriminant", showgrid=False, range=_ends(down))


def _walk(figure: Figure, found: Landscape, title: str, numbers: list[int], colour: str) -> None:
    """Draw the path of one search, its last step larger; the white rim makes it visible on every colour."""
    points, space = found.points[numbers], found.benchmark.space
    sign = -1 if found.benchmark.direction(found.metric) == "min" else 1
    told = hover(f"{title}, step %{{customdata[1]}}: %{{customdata[2]:.4~g}}", "%{customdata[3]}")
    for width, shade, shown in ((4.5, "rgba(255, 255, 255, 0.75)", False), (2.2, colour, True)):
        figure.add_scatter(
            x=points[:, 0],
            y=points[:, 1],
            mode="lines+markers" if shown else "lines",
            line={"color": shade, "width": width},
            marker={
                "size": [6] * (len(numbers) - 1) + [11],
                "color": colour,
                "line": {"color": "#ffffff", "width": 1},
            },
            name=title,
            legendgroup=title,
            showlegend=shown,
            hoverinfo=None if shown else "skip",
            customdata=np.array(
                [
                    [number, i + 1, sign * found.utility[number], architecture_text(found.benchmark.at(number), space)]
                    for i, number in enumerate(numbers)
                ],
                dtype=object,
            ),
            hovertemplate=told if shown else None,
        )


def _percentiles(utility: np.ndarray) -> np.ndarray:
    """Returns percentiles [N] in [0, 100]; NaN stays NaN."""
    known = np.isfinite(utility)
    places = np.full(len(utility), np.nan)
    ordered = np.sort(utility[known])
    places[known] = 100 * np.searchsorted(ordered, utility[known]) / max(1, len(ordered) - 1)
    return np.minimum(places, 100)


def _cells(points: np.ndarray, percentile: np.ndarray, cells: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Returns mean percentile, number of the best, and count, each [Y, X], and the centres of the cells [X], [Y]."""
    known = np.flatnonzero(np.isfinite(percentile))
    edges = [
        np.linspace(points[:, axis].min() - 1e-9, points[:, axis].max() + 1e-9, cells[axis] + 1) for axis in (0, 1)
    ]
    column, row = (np.clip(np.digitize(points[known, axis], edges[axis]) - 1, 0, cells[axis] - 1) for axis in (0, 1))
    place = row * cells[0] + column
    count = np.bincount(place, minlength=cells[0] * cells[1])
    total = np.bincount(place, weights=percentile[known], minlength=cells[0] * cells[1])
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    best = np.full(len(count), -1)
    # In ascending order, so that the last assignment to a cell is its best architecture.
    for at in np.argsort(percentile[known], kind="stable"):
        best[place[at]] = known[at]
    shape = (cells[1], cells[0])
    middles = [(edge[:-1] + edge[1:]) / 2 for edge in edges]
    return mean.reshape(shape), best.reshape(shape), count.reshape(shape), middles[0], middles[1]


def _ends(middles: np.ndarray) -> list[float]:
    slack = 1.5 * (middles[1] - middles[0]) if len(middles) > 1 else 1.0
    return [float(middles[0] - slack), float(middles[-1] + slack)]
