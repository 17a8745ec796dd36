"""Loss surfaces around networks: contours above, a 3D surface below, one column per network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from naslab.analysis.loss_surface import LossSurface
from naslab.errors import SpecError
from naslab.markup import hover
from naslab_widgets.figures.themes import INK, SCALE, gaps, plain, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 720
SEEN = hover("x %{x:.2f}, y %{y:.2f}: loss %{z:.3f}")


def loss_surface(found: LossSurface | Mapping[str, LossSurface], *, ceiling: float | None = None) -> Figure:
    """Returns the surfaces with a common scale of colours and heights. Rows not computed yet, and losses that are not
    finite, are blank.

    Args:
        found: one surface, or name -> surface.
        ceiling: higher losses are clipped to this value; by default 3 nats above the highest centre, or the highest
            loss if that is lower.
    """
    from plotly.subplots import make_subplots

    surfaces = {"": found} if isinstance(found, LossSurface) else dict(found)
    if not surfaces:
        raise SpecError("there is nothing to draw: give at least one surface")
    known = np.concatenate([surface.loss[np.isfinite(surface.loss)] for surface in surfaces.values()])
    centres = [surface.centre for surface in surfaces.values()]
    low = min(centres) if not len(known) else min(*centres, float(known.min()))
    high = max(centres) + 3 if ceiling is None else ceiling
    high = min(high, float(known.max())) if len(known) and ceiling is None else high
    high = max(high, low + 1e-6)
    figure = make_subplots(
        rows=2,
        cols=len(surfaces),
        row_heights=[0.44, 0.56],
        vertical_spacing=0.07,
        subplot_titles=[_title(name, surface) for name, surface in surfaces.items()],
        specs=[[{"type": "xy"}] * len(surfaces), [{"type": "scene"}] * len(surfaces)],
    )
    for column, surface in enumerate(surfaces.values(), start=1):
        heights = gaps(np.minimum(surface.loss, high))
        figure.add_contour(
            x=surface.x,
            y=surface.y,
            z=heights,
            coloraxis="coloraxis",
            contours={"start": low, "end": high, "size": (high - low) / 14, "coloring": "heatmap"},
            line={"width": 0.8, "color": "rgba(255, 255, 255, 0.65)"},
            hovertemplate=SEEN,
            row=1,
            col=column,
        )
        figure.add_scatter(
            x=[0],
            y=[0],
            mode="markers",
            marker={"symbol": "cross-thin", "size": 9, "line": {"width": 2, "color": "#ffffff"}},
            hovertemplate=hover(f"the network: loss {surface.centre:.3f}"),
            showlegend=False,
            row=1,
            col=column,
        )
        figure.add_surface(
            x=surface.x, y=surface.y, z=heights, coloraxis="coloraxis", hovertemplate=SEEN, row=2, col=column
        )
    styled(figure, height=HEIGHT, legend=False)
    figure.update_xaxes(title_text="first direction", showgrid=False, constrain="domain")
    figure.update_yaxes(showgrid=False).update_yaxes(title_text="second direction", col=1)
    axis = {"color": INK, "gridcolor": "rgba(128, 138, 150, 0.3)", "showbackground": False, "title": {"text": ""}}
    figure.update_scenes(
        xaxis=axis,
        yaxis=axis,
        zaxis={**axis, "range": [low, high + 0.02 * (high - low)]},
        aspectratio={"x": 1, "y": 1, "z": 0.7},
        camera={"eye": {"x": 1.45, "y": -1.45, "z": 0.85}, "center": {"x": 0, "y": 0, "z": -0.17}},
    )
    bar = {"title": {"text": "loss, nats", "side": "right"}, "thickness": 12, "outlinewidth": 0}
    figure.update_annotations(font={"color": INK, "size": 13})
    return figure.update_layout(coloraxis={"colorscale": SCALE, "cmin": low, "cmax": high, "colorbar": bar})


def _title(name: str, surface: LossSurface) -> str:
    return plain(": ".join(filter(None, [name, surface.status])))
