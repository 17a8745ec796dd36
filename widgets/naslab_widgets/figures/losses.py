"""Losses and accuracies of a search, for study afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from naslab.events import Changed, Event, SupernetStep

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TRAIN, VALID = "#0072b2", "#d55e00"


def losses(events: Iterable[Event]) -> Figure:
    """A Plotly figure: loss above, accuracy below, a dashed line where a knob was turned."""
    from plotly.subplots import make_subplots

    events = list(events)
    steps = [event for event in events if isinstance(event, SupernetStep)]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, quantity in enumerate(("loss", "accuracy"), start=1):
        for half, colour in (("train", TRAIN), ("valid", VALID)):
            figure.add_scatter(
                x=[event.step for event in steps],
                y=[getattr(event, f"{half}_{quantity}", None) for event in steps],
                name=f"{half} {quantity}",
                mode="lines",
                line={"color": colour, "width": 1.5},
                row=row,
                col=1,
            )
        figure.update_yaxes(title_text=quantity, row=row, col=1)
    for event in events:
        if isinstance(event, Changed):
            figure.add_vline(x=event.step, line_dash="dot", line_color="grey")
    figure.update_xaxes(title_text="step", row=2, col=1)
    return figure.update_layout(template="plotly_white", height=420, margin={"t": 20, "r": 20, "b": 40, "l": 60})
