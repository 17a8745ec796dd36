"""A slider for each knob of a search: turning one turns the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from naslab import markup
from naslab.errors import NaslabError
from naslab.events import Changed, Event
from naslab_widgets.figures.svg import short


class Sliders:
    """The sliders of a search by the names of its knobs.

    Args:
        complain: told why a knob could not be turned: the search has ended, or another object drives it.
    """

    def __init__(self, search: Any, complain: Callable[[NaslabError], None]) -> None:
        self._search, self._complain = search, complain
        self._values: dict[str, float] = {}
        self._seen, self._last = 0, None
        self.sliders = {name: self._slider(name, knob) for name, knob in search.knobs.items()}

    def follow(self, events: Sequence[Event]) -> None:
        """All the events so far: the sliders go where the knobs were turned to, and back with a search that does."""
        if self._seen and (self._seen > len(events) or events[self._seen - 1] is not self._last):
            for name, knob in self._search.knobs.items():
                self._move(name, knob.value)
        else:
            for event in events[self._seen :]:
                if isinstance(event, Changed) and event.name in self.sliders:
                    self._move(event.name, event.new)
        self._seen = len(events)
        self._last = events[self._seen - 1] if self._seen else None

    def _move(self, name: str, value: float) -> None:
        self._values[name] = self.sliders[name].value = value

    def disable(self, disabled: bool) -> None:
        """Whether nothing can be turned any more."""
        for slider in self.sliders.values():
            slider.disabled = disabled

    def _slider(self, name: str, knob: Any) -> ipywidgets.Widget:
        looks: dict[str, Any] = {
            "description": short(name),
            "tooltip": markup.clean(knob.description),
            "continuous_update": False,
            "readout_format": ".2g",
        }
        if knob.log and knob.low > 0:
            ends = {"min": math.log10(knob.low), "max": math.log10(knob.high), "step": 0.02}
            slider = ipywidgets.FloatLogSlider(value=knob.value, base=10, **ends, **looks)
        else:
            step = (knob.high - knob.low) / 100
            slider = ipywidgets.FloatSlider(value=knob.value, min=knob.low, max=knob.high, step=step, **looks)

        def turned(change: Any) -> None:
            value = min(max(float(change["new"]), knob.low), knob.high)
            if not math.isclose(value, self._values[name]):  # else the slider follows the search, not the other way
                self._values[name] = value
                try:
                    self._search.set(name, value)
                except NaslabError as error:
                    self._complain(error)

        self._values[name] = knob.value
        slider.observe(turned, "value")
        return slider
