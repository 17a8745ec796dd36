"""The buttons of a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import SpecError, among, unknown
from naslab.runs import conditions
from naslab.runs.steering import Steering
from naslab_widgets.sections import Section

FREEZE = "freeze/"
"""What the names of the settings begin with by which something stands still."""


class Strip(Section):
    """Play, pause and step whatever has these methods, and a `state`.

    Args:
        search: the one that is driven, if it is one: its conditions and what of it can be frozen are offered, too.
    """

    name = "strip"

    def __init__(self, stepper: Any, search: Any = None) -> None:
        self._driven, self._search = stepper, search
        steered = isinstance(search, Steering)
        self._until = conditions.offered(search) if steered else []
        self.frozen = [name for name in search.settings if name.startswith(FREEZE)] if steered else []
        """Names of the settings that have a button here."""

    def about(self) -> dict[str, Any]:
        return {
            "several": self._search is not None,
            "until": self._until,
            "frozen": [name.removeprefix(FREEZE) for name in self.frozen],
        }

    def state(self) -> dict[str, Any]:
        settings = self._search.settings if self.frozen else {}
        return {"can": possible(self._driven.state), "frozen": [settings[name].value for name in self.frozen]}

    def on_message(self, message: Mapping[str, Any]) -> None:
        do = message.get("do")
        if do in ("play", "pause"):
            getattr(self._driven, do)()
        elif do == "step":
            steps = message.get("steps")
            self._driven.step(*([] if steps is None else [steps]))
        elif do == "until" and self._search is not None:
            number = message.get("number")
            self._driven.until(message.get("condition"), *([] if number is None else [number]))
        elif do == "freeze":
            name = f"{FREEZE}{message.get('what')}"
            if self._search is not None and name in self.frozen:
                self._search.set(name, message.get("value"))


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

    def on_message(self, message: Mapping[str, Any]) -> None:
        if isinstance(value := message.get("value"), str) and value in self._options:
            self.value = value
