"""Flow control of the messages to a page (`FlowControl`), and the log lines below the pictures (`Log`).

A page sends `hello` when it opens (a page load, a second view, a lost message) and gets one snapshot; from then on each
message holds what is new, at most `hz` a second. Twice a second the page acknowledges what it has drawn; with `WINDOW`
unacknowledged messages nothing is sent until it catches up. Nothing is sent or queued while no page is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from naslab.events import Acted, Changed, Event, Measured, Phase, Ranked, Recovered
from naslab_widgets.figures.charts import words
from naslab_widgets.figures.sampled import Sampled

WINDOW = 15
"""Unacknowledged messages allowed: 1.5 s of them at 10 Hz, while the page acknowledges every 0.5 s."""
LOG_LINES = 4
MARKS = 50
MOST_MEASURED = 400
"""Maximum number of points of a metric that is measured at the end of an epoch."""
BRIEF = 120
"""Maximum number of characters of a setting in a log line."""


class FlowControl:
    """Sequence numbers, acknowledgements and rate limit of one view. The view holds its lock around every call."""

    def __init__(self, hz: float, clock: Callable[[], float]) -> None:
        self._period, self._clock = 1 / hz, clock
        self.listening = False
        """True once a page has shown the view."""
        self._number = self._acknowledged = 0
        self._sent_at, self._sent_status = -math.inf, None

    def on_message(self, kind: str, message: Mapping[str, Any]) -> None:
        """Handle a message from the page; only types "hello" and "ack" concern flow control."""
        if kind == "hello":
            self.listening, self._acknowledged = True, self._number
        elif kind == "ack" and type(number := message.get("number")) is int and number <= self._number:
            self._acknowledged = max(self._acknowledged, number)

    @property
    def open(self) -> bool:
        """True if a page is open and does not lag."""
        return self.listening and self._number - self._acknowledged < WINDOW

    @property
    def early(self) -> bool:
        """True if the last message was sent less than a period ago."""
        return self._clock() - self._sent_at < self._period

    def changed(self, status: dict[str, Any]) -> bool:
        """True if the status differs from the one sent last."""
        return status != self._sent_status

    def next(self, status: dict[str, Any]) -> dict[str, Any]:
        """Returns the number and status of the message to send, and records that it is sent."""
        self._number, self._sent_at, self._sent_status = self._number + 1, self._clock(), status
        return {"number": self._number, "status": status}


class Log:
    """The last log lines below the pictures, and the steps at which a setting was changed or an action was done.

    Args:
        charted: metrics that have a chart: their measurements are points there instead of log lines.
    """

    def __init__(self, charted: Collection[str] = ()) -> None:
        self.lines: list[dict[str, Any]] = []
        self.marks: list[list[Any]] = []
        """List of [step, description of the change before it]."""
        self._charted = charted
        self._measured: dict[str, Sampled] = {}

    def take(self, event: Event) -> None:
        """Record an event beside the steps; other events are ignored."""
        if isinstance(event, Changed | Acted | Phase):
            self._mark(event.step, describe(event))
        elif isinstance(event, Measured):
            if event.name in self._charted:
                self._measured.setdefault(event.name, Sampled(MOST_MEASURED)).extend([[event.step, event.value]])
            else:
                self.note(event.step, describe(event))
        elif isinstance(event, Recovered):
            self.note(event.step, describe(event))

    @property
    def measured(self) -> dict[str, list[list[float]]]:
        """Metric -> (step, value) of each measurement, thinned."""
        return {name: list(points.kept) for name, points in self._measured.items()}

    @property
    def status(self) -> dict[str, Any]:
        """The log as part of the status of a message."""
        return {"log": self.lines, "marks": self.marks, "measured": self.measured}

    def _mark(self, step: int, text: str) -> None:
        self.marks = [*self.marks[1 - MARKS :], [step, text[:500]]]
        self.note(step, text)

    def note(self, step: int, text: str, *, error: bool = False) -> None:
        """Add a log line."""
        self.lines = [*self.lines[1 - LOG_LINES :], {"step": step, "text": text[:500], "error": error}]


def describe(event: Event) -> str:
    """Returns a short description of an event beside the steps."""
    if isinstance(event, Changed):
        return f"{event.name}: {brief(event.old)} → {brief(event.new)}"
    if isinstance(event, Acted):
        told = _listed(event.arguments)
        return f"{words(event.name)}: {told}" if told else words(event.name)
    if isinstance(event, Phase):
        told = _listed(event.settings)
        return f"{words(event.name)} ({told})" if told else words(event.name)
    if isinstance(event, Measured):
        return f"{event.name} = {event.value:.5g}"
    if isinstance(event, Ranked):
        tau = "" if event.kendall is None else f", Kendall's tau {event.kendall[0]:.2f}"
        return f"{len(event.numbers):,} architectures ranked by the shared weights{tau}"
    return event.message if isinstance(event, Recovered) else event.kind.replace("_", " ")


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {brief(value)}" for name, value in settings.items())


def brief(value: Any) -> str:
    """Returns the value of a setting (JSON) as readable text: "0.025", "on", "2: skip_connect, none; 5: sep_conv_3x3",
    or "nothing" for an empty mask.
    """
    text = _brief(value)
    return text if len(text) <= BRIEF else f"{text[: BRIEF - 1]}…"


def _brief(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_brief(one)}" for name, one in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(map(_brief, value)) or "nothing"
    return "nothing" if value is None else str(value)


def in_force(settings: Mapping[str, Any]) -> dict[str, float | str]:
    """Returns the settings for the line above the pictures: numbers unchanged, other values as text."""
    numbers = (int, float)
    return {
        name: value if isinstance(value, numbers) and not isinstance(value, bool) else brief(value)
        for name, value in settings.items()
    }
