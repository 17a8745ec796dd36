"""How well scores rank architectures: rank against true rank for one score, and Spearman's correlation of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from naslab.analysis.ranking import Ranking
from naslab.errors import SpecError, unknown
from naslab.markup import hover
from naslab_widgets.figures.palette import GREY, HUES
from naslab_widgets.figures.themes import plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CHOSEN, OTHERS, PUBLISHED = HUES[1][0], HUES[2][0], "#24292f"


def ranking(
    scores: Mapping[str, Sequence[float] | np.ndarray],
    truth: Sequence[float] | np.ndarray,
    *,
    shown: str | None = None,
    labels: Sequence[str] | None = None,
    published: Mapping[str, float] | None = None,
    resamples: int = 300,
) -> Figure:
    """Returns a figure: on the left the ranks by one score against the true ranks, on the right a bar per score.

    `customdata[0]` of a point is the number of its architecture.

    Args:
        scores: name -> [N], more is better.
        truth: true objective of the architectures, [N], more is better.
        shown: score on the left; by default the one with the highest Spearman correlation.
        labels: hover text of each point, [N].
        published: name -> published Spearman correlation, drawn as a tick on the bar.
        resamples: number of bootstrap resamples for the intervals.
    """
    from plotly.subplots import make_subplots

    if not scores:
        raise SpecError("there is nothing to draw: give at least one name with its scores")
    top = min(10, len(truth))
    found = {name: Ranking.of(values, truth, top=top, resamples=resamples) for name, values in scores.items()}
    order = sorted(found, key=lambda name: found[name].spearman.value)
    shown = order[-1] if shown is None else shown
    if shown not in found:
        raise SpecError(unknown("score", shown, found))
    chosen = found[shown]
    known = [name for name in order if name in (published or {})]
    titles = (
        f"{plain(shown)}: Kendall's tau {chosen.kendall.value:.2f}, Spearman {chosen.spearman.value:.2f}",
        "Spearman, 95 % intervals" + ("; tick: published" if known else ""),
    )
    figure = make_subplots(rows=1, cols=2, column_widths=[0.5, 0.5], horizontal_spacing=0.16, subplot_titles=titles)
    figure.add_scatter(
        x=ranks(scores[shown]),
        y=ranks(truth),
        mode="markers",
        marker={"color": CHOSEN, "size": 6, "opacity": 0.6},
        customdata=np.arange(len(truth))[:, None],
        text=None if labels is None else [plain(label) for label in labels],
        hovertemplate=hover("%{text}", "rank %{x} by score, %{y} in truth"),
        row=1,
        col=1,
    )
    ends = [1, len(truth)]
    figure.add_scatter(x=ends, y=ends, mode="lines", line={"color": GREY[0], "dash": "dot"}, hoverinfo="skip")
    values = [found[name].spearman for name in order]
    figure.add_bar(
        x=[value.value for value in values],
        y=[plain(name) for name in order],
        orientation="h",
        marker={"color": [CHOSEN if name == shown else OTHERS for name in order]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [value.high - value.value for value in values],
            "arrayminus": [value.value - value.low for value in values],
            "color": GREY[0],
        },
        hovertext=[str(value) for value in values],
        hovertemplate=hover("%{y}: %{hovertext}"),
        row=1,
        col=2,
    )
    if published and known:
        figure.add_scatter(
            x=[published[name] for name in known],
            y=[plain(name) for name in known],
            mode="markers",
            name="published",
            marker={"symbol": "line-ns-open", "size": 16, "color": PUBLISHED, "line": {"width": 2}},
            hovertemplate=hover("%{y}: %{x} published"),
            row=1,
            col=2,
        )
    figure.update_xaxes(title_text="rank by score (1 is the best)", autorange="reversed", row=1, col=1)
    figure.update_yaxes(title_text="true rank", autorange="reversed", row=1, col=1)
    figure.update_yaxes(type="category", row=1, col=2)
    figure.update_layout(template="plotly_white", height=430, showlegend=False, bargap=0.35)
    return figure.update_layout(margin={"t": 40, "r": 20, "b": 50, "l": 60})


def ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns the ranks [N], 1 for the greatest value; equal values have the mean of their ranks."""
    from scipy.stats import rankdata

    return rankdata(-np.asarray(values, dtype=np.float64))
