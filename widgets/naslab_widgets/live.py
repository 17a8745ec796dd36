"""`LiveView`: the cells, curves and heat maps of a gradient-based search, live.

The page gets one row of float64 per step (`naslab_widgets.rows`) and draws it as SVG and on canvases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from naslab.events import Event, SupernetStep
from naslab.immutable import FrozenDict
from naslab.quantities import Quantity
from naslab_widgets.figures import cell, mixture, svg
from naslab_widgets.figures.alphas import POINTS, draw_alphas, edge_labels, thinned
from naslab_widgets.moments import AROUND
from naslab_widgets.rows import History, RowFormat
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.sections import Section
from naslab_widgets.stream import Message, StreamView
from naslab_widgets.wire import Log, in_force


class LiveView(StreamView):
    """Shows the steps of a supernet."""

    _esm = bundle("live.js")
    _css = styles("live.css", "sheet.css")

    def __init__(
        self,
        space: Any,
        *,
        metrics: Mapping[str, Quantity] = FrozenDict({}),
        notes: Sequence[str] = (),
        sections: Sequence[Section] = (),
        **options: Any,
    ) -> None:
        """
        Args:
            space: the search space.
            metrics: metrics of the search, which determine the charts.
            notes: caveats of the task, shown beside the results.
            sections: further parts of the page, such as the sheet of an edge.
            options: as of `StreamView`.
        """
        self._format = RowFormat(space, metrics)
        described = {**self._format.description(), "notes": list(notes)}
        super().__init__(described, sections=sections, **options)

    # --- what happened ---------------------------------------------------------------------------

    def _forget(self) -> None:
        self._history = History(self._format.width)
        self._log = Log(self._format.metrics)
        self._latest: SupernetStep | None = None

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, SupernetStep):
                row = self._format.row(event)
                self._history.append(row)
                self._queue([row])
                self._latest = event
            else:
                self._log.take(event)

    def note(self, step: int, text: str, *, error: bool = False) -> None:
        """Add a line to the log below the pictures. Any thread."""
        with self._lock:
            self._log.note(step, text, error=error)

    def standing(self) -> dict[str, Any]:
        """Returns what the status line shows besides the progress: epoch and settings."""
        latest = self._latest
        return {"epoch": latest.epoch, "rates": in_force(latest.settings)} if latest else {"epoch": None, "rates": {}}

    # --- to the browser --------------------------------------------------------------------------

    def _status(self, status: dict[str, Any]) -> dict[str, Any]:
        return {**status, **self._log.status}

    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        if fresh:
            return {"type": "snapshot"}, [self._history.rows()]
        return {"type": "rows"}, [np.array(self._queued[0])]

    def _look_back(self, step: int) -> Message:
        """Returns the rows of a step and of those around it."""
        events = self._recall(step - AROUND, step + AROUND)
        rows = [self._format.row(event) for event in events if isinstance(event, SupernetStep)]
        return {}, [np.array(rows).reshape(len(rows), self._format.width)]

    # --- without a browser -----------------------------------------------------------------------

    def picture(self) -> svg.Drawing:
        """Returns the current cells and curves as a static SVG."""
        with self._lock:
            rows, latest = self._history.rows(), self._latest
        space, labels = self._format.space, edge_labels(self._format.space)
        if latest is None:
            return cell(space.supergraph())
        rows = np.stack(thinned(list(rows), POINTS))
        curves = draw_alphas(rows[:, 0], self._format.curves(rows), labels, self._format.operations)
        return svg.stacked(cell(mixture(space, latest.probabilities, space.one_hot(latest.best))), curves)
