"""Something to turn for each setting of a search, which turns with the search: a slider for a number, a checkbox for
yes or no, a dropdown for one of several. What says more than one thing, a mask for instance, is set by `search.set`
alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from naslab import markup
from naslab.errors import NaslabError
from naslab.events import Changed, Event
from naslab.searchers import Select, Setting, Slider, Switch
from naslab_widgets.figures.svg import short


class Controls:
    """What turns the settings of a search, by their names.

    Args:
        complain: told why a setting could not be changed: the search has ended, or another object drives it.
    """

    def __init__(self, search: Any, complain: Callable[[NaslabError], None]) -> None:
        self._search, self._complain = search, complain
        self._values: dict[str, Any] = {}
        self._seen, self._last = 0, None
        self.controls: dict[str, ipywidgets.Widget] = {}
        for name, setting in search.settings.items():
            if make := MAKE.get(type(setting)):
                self.controls[name] = make(setting, _looks(name, setting))
                self._values[name] = setting.value
                self.controls[name].observe(functools.partial(self._turned, name, setting), "value")

    def follow(self, events: Sequence[Event]) -> None:
        """All the events so far: the controls go where the settings went, and back with a search that does."""
        if self._seen and (self._seen > len(events) or events[self._seen - 1] is not self._last):
            for name, setting in self._search.settings.items():
                if name in self.controls:
                    self._move(name, setting.value)
        else:
            for event in events[self._seen :]:
                if isinstance(event, Changed) and event.name in self.controls:
                    self._move(event.name, event.new)
        self._seen = len(events)
        self._last = events[self._seen - 1] if self._seen else None

    def _move(self, name: str, value: Any) -> None:
        self._values[name] = self.controls[name].value = value

    def disable(self, disabled: bool) -> None:
        """Whether nothing can be turned any more."""
        for control in self.controls.values():
            control.disabled = disabled

    def _turned(self, name: str, setting: Setting, change: Any) -> None:
        value = change["new"]
        if isinstance(setting, Slider):
            value = min(max(float(value), setting.low), setting.high)
            same = math.isclose(value, self._values[name])
        else:
            same = value == self._values[name]
        if not same:  # else the control follows the search, not the other way
            self._values[name] = value
            try:
                self._search.set(name, value)
            except NaslabError as error:
                self._complain(error)


def _looks(name: str, setting: Setting) -> dict[str, Any]:
    return {"value": setting.value, "description": short(name), "tooltip": markup.clean(setting.description)}


def _slider(setting: Any, looks: dict[str, Any]) -> ipywidgets.Widget:
    looks |= {"continuous_update": False, "readout_format": ".2g"}
    if setting.log and setting.low > 0:
        ends = {"min": math.log10(setting.low), "max": math.log10(setting.high), "step": 0.02}
        return ipywidgets.FloatLogSlider(base=10, **ends, **looks)
    step = (setting.high - setting.low) / 100
    return ipywidgets.FloatSlider(min=setting.low, max=setting.high, step=step, **looks)


def _checkbox(setting: Any, looks: dict[str, Any]) -> ipywidgets.Widget:
    return ipywidgets.Checkbox(**looks)


def _dropdown(setting: Any, looks: dict[str, Any]) -> ipywidgets.Widget:
    return ipywidgets.Dropdown(options=[(short(str(option)), option) for option in setting.options], **looks)


MAKE: dict[type[Setting], Callable[[Any, dict[str, Any]], ipywidgets.Widget]] = {
    Slider: _slider,
    Switch: _checkbox,
    Select: _dropdown,
}
"""Kind of setting -> what turns it."""
