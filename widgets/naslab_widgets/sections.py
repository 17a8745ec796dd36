"""Sections: parts of a page with a state of their own, such as buttons, a form, or the details of one candidate.

A section has two halves. The Python object returns the state that the page shows (`state`) and handles what the user
does there (`on_message`). The JavaScript function of the same name (`static/deck.js` and its neighbours) draws that
state and sends those messages. Sections are independent of one another. A view sends the states of its sections along
with its other messages, each only when it has changed.

Threads: `state` is called by the publisher's thread, without the view's lock; `on_message` by the kernel's main thread.
A section that the search's thread changes as well needs a lock of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from naslab.lazy import keep_old_hooks

HOOKS = {"hear": "on_message"}
"""Earlier name of a method -> its name."""


class Section(ABC):
    """A part of a page with a state of its own."""

    name: ClassVar[str]
    """Name under which the page knows the section."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)

    def about(self) -> dict[str, Any]:
        """Returns the constant description of the section, as JSON; sent once, when a page opens."""
        return {}

    @abstractmethod
    def state(self) -> Any:
        """Returns what the page shows now, as JSON; sent when it differs from the last one. Called in any thread."""

    @property
    def due(self) -> bool:
        """True if `state` will change soon even if nothing more happens, for example because it is rate-limited."""
        return False

    def on_message(self, message: Mapping[str, Any]) -> None:  # noqa: B027 - most sections only show
        """Handle what the user did on the page. Must return quickly; an exception is shown on the page.

        Args:
            message: JSON from the page. Nothing in it has been checked.
        """


keep_old_hooks(Section, HOOKS)  # `__init_subclass__` does not run for the class itself


class Sections:
    """The sections of one view, and the states that the page has of them."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.all = {section.name: section for section in sections}
        self._sent: dict[str, Any] = {}

    def about(self) -> dict[str, Any]:
        """Returns the constant description of each section."""
        return {name: section.about() for name, section in self.all.items()}

    def states(self) -> dict[str, Any]:
        """Returns the current state of each section. Called without the view's lock: a state may ask the view."""
        return {name: section.state() for name, section in self.all.items()}

    @property
    def due(self) -> bool:
        """True if the state of a section will change soon by itself."""
        return any(section.due for section in self.all.values())

    def news(self, states: Mapping[str, Any], fresh: bool) -> dict[str, Any]:
        """Returns the states that the page does not have yet: all of them if `fresh`."""
        return {name: state for name, state in states.items() if fresh or state != self._sent.get(name)}

    def sent(self, news: Mapping[str, Any]) -> None:
        """Record that these states were sent."""
        self._sent |= news

    def on_message(self, message: Mapping[str, Any], complain: Callable[[Exception], None]) -> None:
        """Pass a message to the section that it names; a message without a known name is ignored.

        Args:
            complain: called with the exception that the section raised.
        """
        if not isinstance(name := message.get("section"), str) or (section := self.all.get(name)) is None:
            return
        try:
            section.on_message(message)
        except Exception as error:
            complain(error)
