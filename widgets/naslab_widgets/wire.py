"""The talk with the browser: who looks, what has been drawn, when the next message may go, and what has been said.

The browser says `hello` when it starts to look (a page load, a second view, a lost message) and gets everything there
is as one snapshot; from then on each message holds what is new, at most `hz` messages a second. Twice a
second it acknowledges what it has drawn; with `WINDOW` messages not drawn yet nothing is sent, and the news gather
here. Nothing is sent, and nothing waits, while nobody looks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from naslab.events import Acted, Changed, Event, Measured, Phase, Recovered

WINDOW = 15
"""Messages that may be on their way without an acknowledgement: 1.5 s of them, and the browser answers every 0.5 s."""
LOG_LINES = 4
MARKS = 50


class Wire:
    """Numbers and times of the messages of one view. The view holds its lock around every call."""

    def __init__(self, hz: float, clock: Callable[[], float]) -> None:
        self._period, self._clock = 1 / hz, clock
        self.listening = False
        """Whether a front end has asked for the view."""
        self._number = self._acknowledged = 0
        self._sent_at, self._sent_status = -math.inf, None

    def hear(self, message: Any) -> str | None:
        """What kind of message the browser has sent."""
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "hello":
            self.listening, self._acknowledged = True, self._number
        elif kind == "ack":
            self._acknowledged = max(self._acknowledged, int(message.get("number", 0)))
        return kind

    @property
    def open(self) -> bool:
        """Whether somebody looks, and keeps up."""
        return self.listening and self._number - self._acknowledged < WINDOW

    @property
    def early(self) -> bool:
        """Whether the last message is less than a period ago."""
        return self._clock() - self._sent_at < self._period

    def changed(self, status: dict[str, Any]) -> bool:
        """Whether the status is another than was last sent."""
        return status != self._sent_status

    def next(self, status: dict[str, Any]) -> dict[str, Any]:
        """The head of the message that is now sent."""
        self._number, self._sent_at, self._sent_status = self._number + 1, self._clock(), status
        return {"number": self._number, "status": status}


class Log:
    """The last lines below the pictures, and the steps at which somebody did something."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.marks: list[list[Any]] = []

    def take(self, event: Event) -> None:
        """An event beside the steps; others say nothing here."""
        if isinstance(event, Changed):
            self._mark(event.step, f"{event.name}: {_brief(event.old)} → {_brief(event.new)}")
        elif isinstance(event, Acted):
            told = ", ".join(f"{name}={_brief(value)}" for name, value in event.arguments.items())
            self._mark(event.step, f"{event.name}({told})")
        elif isinstance(event, Phase):
            self._mark(event.step, event.name)
        elif isinstance(event, Measured):
            self.note(event.step, f"{event.name} = {event.value:.5g}")
        elif isinstance(event, Recovered):
            self.note(event.step, event.message)

    def _mark(self, step: int, text: str) -> None:
        self.marks = [*self.marks[1 - MARKS :], [step, text]]
        self.note(step, text)

    def note(self, step: int, text: str, *, error: bool = False) -> None:
        """A line of its own."""
        self.lines = [*self.lines[1 - LOG_LINES :], {"step": step, "text": text[:500], "error": error}]


def _brief(value: Any) -> str:
    """A value of a setting in a line: four digits of a number, JSON of what is longer."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.4g}" if number else value if isinstance(value, str) else json.dumps(value)
