"""What a search can say of itself before its steps are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from naslab.runs.restoring import Restoring
from naslab.searchers.forecasting import Forecast, forecast
from naslab.searchers.rates import Rates, finding_rates


class Before(Restoring):
    """Tries steps on a copy: whatever is asked here, the search is bit for bit what it would have been."""

    def forecast(
        self,
        *,
        steps: int = 2,
        threads: bool = True,
        call: bool = False,
        going: Callable[[], object] = lambda: None,
    ) -> Forecast:
        """The time and the memory that the steps which are left will take, from a few steps of a copy, with the
        settings that the next step is to have.

        Args:
            steps: that are timed, of each kind.
            threads: whether another number of threads is tried, too.
            call: whether a function of the user's own, which evaluates candidates, may be called once more.
            going: called before each step of the copy; what it raises ends the forecast.

        Raises:
            SpecError: nothing can be said, and why; or there is not the memory for a step.
        """
        with self._mine():
            self._restore()
            trying: dict[str, Any] = {"ranking": self.ranking, "prepare": self._wishes.try_on, "going": going}
            return forecast(self.searcher, steps=steps, threads=threads, call=call, **trying)

    def finding_rates(self, name: str = "w_lr", **options: Any) -> Iterator[Rates]:
        """The losses at growing learning rates, as far as they are known after each step of a copy (the range test of
        Smith 2017, `naslab.searchers.rates`). `nl.searchers.lr_find(search, name)` gives the last of them.

        Args:
            name: "w_lr"; or "alpha_lr" of a search by gradients.
            **options: of `naslab.searchers.finding_rates`.

        Raises:
            SpecError: there is no such rate, or no loss that it makes fall.
        """
        with self._mine():
            self._restore()
            return finding_rates(self.searcher, name, prepare=self._wishes.try_on, **options)
