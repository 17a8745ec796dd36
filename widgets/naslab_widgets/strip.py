"""The buttons of a panel (`Strip`), and a choice among several options (`Choice`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import SpecError, among, unknown
from naslab.runs import conditions
from naslab.runs.steering import Steering
from naslab_widgets.sections import Section

FREEZE = "freeze/"
"""Prefix of the settings that freeze something; they are buttons here instead of checkboxes."""


class Strip(Section):
    """Play, pause and step buttons.

    Args:
        stepper: object with the methods `play`, `pause` and `step`, and a `state`.
        search: the search that it runs, if it is a single one: adds buttons for its stop conditions and freezes.
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
    """Returns the buttons that are enabled in a state."""
    if state in ("stopped", "finished"):
        return []
    return ["pause"] if state == "running" else ["play", "step"]


class Choice(Section):
    """A choice among several options, which the user can change at any time.

    Args:
        title: name of the choice.
        options: option -> its tooltip.
        value: the initial option.
        changed: called with the new option.
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
