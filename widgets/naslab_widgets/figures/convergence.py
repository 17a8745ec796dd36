"""Training curves in groups: loss, variance of the gradient and generalisation gap over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from naslab.analysis.generalisation import generalisation_gap
from naslab.analysis.gradient_variance import Watched
from naslab.errors import SpecError
from naslab.markup import hover
from naslab_widgets.figures.themes import INK, line_colours, plain, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TITLES = ("training loss, nats", "variance of the gradient", "test loss - training loss, nats")


def convergence(groups: Mapping[str, Sequence[Watched]]) -> Figure:
    """Returns a figure with a thin line per training run and a thick line for the mean of its group.

    Args:
        groups: name -> training runs, for instance `{"wide": [...], "narrow": [...]}`; each of at least one epoch.
    """
    from plotly.subplots import make_subplots

    if not groups or not all(groups.values()):
        raise SpecError("there is nothing to draw: give at least one group, and one training in each")
    if any(not training.epochs for trainings in groups.values() for training in trainings):
        raise SpecError("every training that is drawn must have run for an epoch at least")
    figure = make_subplots(rows=1, cols=3, subplot_titles=TITLES, horizontal_spacing=0.075)
    colours = line_colours(list(groups))
    for name, trainings in groups.items():
        curves = [_curves(training) for training in trainings]
        for column in range(3):
            for curve in curves:
                _line(figure, column, *curve[column], plain(name), colours[name], thick=len(curves) == 1)
            if len(curves) > 1:
                shortest = min(len(curve[column][0]) for curve in curves)
                mean = np.mean([curve[column][1][:shortest] for curve in curves], axis=0)
                _line(figure, column, curves[0][column][0][:shortest], mean, plain(name), colours[name], thick=True)
    styled(figure, height=370)
    figure.update_annotations(font={"color": INK, "size": 13}, y=1.0)
    figure.update_layout(legend={"y": -0.2, "yanchor": "top"})
    return figure.update_xaxes(title_text="epoch", dtick=1)


def _curves(training: Watched) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns (epochs, values) for each of the three charts; the variance is also measured before the first epoch."""
    gap = generalisation_gap(training.history)
    losses = np.array([epoch.train_loss for epoch in training.history])
    variances = np.array([found.variance for found in training.variances])
    return [(gap.epochs, losses), (np.arange(len(variances)), variances), (gap.epochs, gap.loss)]


def _line(figure: Figure, column: int, x: np.ndarray, y: np.ndarray, name: str, colour: str, *, thick: bool) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers" if thick else "lines",
        name=name,
        legendgroup=name,
        showlegend=thick and column == 0,
        line={"color": colour, "width": 3 if thick else 1},
        marker={"size": 6},
        opacity=1 if thick else 0.45,
        hovertemplate=hover(f"{name}, epoch %{{x}}: %{{y:.3~g}}") if thick else None,
        hoverinfo=None if thick else "skip",
        row=1,
        col=column + 1,
    )
