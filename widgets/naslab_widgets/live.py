"""The view in the browser: one canvas-and-SVG widget, fed with rows of float32.

The browser says `hello` when it starts to look (a page load, a second view, a lost message) and gets everything there
is as one snapshot; from then on each message holds the rows since the last one, at most `hz` messages a second. Twice a
second it acknowledges what it has drawn; with `WINDOW` messages not drawn yet nothing is sent, and the rows gather
here. Nothing is sent, and nothing waits, while nobody looks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from naslab.events import Changed, Event, Measured, Recovered, SupernetStep
from naslab_widgets.figures import cell, mixture, svg
from naslab_widgets.figures.alphas import POINTS, draw_alphas, edge_labels, thinned
from naslab_widgets.rows import History, RowFormat

WINDOW = 15
"""Messages that may be on their way without an acknowledgement: 1.5 s of them, and the browser answers every 0.5 s."""
LOG_LINES = 4
STATIC = Path(__file__).parent / "static"
SCRIPTS = ("shared.js", "alpha.js", "cell.js", "curves.js", "live.js")


class LiveView(anywidget.AnyWidget):
    """Shows the supernet steps it is given. `take` and `publish` may be called from any thread."""

    _esm = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)
    _css = (STATIC / "live.css").read_text(encoding="utf-8")
    description = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        space: Any,
        *,
        poke: Callable[[], None],
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            poke: called, at no cost, when the browser has asked for something: `publish` is then due.
        """
        self._format = RowFormat(space)
        super().__init__(description=self._format.description())
        self._poke, self._period, self._clock = poke, 1 / hz, clock
        self._lock = threading.Lock()
        self.listening = False
        """Whether a front end has asked for the view."""
        self._number = self._acknowledged = 0
        self._sent_at, self._sent_status = -math.inf, None
        self.on_msg(self._hear)
        self.clear()

    # --- what happened ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all rows; the browser gets a new snapshot."""
        with self._lock:
            self._history = History(self._format.width)
            self._pending: list[np.ndarray] = []
            self._log: list[dict[str, Any]] = []
            self._marks: list[list[Any]] = []
            self._latest: SupernetStep | None = None
            self._snapshot_due = True

    def take(self, event: Event) -> None:
        """An event, to be shown with the next message."""
        if isinstance(event, SupernetStep):
            row = self._format.row(event)
            with self._lock:
                self._history.append(row)
                self._latest = event
                if not self._snapshot_due and self.listening:
                    self._pending.append(row)
                    if len(self._pending) > 2000:
                        self._pending, self._snapshot_due = [], True
        elif isinstance(event, Changed):
            text = f"{event.name}: {event.old:.4g} → {event.new:.4g}"
            with self._lock:
                self._marks = [*self._marks[-49:], [event.step, text]]
            self.note(event.step, text)
        elif isinstance(event, Measured):
            self.note(event.step, f"{event.name} = {event.value:.5g}")
        elif isinstance(event, Recovered):
            self.note(event.step, event.message)

    def note(self, step: int, text: str, *, error: bool = False) -> None:
        """A line for the log below the pictures."""
        with self._lock:
            self._log = [*self._log[1 - LOG_LINES :], {"step": step, "text": text[:500], "error": error}]

    # --- to the browser --------------------------------------------------------------------------

    def publish(self, status: dict[str, Any]) -> bool:
        """Send what is new, unless it is too early; True if something has to wait for the next call."""
        with self._lock:
            if not self.listening or self._number - self._acknowledged >= WINDOW:
                return False
            latest = self._latest
            status = {
                **status,
                "epoch": latest.epoch if latest else None,
                "rates": dict(latest.rates) if latest else {},
                "log": self._log,
                "marks": self._marks,
            }
            if not (self._snapshot_due or self._pending or status != self._sent_status):
                return False
            now = self._clock()
            if now - self._sent_at < self._period:
                return True
            rows = self._history.rows() if self._snapshot_due else np.array(self._pending, dtype=np.float32)
            kind = "snapshot" if self._snapshot_due else "rows"
            self._pending, self._snapshot_due = [], False
            self._number, self._sent_at, self._sent_status = self._number + 1, now, status
            message = {"type": kind, "number": self._number, "status": status}
            self.send(message, buffers=[rows.astype("<f4").tobytes()])
            return False

    def _hear(self, _: Any, message: Any, buffers: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "hello":
            with self._lock:
                self.listening = self._snapshot_due = True
                self._pending, self._acknowledged = [], self._number
        elif kind == "ack":
            with self._lock:
                self._acknowledged = max(self._acknowledged, int(message.get("number", 0)))
        self._poke()

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
