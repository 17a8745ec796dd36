"""What a search tells of itself at any time, from any thread."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslab.analysis.pareto import front
from naslab.architecture import Architecture
from naslab.events import Evaluated
from naslab.quantities import Objective, Quantity
from naslab.runs.event_log import EventLog
from naslab.runs.folder import Folder
from naslab.runs.restoring import Restoring
from naslab.runs.shown import Shown
from naslab.runs.table import Scalar, flat
from naslab.spaces.space import Space


class Described(Restoring):
    """The events so far, and what follows from them."""

    if TYPE_CHECKING:

        @property
        def total(self) -> int: ...

    def __repr__(self) -> str:
        where = "in memory" if self.run is None else _shown(self.run)
        left = "" if self._left is None else f"; {self._left}"
        return f"<Search: {self.spec['searcher']}, step {self.step} of {self.total}, {where}{left}>"

    @property
    def identity(self) -> str | None:
        """What tells the run from all others, wherever its folder is; None in memory."""
        return self._store.run if isinstance(self._store, Folder) else None

    @property
    def name(self) -> str:
        """What it is called among its forks: as its folder, or as a fork in memory was called."""
        if self.run is not None:
            return self.run.name
        return self._name or ("search" if self._store.parent is None else f"fork at {self._store.parent['step']}")

    @property
    def kept_steps(self) -> list[int]:
        """Steps whose state lies on disk or in memory, in order: the search is back at one of them at once."""
        return sorted({*self._store.snapshots(), *self._ring.steps})

    @property
    def space(self) -> Space:
        return self.searcher.space

    @property
    def task(self) -> Any:
        return self.searcher.task

    @property
    def events(self) -> EventLog:
        """Every event so far: steps, changed settings, acts, measurements, rankings, recoveries."""
        return EventLog(self._events)

    def table(self) -> list[dict[str, Scalar]]:
        """The events as flat dictionaries of plain scalars, one an event: `pandas.DataFrame(search.table())`.

        Arrays stand under the names of their axes, as `alpha/normal/3/skip_connect` (`naslab.runs.table`).
        """
        return flat(self.events, self.space)

    @property
    def shown(self) -> Shown:
        """What of its task stands beside the numbers."""
        return Shown.of(self.searcher)

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """What is known of the numbers in its events, by name, in the order in which they are shown: whether more of
        each is better, and its unit.
        """
        return self.searcher.metrics

    @property
    def best(self) -> Architecture:
        """What would be derived now."""
        if self._lost and self._left is None:
            with self._mine():
                self._restore()
        return self.searcher.best

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the evaluations are compared by, the first of them the fitness; none for a searcher that evaluates by
        shared weights.
        """
        named = (event.objectives for event in self.events if isinstance(event, Evaluated) and event.objectives)
        return tuple(next(named, getattr(self.searcher, "objectives", ())))

    @property
    def front(self) -> list[Evaluated]:
        """The evaluations so far that none beats in all objectives, the best by the first objective first; with one
        objective the best alone. See `naslab.analysis.pareto.front`.
        """
        return front(self.events, self.objectives)


def _shown(path: Path) -> str:
    """A path as short as it can be told here."""
    with suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
