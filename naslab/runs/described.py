"""Properties of a search that any thread may read at any time."""

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
    """The read-only part of `naslab.Search`: its events so far, and what follows from them."""

    if TYPE_CHECKING:

        @property
        def total(self) -> int: ...

    def __repr__(self) -> str:
        where = "in memory" if self.run is None else _shown(self.run)
        left = "" if self._left is None else f"; {self._left}"
        return f"<Search: {self.spec['searcher']}, step {self.step} of {self.total}, {where}{left}>"

    @property
    def identity(self) -> str | None:
        """Unique identifier of the run, which does not depend on the place of its folder; None in memory."""
        return self._store.run if isinstance(self._store, Folder) else None

    @property
    def name(self) -> str:
        """Name among its forks: that of the folder, or the one that was given to a fork in memory."""
        if self.run is not None:
            return self.run.name
        return self._name or ("search" if self._store.parent is None else f"fork at {self._store.parent['step']}")

    @property
    def kept_steps(self) -> list[int]:
        """Steps whose state is stored on disk or in memory, in order; a rewind to one of them recomputes nothing."""
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
        """Returns one flat dictionary of plain scalars for each event: `pandas.DataFrame(search.table())`.

        Entries of arrays are named by their axes, as `alpha/normal/3/skip_connect` (`naslab.runs.table`).
        """
        return flat(self.events, self.space)

    @property
    def shown(self) -> Shown:
        """What the task says to be displayed beside the metrics: objective, unit of the data, notes."""
        return Shown.of(self.searcher)

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Name -> direction and unit of the metrics in its events, in the order in which they are displayed."""
        return self.searcher.metrics

    @property
    def best(self) -> Architecture:
        """The architecture that would be derived now; of a black-box search, the fittest so far."""
        if self._lost and self._left is None:
            with self._mine():
                self._restore()
        return self.searcher.best

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the evaluations, the first of which is the fitness; empty for a supernet searcher."""
        named = (event.objectives for event in self.events if isinstance(event, Evaluated) and event.objectives)
        return tuple(next(named, getattr(self.searcher, "objectives", ())))

    @property
    def front(self) -> list[Evaluated]:
        """The Pareto front of the evaluations so far, the best by the first objective first; with one objective the
        best alone. See `naslab.analysis.pareto.front`.
        """
        return front(self.events, self.objectives)


def _shown(path: Path) -> str:
    """Returns the path relative to the working directory, if it is inside; else the whole path."""
    with suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
