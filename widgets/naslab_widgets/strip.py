"""The buttons of a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import SpecError, among, unknown
from naslab_widgets.deck import Section


class Strip(Section):
    """Play, pause and step whatever has these methods, and a `state`."""

    name = "strip"

    def __init__(self, driven: Any) -> None:
        self._driven = driven

    def state(self) -> dict[str, Any]:
        return {"can": possible(self._driven.state)}

    def hear(self, message: Mapping[str, Any]) -> None:
        if (name := message.get("do")) in ("play", "pause", "step"):
            getattr(self._driven, name)()


def possible(state: str) -> list[str]:
    """What does something in this state."""
    if state in ("stopped", "finished"):
        return []
    return ["pause"] if state == "running" else ["play", "step"]


class Choice(Section):
    """One of several, of which the others can be taken at any time.

    Args:
        title: what is chosen, in words.
        options: each with what it means.
        changed: told the new value.
    """

    name = "choice"

    def __init__(self, title: str, options: Mapping[str, str], value: str, changed: Callable[[str], None]) -> None:
        if not among(value, options):
            raise SpecError(unknown(title, value, options))
        self._title, self._options, self._changed = title, dict(options), changed
        self._value = value

    @property
    def value(self) -> str:
        return self._value

    @value.setter
    def value(self, value: str) -> None:
        if value != self._value:
            self._value = value
            self._changed(value)

    def about(self) -> dict[str, Any]:
        return {"title": self._title, "options": [[name, told] for name, told in self._options.items()]}

    def state(self) -> str:
        return self._value

    def hear(self, message: Mapping[str, Any]) -> None:
        if isinstance(value := message.get("value"), str) and value in self._options:
            self.value = value
