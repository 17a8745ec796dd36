"""What stands above the pictures: the controls of a panel, in sections that know nothing of one another.

A section is a Python object that says what the page shows of it (`state`), hears what was done there (`hear`), and a
function of its name in `static/deck.js` that draws the one and sends the other. All sections share one
widget, and so one message at most `hz` times a second, with those that have changed.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from naslab.errors import NaslabError
from naslab_widgets.page import PageWidget
from naslab_widgets.scripts import bundle, styles
from naslab_widgets.wire import Wire


class Section(ABC):
    """A part of the deck."""

    name: ClassVar[str]
    """By which the page knows it."""

    def about(self) -> dict[str, Any]:
        """What the page must know from the beginning, which never changes."""
        return {}

    @abstractmethod
    def state(self) -> Any:
        """What the page shows now, as JSON; sent when it is another than before. Any thread."""

    @property
    def due(self) -> bool:
        """Whether `state` holds something back that it will tell soon, also if nothing more happens."""
        return False

    def hear(self, message: Mapping[str, Any]) -> None:  # noqa: B027 - most sections only show
        """Something was done on the page. It must not take long; what it raises is shown there."""


class Sections:
    """Those that one widget shows, and what it has told of them."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.all = {section.name: section for section in sections}
        self._sent: dict[str, Any] = {}

    def about(self) -> dict[str, Any]:
        """What the page must know of each from the beginning."""
        return {name: section.about() for name, section in self.all.items()}

    def states(self) -> dict[str, Any]:
        """All of them now; the widget need not hold its lock."""
        return {name: section.state() for name, section in self.all.items()}

    @property
    def due(self) -> bool:
        """Whether one of them has more to tell soon."""
        return any(section.due for section in self.all.values())

    def news(self, states: Mapping[str, Any], fresh: bool) -> dict[str, Any]:
        """Those that the page does not know yet; a fresh page knows none."""
        return {name: state for name, state in states.items() if fresh or state != self._sent.get(name)}

    def sent(self, news: Mapping[str, Any]) -> None:
        """They were sent."""
        self._sent |= news

    def hear(self, message: Mapping[str, Any], complain: Callable[[Exception], None]) -> None:
        """A message from the page for one of them; others say nothing here."""
        if not isinstance(name := message.get("section"), str) or (section := self.all.get(name)) is None:
            return
        try:
            section.hear(message)
        except Exception as error:
            complain(error)


class Deck(PageWidget):
    """Shows its sections, and how far the search is. `publish` may be called from any thread."""

    _esm = bundle("deck.js")
    _css = styles("live.css", "deck.css", "before.css", "branches.css", "ledger.css")

    def __init__(
        self,
        sections: Sequence[Section],
        *,
        poke: Callable[[], None],
        panel: str = "",
        complain: Callable[[Exception], None] = lambda error: None,
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            panel: the name under which the widgets of one panel find one another on the page.
            poke: called, at no cost, when the browser has asked for something: `publish` is then due.
            complain: told what a section raised.
        """
        self._sections = Sections(sections)
        super().__init__(description={"panel": panel, "sections": self._sections.about()})
        self._poke, self._complain, self._wire = poke, complain, Wire(hz, clock)
        self._lock = threading.Lock()
        self._fresh = True
        self._refused = ""
        """Why what the page asked for last was not done."""
        self.on_msg(self._hear)

    @property
    def sections(self) -> dict[str, Section]:
        return self._sections.all

    @property
    def listening(self) -> bool:
        """Whether a front end has asked for it."""
        return self._wire.listening

    def publish(self, status: dict[str, Any]) -> bool:
        """Send what is new, unless it is too early; True if something has to wait for the next call."""
        if not self._wire.open:
            return False
        told = self._sections.states()
        if self._refused and not status.get("message"):
            status = {**status, "message": self._refused}
        with self._lock:
            news = self._sections.news(told, self._fresh)
            if not (self._fresh or news or self._wire.changed(status)):
                return False
            if self._wire.early:
                return True
            self._sections.sent(news)
            fresh, self._fresh = self._fresh, False
            self.tell({"type": "deck", "fresh": fresh, "sections": news, **self._wire.next(status)})
            return False

    def _hear(self, _: Any, message: Any, buffers: Any) -> None:
        with self._lock:
            kind = self._wire.hear(message)
            if kind == "hello":
                self._fresh = True
        if kind == "section":
            self._refused = ""
            self._sections.hear(message, self._refuse)
        self._poke()

    def _refuse(self, error: Exception) -> None:
        """The log below the pictures tells it, too, but may be out of sight."""
        self._refused = str(error) if isinstance(error, NaslabError) else f"{type(error).__name__}: {error}"
        self._complain(error)
