"""The view of a search with a supernet: one canvas-and-SVG widget, fed with rows of float64 (`naslab_widgets.wire`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from naslab.events import Event, SupernetStep
from naslab.immutable import FrozenDict
from naslab.quantities import Quantity
from naslab_widgets.deck import Section, Sections
from naslab_widgets.figures import cell, mixture, svg
from naslab_widgets.figures.alphas import POINTS, draw_alphas, edge_labels, thinned
from naslab_widgets.moments import AROUND, Recall
from naslab_widgets.page import PageWidget
from naslab_widgets.rows import History, RowFormat
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.wire import Log, Wire, in_force


class LiveView(PageWidget):
    """Shows the supernet steps it is given. `take` and `publish` may be called from any thread."""

    _esm = bundle("live.js")
    _css = styles("live.css", "sheet.css")

    def __init__(
        self,
        space: Any,
        *,
        poke: Callable[[], None],
        panel: str = "",
        metrics: Mapping[str, Quantity] = FrozenDict({}),
        notes: Sequence[str] = (),
        recall: Recall = lambda first, last: (),
        sections: Sequence[Section] = (),
        complain: Callable[[Exception], None] = lambda error: None,
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            panel: the name under which the widgets of one panel find one another on the page.
            metrics: of the search, from which its charts follow.
            notes: what is to be said of the task.
            recall: gives the events of the steps from a first to a last, for who looks back to them.
            sections: what else one can look at or do in the pictures, as of a `Deck`.
            complain: told what a section raised.
            poke: called, at no cost, when the browser has asked for something: `publish` is then due.
        """
        self._format = RowFormat(space, metrics)
        self._sections, self._complain = Sections(sections), complain
        told = {"panel": panel, "notes": list(notes), "sections": self._sections.about()}
        super().__init__(description={**self._format.description(), **told})
        self._poke, self._wire, self._recall = poke, Wire(hz, clock), recall
        self._lock = threading.Lock()
        self.on_msg(self._hear)
        self.clear()

    @property
    def listening(self) -> bool:
        """Whether a front end has asked for the view."""
        return self._wire.listening

    # --- what happened ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all rows; the browser gets a new snapshot."""
        with self._lock:
            self._history = History(self._format.width)
            self._pending: list[np.ndarray] = []
            self._log = Log(self._format.metrics)
            self._latest: SupernetStep | None = None
            self._snapshot_due = True

    def take(self, *events: Event) -> None:
        """Events, to be shown with the next message."""
        for event in events:
            if not isinstance(event, SupernetStep):
                with self._lock:
                    self._log.take(event)
                continue
            row = self._format.row(event)
            with self._lock:
                self._history.append(row)
                self._latest = event
                if not self._snapshot_due and self.listening:
                    self._pending.append(row)
                    if len(self._pending) > 2000:
                        self._pending, self._snapshot_due = [], True

    def note(self, step: int, text: str, *, error: bool = False) -> None:
        """A line for the log below the pictures."""
        with self._lock:
            self._log.note(step, text, error=error)

    def standing(self) -> dict[str, Any]:
        """What the line above the pictures says beside how far the search is."""
        latest = self._latest
        return {"epoch": latest.epoch, "rates": in_force(latest.settings)} if latest else {"epoch": None, "rates": {}}

    # --- to the browser --------------------------------------------------------------------------

    def publish(self, status: dict[str, Any]) -> bool:
        """Send what is new, unless it is too early; True if something has to wait for the next call."""
        sections = self._sections.states() if self._wire.open else {}
        with self._lock:
            if not self._wire.open:
                return False
            news = self._sections.news(sections, self._snapshot_due)
            status = {
                **status,
                "log": self._log.lines,
                "marks": self._log.marks,
                "measured": self._log.measured,
            }
            if not (self._snapshot_due or self._pending or news or self._wire.changed(status)):
                return False
            if self._wire.early:
                return True
            rows = self._history.rows() if self._snapshot_due else np.array(self._pending)
            kind = "snapshot" if self._snapshot_due else "rows"
            self._pending, self._snapshot_due = [], False
            self._sections.sent(news)
            self.tell({"type": kind, "sections": news, **self._wire.next(status)}, [rows])
            return False

    def _hear(self, _: Any, message: Any, buffers: Any) -> None:
        with self._lock:
            kind = self._wire.hear(message)
            if kind == "hello":
                self._pending, self._snapshot_due = [], True
        if kind == "moment":
            self._answer(message.get("step"))
        if kind == "section":
            self._sections.hear(message, self._complain)
        self._poke()

    def _answer(self, step: Any) -> None:
        """Somebody looks back to a step that the page has not kept: that one, and those around it."""
        if type(step) is int:
            events = self._recall(step - AROUND, step + AROUND)
            rows = [self._format.row(event) for event in events if isinstance(event, SupernetStep)]
            self.tell({"type": "moment", "step": step}, [np.array(rows).reshape(len(rows), self._format.width)])

    # --- without a browser -----------------------------------------------------------------------

    def picture(self) -> svg.Drawing:
        """The curves and the cells as they stand, as a static SVG."""
        with self._lock:
            rows, latest = self._history.rows(), self._latest
        space, labels = self._format.space, edge_labels(self._format.space)
        if latest is None:
            return cell(space.supergraph())
        rows = np.stack(thinned(list(rows), POINTS))
        curves = draw_alphas(rows[:, 0], self._format.curves(rows), labels, self._format.operations)
        return svg.stacked(cell(mixture(space, latest.probabilities, space.one_hot(latest.best))), curves)
