"""Forecasts of a search: time, memory and learning rates, measured on a copy before its steps are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from naslab.runs.restoring import Restoring
from naslab.searchers.forecasting import Forecast, forecast
from naslab.searchers.rates import Rates, finding_rates


class Before(Restoring):
    """Forecasts from steps of a copy, which leave the search itself bit for bit as it was."""

    def forecast(
        self,
        *,
        steps: int = 2,
        threads: bool = True,
        call: bool = False,
        going: Callable[[], object] = lambda: None,
    ) -> Forecast:
        """Returns the time and memory that the remaining steps will need, measured on a few steps of a copy.

        The copy has the settings that the next step will have.

        Args:
            steps: number of steps of each kind that are timed.
            threads: also try other numbers of threads.
            call: allow one more call of the user's own evaluation function.
            going: called before each step of the copy; an exception that it raises ends the forecast.

        Raises:
            SpecError: no forecast is possible, with the reason; or there is not enough memory for a step.
        """
        with self._mine():
            self._restore()
            trying: dict[str, Any] = {"ranking": self.ranking, "prepare": self._wishes.try_on, "going": going}
            return forecast(self.searcher, steps=steps, threads=threads, call=call, **trying)

    def finding_rates(self, name: str = "w_lr", **options: Any) -> Iterator[Rates]:
        """Yields the losses at growing learning rates after each step of a copy: the learning-rate range test of
        Smith 2017 (`naslab.searchers.rates`). `nl.searchers.lr_find(search, name)` returns the last of them.

        Args:
            name: "w_lr"; or "alpha_lr" of a gradient-based search.
            **options: those of `naslab.searchers.finding_rates`.

        Raises:
            SpecError: the search has no such learning rate, or no loss that it decreases.
        """
        with self._mine():
            self._restore()
            return finding_rates(self.searcher, name, prepare=self._wishes.try_on, **options)
