"""What stands in an idle panel before the run: how long it will take, and the learning rates to be found.

All of it is tried on copies (`naslab.searchers.forecasting`, `naslab.searchers.rates`), in the thread that moves the
search, and ends at once when somebody plays: the search is bit for bit what it would have been.
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
    """Somebody has played meanwhile, or pressed stop."""


class Before(Section):
    """The forecast and the range tests of a lab's search.

    Args:
        lab: has a `search` and a `state`.
        call: has the thread that moves the search do something.
        poke: called when there is news.
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
        """Whether a forecast is made without being asked for: a candidate's training may be long."""
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
            self._forecast_requested = True  # once a panel, whoever looks at it
            self._begin("forecast", lambda: self._forecast(False))
        elif what in ("forecast", "call"):
            self._begin("forecast", lambda: self._forecast(what == "call"))
        elif what == "rates":
            self._begin("rates", self._find)

    def _take(self, name: Any, rate: Any) -> None:
        """Give the search a rate that was clicked, within what its setting takes."""
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
            except NaslabError as error:  # it says why there is nothing to be said
                self._trouble = str(error)
            except Exception as error:  # of a space or an estimator of somebody's own: the search itself can be tried
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
