"""Oracle mode: the true rank and regret of each candidate of one search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from naslab.analysis.oracle import Oracle
from naslab.markup import BREAK, hover
from naslab_widgets.figures.themes import INK, LINES, plain, styled

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def oracle(found: Oracle, *, space: Any = None) -> Figure:
    """Returns a figure of the true rank (above) and regret (below) of each candidate and of the searcher's best so far.

    `customdata[0]` of a point is the index of its candidate in `found.architectures`; on the line that of the best.

    Args:
        space: search space; its `format`, if it has one, gives the hover text in the benchmark's notation.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    query = np.arange(1, len(found.rank) + 1)
    failed = np.isnan(found.fitness)
    texts = [architecture_text(architecture, space) for architecture in found.architectures]
    told = list(zip(texts, found.rank.tolist(), found.regret.tolist(), strict=True))
    customdata = np.array([(number, *row) for number, row in enumerate(told)], dtype=object)
    of_best = np.array([(i, *told[i]) if i >= 0 else (None, "", None, None) for i in found.best.tolist()], dtype=object)
    top = ("%{customdata[1]}", f"rank %{{customdata[2]:,}} of {found.size:,}, regret %{{customdata[3]:.3f}}")
    for row, (values, title) in enumerate(((found.rank, "true rank"), (found.regret, "true regret")), start=1):
        for which, name, marker in (
            (~failed, "candidate", {"color": LINES[5], "size": 5, "opacity": 0.75}),
            (failed, "failed", {"color": INK, "size": 6, "symbol": "x-thin", "line": {"width": 1.4, "color": INK}}),
        ):
            if which.any():
                figure.add_scatter(
                    x=query[which],
                    y=values[which],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=row == 1,
                    marker=marker,
                    customdata=customdata[which],
                    hovertemplate=hover("query %{x}", *top),
                    row=row,
                    col=1,
                )
        figure.add_scatter(
            x=query,
            y=found.of_best(values),
            mode="lines",
            line={"color": LINES[1], "width": 2.2, "shape": "hv"},
            name="best so far according to the searcher",
            legendgroup="best",
            showlegend=row == 1,
            customdata=of_best,
            hovertemplate=hover("best after %{x}", *top),
            row=row,
            col=1,
        )
        figure.update_yaxes(title_text=title, row=row, col=1)
    styled(figure, height=460)
    ticks = [tick for tick in (1, 10, 100, 1000, 10_000, 100_000) if tick <= found.size]
    figure.update_yaxes(type="log", autorange="reversed", tickvals=ticks, row=1, col=1)
    figure.update_yaxes(ticktext=[f"{tick:,}" for tick in ticks], row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=2, col=1)
    return figure.update_xaxes(title_text="query", row=2, col=1)


def architecture_lines(architecture: Any, space: Any = None) -> list[str]:
    """Returns an architecture in the notation of `space.format`, or else its choices, as at most twelve lines."""
    form = getattr(space, "format", None)
    text = str(form(architecture)) if form else ", ".join(map(str, architecture.choices))
    lines = text.replace("+|", "+\n|").split("\n") if form else [text[i : i + 80] for i in range(0, len(text), 80)]
    return lines[:12]


def architecture_text(architecture: Any, space: Any = None) -> str:
    """Returns the lines as one text for Plotly."""
    return BREAK.join(map(plain, architecture_lines(architecture, space)))
