"""Metrics of a finished search as Plotly charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from naslab.events import Acted, Changed, ChildTrained, Event, Measured, Phase, SupernetStep
from naslab.quantities import Quantity
from naslab_widgets.figures.charts import COUNT, Chart, charts_of, parted, scale_of
from naslab_widgets.figures.themes import empty_figure, plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TRAIN, VALID = "#0072b2", "#d55e00"
COLOURS = {"train": TRAIN, "valid": VALID}
ROW = 210
"""Height of a chart in pixels."""


def losses(events: Iterable[Event], metrics: Mapping[str, Quantity] | None = None) -> Figure:
    """Returns a chart per metric of the task, the loss first, with a line per split; a dotted line where a setting was
    changed or an action was done, a dashed line where a phase began.

    Args:
        events: events of one search, in order.
        metrics: `search.metrics`, for units and order; without it the metrics have no units.
    """
    from plotly.subplots import make_subplots

    events = list(events)
    steps = [event for event in events if isinstance(event, SupernetStep | ChildTrained)]
    charts = _charts(steps, metrics)
    if not charts:
        from plotly.graph_objects import Figure

        return empty_figure(Figure(), "nothing of a task has been measured yet")
    figure = make_subplots(rows=len(charts), cols=1, shared_xaxes=True, vertical_spacing=0.12 / len(charts))
    for row, chart in enumerate(charts, start=1):
        scale = scale_of(chart.quantity.unit)
        for line in chart.lines:
            split, name = parted(line.metric)
            points = _points(events, line.metric)
            figure.add_scatter(
                x=[step for step, _ in points],
                y=[scale * value for _, value in points],
                name=plain(f"{split} {name}"),
                mode="lines",
                line={"color": COLOURS.get(split), "width": 1.5},
                row=row,
                col=1,
            )
        figure.update_yaxes(title_text=plain(chart.title), row=row, col=1)
    for event in events:
        if isinstance(event, Changed | Acted):
            figure.add_vline(x=event.step, line_dash="dot", line_color="grey")
        elif isinstance(event, Phase):
            text = plain(event.name)
            figure.add_vline(x=event.step, line_dash="dash", line_color="grey", annotation_text=text)
    figure.update_xaxes(title_text="step", row=len(charts), col=1)
    height = ROW * len(charts)
    return figure.update_layout(template="plotly_white", height=height, margin={"t": 20, "r": 20, "b": 40, "l": 60})


def _charts(steps: Iterable[SupernetStep | ChildTrained], metrics: Mapping[str, Quantity] | None) -> list[Chart]:
    """Returns the charts of the task's metrics, which are those of a split."""
    if metrics is None:
        found = [name for event in steps for name in event.metrics]
        ordered = sorted(dict.fromkeys(found), key=lambda name: (not name.endswith("/loss"), name))
        metrics = dict.fromkeys(ordered, Quantity())
    return charts_of({name: known for name, known in metrics.items() if parted(name)[0] not in ("", COUNT)})


def _points(events: Iterable[Event], metric: str) -> list[tuple[int, float]]:
    """Returns (step, value) of each event that has the metric."""
    found = []
    for event in events:
        if isinstance(event, SupernetStep | ChildTrained) and metric in event.metrics:
            found.append((event.step, event.metrics[metric]))
        elif isinstance(event, Measured) and event.name == metric:
            found.append((event.step, event.value))
    return found
