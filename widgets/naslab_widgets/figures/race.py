"""A race: statistics over the seeds of each searcher, along the budget."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from naslab.analysis.curves import Band
from naslab.errors import SpecError, among, unknown
from naslab.markup import hover
from naslab.quantities import FITNESS, Objective
from naslab_widgets.figures.axis import powers, widened
from naslab_widgets.figures.charts import with_unit, words
from naslab_widgets.figures.themes import empty_figure, gaps, line_colours, plain, styled, translucent

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SHADES = {"quartiles": ("median", "lower", "upper"), "interval": ("mean", "low", "high")}
KINDS = ("best", "regret", "rank")
"""Kinds of curves of `Race.bands`."""


def title_of(kind: str, objective: Objective = FITNESS) -> str:
    """Returns the axis title of a kind of curve."""
    if kind == "rank":
        return "true rank of the best so far"
    what = words(objective.name) if kind == "best" else "regret"
    return with_unit(f"{what} of the best so far", objective.unit)


def as_measured(bands: Mapping[str, Band], kind: str, objective: Objective) -> dict[str, Band]:
    """Converts bands of `race.bands(kind)`, in which more is better, to the direction and unit of the objective.

    For an objective that is minimized the sign changes, and lower and upper ends change places.
    """
    scale = 1.0 if kind == "rank" else objective.scale
    if kind == "best" and objective.sign < 0:
        bands = {
            name: band._replace(low=band.high, high=band.low, lower=band.upper, upper=band.lower)
            for name, band in bands.items()
        }
        scale = -scale
    if scale == 1:
        return dict(bands)
    values = ("mean", "low", "high", "median", "lower", "upper")
    return {
        name: band._replace(**{each: scale * getattr(band, each) for each in values}) for name, band in bands.items()
    }


def race(
    bands: Mapping[str, Band],
    *,
    shade: Literal["quartiles", "interval"] = "quartiles",
    log: bool = False,
    log_budget: bool = True,
    y: str | None = None,
    x: str = "evaluations",
    objective: Objective | None = None,
) -> Figure:
    """Returns a figure with a line and a band per searcher.

    Args:
        bands: name -> band, for instance `race.bands("regret")`.
        shade: "quartiles" draws the median and the interquartile range over the seeds, which show how a single run will
            go; "interval" the mean and its 95 % interval, which show how well the mean is known.
        log: logarithmic y axis, for regrets; 0 is drawn at the bottom.
        log_budget: logarithmic x axis.
        y, x: titles of the axes; by default y is the objective of the best so far.
        objective: objective of the bands of `race.bands("best")` (`race.objective`): they are then drawn in its
            direction and unit.
    """
    from plotly.graph_objects import Figure

    figure = Figure()
    if objective is not None:
        bands = as_measured(bands, "best", objective)
    colours = line_colours(list(bands))
    shown = curves(bands, shade)
    floor = zero_line([values for rows in shown.values() for values in rows]) if log else -np.inf
    for name, band in bands.items():
        exact = np.stack([*shown[name], band.seeds], axis=1)
        middle, low, high = (np.maximum(values, floor) for values in shown[name])
        known = np.isfinite(low) & np.isfinite(high)
        # The band is one polygon: forwards along its upper end, backwards along its lower end.
        colour, title = colours[name], plain(name)
        figure.add_scatter(
            x=np.concatenate([band.x[known], band.x[known][::-1]]),
            y=np.concatenate([high[known], low[known][::-1]]),
            fill="toself",
            fillcolor=translucent(colour, 0.18),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=title,
        )
        figure.add_scatter(
            x=band.x,
            y=middle,
            name=title,
            legendgroup=title,
            line={"color": colour, "width": 2.2},
            customdata=np.hstack([np.full((len(exact), 1), None), gaps(exact)]),  # no architecture
            hovertemplate=hover(
                f"{title}: %{{customdata[1]:.4g}} (%{{customdata[2]:.4g}} to %{{customdata[3]:.4g}}, "
                "%{customdata[4]} seeds)"
            ),
        )
    styled(figure).update_layout(hovermode="x unified")
    if why := why_empty(bands):
        return empty_figure(figure, why)
    figure.update_xaxes(title_text=plain(x), type="log" if log_budget else "linear")
    y = title_of("best", objective or FITNESS) if y is None else y
    figure.update_yaxes(title_text=plain(y), type="log" if log else "linear")
    if log:
        most = max(np.nanmax(high, initial=floor) for _, _, high in shown.values())
        marks = powers(floor, max(most, floor))
        marks = marks[marks[:1] == [floor] :]
        figure.update_yaxes(tickvals=[floor, *marks], ticktext=["0", *(f"{mark:g}" for mark in marks)])
    else:
        figure.update_yaxes(range=seen(shown, 1 if objective is None else objective.sign))
    if log_budget:
        ticks = round_numbers(bands)
        figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:,g}" for tick in ticks])
    return figure


def curves(bands: Mapping[str, Band], shade: str) -> dict[str, list[np.ndarray]]:
    """Returns name -> [line, lower end of the band, upper end of the band]."""
    if not among(shade, SHADES):
        raise SpecError(unknown("shade", shade, SHADES))
    return {name: [getattr(band, field) for field in SHADES[shade]] for name, band in bands.items()}


def why_empty(bands: Mapping[str, Band]) -> str:
    """Returns why there is nothing to draw; "" if there is something."""
    if any(np.isfinite(band.median).any() for band in bands.values()):
        return ""
    if any(len(band.x) for band in bands.values()):
        return "no evaluation has succeeded so far"
    return "nothing has been evaluated yet"


def seen(shown: Mapping[str, Sequence[np.ndarray]], sign: int = 1) -> tuple[float, float]:
    """Returns the ends of a linear y axis; the first eighth of the points may be cut off.

    Args:
        sign: -1 if lower is better.
    """
    late = _span([values[len(values) // 8 :] for rows in shown.values() for values in rows])
    every = _span(list(itertools.chain(*shown.values())))
    low, high = (late[0], every[1]) if sign > 0 else (every[0], late[1])
    return widened(low, high, 0.04)


def zero_line(values: Sequence[np.ndarray]) -> float:
    """Returns the value at which 0 is drawn on a logarithmic axis: a third of the least positive value."""
    positive = np.concatenate([column[np.isfinite(column) & (column > 0)] for column in values])
    return (float(positive.min()) / 3 or float(positive.min())) if len(positive) else 1e-3


def _span(values: Sequence[np.ndarray]) -> tuple[float, float]:
    known = np.concatenate([column[np.isfinite(column)] for column in values])
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def round_numbers(bands: Mapping[str, Band]) -> list[float]:
    """Returns ticks 1, 3, 10, 30, ... within the grid of budgets; 1, 2, 5, 10, ... on a short one."""
    grid = np.concatenate([band.x for band in bands.values()])
    grid = grid[grid > 0]
    if not len(grid):
        return []
    first, last = np.floor(np.log10(grid.min())), np.ceil(np.log10(grid.max()))
    found: list[float] = []
    for bases in ((1, 3), (1, 2, 5)):
        ticks = [base * 10.0**power for power in np.arange(first, last + 1) for base in bases]
        found = [tick for tick in ticks if grid.min() * 0.99 <= tick <= grid.max() * 1.01]
        if len(found) > 2:
            break
    return found
