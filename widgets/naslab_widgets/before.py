"""The section of an idle panel that forecasts the duration of a search and runs learning rate range tests.

Both work on copies of the search (`naslab.searchers.forecasting`, `naslab.searchers.rates`) in the runner's thread, so
that they never overlap with a step, and stop as soon as the user presses Play. The search itself is not changed: its
later steps are bit for bit the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from naslab.errors import NaslabError
from naslab.searchers import Rates, Slider
from naslab.searchers.black_box import BlackBoxSearch
from naslab.searchers.forecasting import answers_at_once
from naslab.searchers.rates import movable
from naslab_widgets.figures.rates import shown
from naslab_widgets.sections import Section


class Interrupted(Exception):
    """Ends a forecast or range test: the user pressed Play or Stop."""


class Before(Section):
    """The forecast and the range tests of a lab's search.

    Args:
        lab: has a `search` and a `state`.
        call: runs a function in the runner's thread.
        poke: called when the state has changed.
    """

    name = "before"

    def __init__(self, lab: Any, call: Callable[[Callable[[], object]], None], poke: Callable[[], None]) -> None:
        self._lab, self._call, self._poke = lab, call, poke
        self._busy = self._line = self._trouble = ""
        self._found: dict[str, Rates] = {}
        self._forecast_requested = self._stopped = False

    # --- for the page ----------------------------------------------------------------------------

    @property
    def _shown(self) -> bool:
        search = self._lab.search
        return bool(hasattr(search, "forecast") and self._lab.state == "idle" and search.step < search.total)

    def state(self) -> dict[str, Any]:
        if not self._shown:
            return {"shown": False}
        return {
            "shown": True,
            "line": self._line,
            "trouble": self._trouble,
            "busy": self._busy,
            "quick": self._quick,
            "findable": movable(self._lab.search),
            "rates": [self._rates_json(one) for one in list(self._found.values())],
        }

    @property
    def _quick(self) -> bool:
        """True if the forecast is cheap enough to run unasked; the training of a candidate may be long."""
        search = self._lab.search
        return not isinstance(search.searcher, BlackBoxSearch) or answers_at_once(search)

    def _rates_json(self, one: Rates) -> dict[str, Any]:
        low, high = shown(one)
        setting = self._lab.search.settings.get(one.name)
        return {
            "name": one.name,
            "metric": one.metric,
            "unit": one.unit,
            "points": [list(row) for row in zip(*map(_plain, (one.rates, one.losses, one.smoothed)), strict=True)],
            "low": low,
            "high": high,
            "now": one.now if setting is None else setting.value,
            "suggestion": one.suggestion,
            "steepest": one.steepest,
            "steps": one.steps,
            "ended": one.ended,
            "told": str(one) if one.ended else "",
        }

    def on_message(self, message: Mapping[str, Any]) -> None:
        what = message.get("do")
        if what == "stop":
            self._stopped = True
        elif what == "take":
            self._take(message.get("name"), message.get("rate"))
        elif not self._shown or self._busy:
            return
        elif what == "look" and not self._forecast_requested and self._quick:
            self._forecast_requested = True  # once for all pages that show this panel
            self._begin("forecast", lambda: self._forecast(False))
        elif what in ("forecast", "call"):
            self._begin("forecast", lambda: self._forecast(what == "call"))
        elif what == "rates":
            self._begin("rates", self._find)

    def _take(self, name: Any, rate: Any) -> None:
        """Set the learning rate that was clicked, clipped to the range of its setting."""
        setting = self._lab.search.settings.get(name) if isinstance(name, str) else None
        if not isinstance(setting, Slider) or name not in self._found or not isinstance(rate, int | float):
            return
        self._lab.search.set(name, min(max(float(rate), setting.low), setting.high))

    # --- in the thread that moves the search -------------------------------------------------------

    def _begin(self, busy: str, job: Callable[[], None]) -> None:
        def do() -> None:
            try:
                job()
            except Interrupted:
                pass
            except NaslabError as error:  # its text explains why no forecast is possible
                self._trouble = str(error)
            except Exception as error:  # a user's own space or estimator failed; the search itself can still be started
                self._trouble = f"{type(error).__name__}: {error}"
            finally:
                self._busy = ""
                self._poke()

        self._busy, self._trouble, self._stopped = busy, "", False
        try:
            self._call(do)
        except BaseException:
            self._busy = ""
            raise

    def _raise_if_interrupted(self) -> None:
        if self._stopped or self._lab.state != "idle":
            raise Interrupted

    def _forecast(self, call: bool) -> None:
        self._line = str(self._lab.search.forecast(call=call, going=self._raise_if_interrupted))

    def _find(self) -> None:
        self._found = {}
        for name in movable(self._lab.search):
            for found in self._lab.search.finding_rates(name):
                self._raise_if_interrupted()
                self._found = {**self._found, name: found}
                self._poke()


def _plain(values: Any) -> list[float]:
    return [float(value) for value in values]
