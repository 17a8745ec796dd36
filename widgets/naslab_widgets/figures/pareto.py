"""Several objectives: all candidates and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from naslab.analysis.pareto import Pareto
from naslab.errors import SpecError, unknown
from naslab.markup import hover
from naslab_widgets.figures.themes import INK, LINES, empty_figure, plain, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_POINTS = 4000
"""Maximum number of candidates drawn that are not on the front; more are thinned evenly."""


def pareto(
    found: Pareto,
    *,
    x: str | None = None,
    y: str | None = None,
    texts: Sequence[str] | None = None,
    log_x: bool = False,
) -> Figure:
    """Returns a scatter plot of two objectives with the front as steps; drag a box or a lasso to select points.

    `customdata[0]` of a point is the number of its candidate.

    Args:
        x, y: names of the objectives, by default the second and the first. With three objectives, the front is that of
            all three.
        texts: hover text of each candidate, [N], shown as plain text.
    """
    from plotly.graph_objects import Figure

    names = list(found.objectives)
    if len(names) < 2:
        raise SpecError(f"a picture of a front needs two objectives; there is one, {names[0]!r}")
    x, y = x or names[1], y or names[0]
    for name in (x, y):
        if name not in found.figures:
            raise SpecError(unknown("figure", name, found.figures))
    on_front = np.zeros(len(found.allowed), dtype=bool)
    on_front[found.front] = True
    figure = Figure()
    told = hover("%{customdata[1]}", f"{plain(x)} %{{x:.4~g}}", f"{plain(y)} %{{y:.4~g}}")
    seen = np.isfinite(found.figures[x]) & np.isfinite(found.figures[y])
    for title, which, marker in (
        (
            "beyond the limits",
            seen & ~found.allowed,
            {"color": INK, "size": 4, "opacity": 0.3},
        ),
        ("candidates", seen & found.allowed & ~on_front, {"color": LINES[5], "size": 5, "opacity": 0.55}),
    ):
        numbers = thinned(np.flatnonzero(which))
        if len(numbers):
            figure.add_scatter(**_points(found, numbers, x, y, texts), mode="markers", name=title, marker=marker)
    if len(found.front):
        order = found.front[np.argsort(found.figures[x][found.front], kind="stable")]
        figure.add_scatter(
            **_points(found, order, x, y, texts),
            mode="lines+markers" if len(names) == 2 else "markers",
            line={"color": LINES[1], "width": 1.6, "shape": "hv" if found.objectives.get(x) == "least" else "vh"},
            marker={"color": LINES[1], "size": 8},
            name=f"Pareto front, {len(order)}",
        )
    figure.update_traces(hovertemplate=told, unselected={"marker": {"opacity": 0.12}})
    styled(figure, height=430).update_layout(dragmode="select")
    if not figure.data:
        return empty_figure(figure, found.status or "there is no candidate")
    if found.status:
        figure.add_annotation(
            text=plain(found.status),
            showarrow=False,
            x=1,
            y=0,
            xref="paper",
            yref="paper",
            xanchor="right",
            yanchor="bottom",
        )
    figure.update_xaxes(title_text=plain(x), type="log" if log_x else "linear")
    return figure.update_yaxes(title_text=plain(y))


def thinned(numbers: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """Returns at most `most` of the numbers, evenly spaced."""
    return numbers[np.linspace(0, len(numbers) - 1, most).astype(int)] if len(numbers) > most else numbers


def _points(found: Pareto, numbers: np.ndarray, x: str, y: str, texts: Sequence[str] | None) -> dict:
    labels = [plain(texts[n]) if texts is not None else f"candidate {n}" for n in numbers]
    return {
        "x": found.figures[x][numbers],
        "y": found.figures[y][numbers],
        "customdata": np.array(list(zip(numbers.tolist(), labels, strict=True)), dtype=object).reshape(-1, 2),
    }
