"""Sections: parts of a page that are no stream of rows, such as buttons, a form, or what is known of one candidate.

A section is a Python object that says what the page shows of it (`state`) and hears what was done there (`hear`); a
JavaScript function of its name draws the one and sends the other. Sections know nothing of one another. All sections of
a view travel in its messages, each when it has changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar


class Section(ABC):
    """A part of a page with a state of its own."""

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
        """True if `state` holds something back that it will show soon, also if nothing more happens."""
        return False

    def hear(self, message: Mapping[str, Any]) -> None:  # noqa: B027 - most sections only show
        """Something was done on the page. It must not take long; what it raises is shown there."""


class Sections:
    """The sections of one view, and what the page already knows of them."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.all = {section.name: section for section in sections}
        self._sent: dict[str, Any] = {}

    def about(self) -> dict[str, Any]:
        """What the page must know of each from the beginning."""
        return {name: section.about() for name, section in self.all.items()}

    def states(self) -> dict[str, Any]:
        """The present state of each; the view need not hold its lock."""
        return {name: section.state() for name, section in self.all.items()}

    @property
    def due(self) -> bool:
        """True if one of them has more to show soon."""
        return any(section.due for section in self.all.values())

    def news(self, states: Mapping[str, Any], fresh: bool) -> dict[str, Any]:
        """The states that the page does not know yet; a fresh page knows none."""
        return {name: state for name, state in states.items() if fresh or state != self._sent.get(name)}

    def sent(self, news: Mapping[str, Any]) -> None:
        """Note that these states were sent."""
        self._sent |= news

    def hear(self, message: Mapping[str, Any], complain: Callable[[Exception], None]) -> None:
        """Pass a message on to the section that it names; one that names none is ignored.

        Args:
            complain: called with what the section raised.
        """
        if not isinstance(name := message.get("section"), str) or (section := self.all.get(name)) is None:
            return
        try:
            section.hear(message)
        except Exception as error:
            complain(error)
