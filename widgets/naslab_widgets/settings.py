"""The section with a control for each setting of a search: a slider or a field for a number, a checkbox for yes or no,
a dropdown for one of several options. Settings with several parts, such as a mask, have no control here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from naslab import markup
from naslab.searchers import Count, Select, Setting, Slider, Switch
from naslab_widgets.sections import Section


class Settings(Section):
    """The settings of one search, or of several.

    Args:
        searches: name -> search; with several, the name precedes each setting.
        over: returns True when the settings can no longer be changed.
        without: names of settings that have a control elsewhere.
    """

    name = "settings"

    def __init__(self, searches: Mapping[str, Any], over: Callable[[], bool], without: Collection[str] = ()) -> None:
        self._searches, self._over = dict(searches), over
        self._controls = [
            (group, name)
            for group, search in self._searches.items()
            for name, setting in search.settings.items()
            if type(setting) in KINDS and name not in without
        ]

    def about(self) -> dict[str, Any]:
        settings = {group: search.settings for group, search in self._searches.items()}
        several = len(settings) > 1
        return {
            "back": [hasattr(self._searches[group], "unset") for group, _ in self._controls],
            "settings": [
                {**_about(name, settings[group][name]), "group": group if several else ""}
                for group, name in self._controls
            ],
        }

    def state(self) -> dict[str, Any]:
        """Returns the value of each setting, in the order of `about`."""
        values = {group: _values(search) for group, search in self._searches.items()}
        return {"values": [values[group].get(name) for group, name in self._controls], "over": self._over()}

    def on_message(self, message: Mapping[str, Any]) -> None:
        group = message.get("group") or next(iter(self._searches))
        name, value = message.get("set"), message.get("value")
        if (group, name) not in self._controls:
            return None
        search = self._searches[group]
        if message.get("back") is True and hasattr(search, "unset"):
            return search.unset(name)
        setting = search.settings[name]
        if isinstance(setting, Slider) and isinstance(value, int | float):
            value = min(max(float(value), setting.low), setting.high)
        return search.set(name, value)


def _values(search: Any) -> dict[str, Any]:
    """Returns the value of each setting; for a scheduled number, the base value that the schedule scales."""
    found = {}
    for name, setting in search.settings.items():
        base = setting.base if isinstance(setting, Slider) else None
        found[name] = setting.value if base is None else base
    return found


def _about(name: str, setting: Setting) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "kind": KINDS[type(setting)],
        "description": markup.clean(setting.description),
    }
    if isinstance(setting, Slider):
        found |= {"low": setting.low, "high": setting.high, "log": bool(setting.log and setting.low > 0)}
    if isinstance(setting, Count):
        found |= {"low": setting.low, "high": setting.high}
    if isinstance(setting, Select):
        found["options"] = list(setting.options)
    return found


KINDS: dict[type[Setting], str] = {Slider: "slider", Count: "count", Switch: "checkbox", Select: "dropdown"}
"""Kind of setting -> its control."""
