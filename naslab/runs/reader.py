"""Reading a run from outside, while another process drives it or a year later. Nothing is changed or locked."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

from naslab.blobs import Blobs
from naslab.errors import RunError, whole
from naslab.events import Changed, Event
from naslab.quantities import FITNESS, Objective, as_objectives
from naslab.runs import journal
from naslab.runs.about import metrics_of, read_about, shown_of
from naslab.runs.branches import Record, Row
from naslab.runs.folder import BLOBS, snapshots_in
from naslab.runs.kept_states import kept_state
from naslab.runs.live_ranking import LiveRanking
from naslab.runs.places import located
from naslab.runs.processes import driver
from naslab.runs.table import Scalar, flat
from naslab.snapshot import State
from naslab.spaces import from_spec
from naslab.spaces.space import Space


class RunReader:
    """A run on disk, read-only. Each call of a method reads what is there at that moment."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = located(path)
        about = read_about(self.path)
        self.spec: dict[str, Any] = about["spec"]
        """JSON from which `naslab.searchers.from_spec` rebuilds the searcher."""
        self.total: int = about["total"]
        """Number of steps of the whole search, as far as is known: one that has exhausted its space ends early."""
        self._planned = self.total
        self.parent: dict[str, Any] | None = about["parent"]
        """Origin of a fork: `{"run": ..., "path": ..., "step": ...}`; None otherwise."""
        self.identity: str = about["run"]
        """Unique identifier of the run, which does not depend on the place of its folder."""
        self.shown = shown_of(about)
        """What the task says to be displayed beside the metrics."""
        self.metrics = metrics_of(about)
        """Name -> direction and unit of the metrics in its events, in the order in which they are displayed."""
        self.trouble = ""
        """Sentence about committed events that were lost, as of the last reading; "" for none."""

    @property
    def space(self) -> Space:
        return from_spec(self.spec["space"])

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the evaluations, with direction and unit; in a run of an earlier naslab, the fitness.

        An event whose score named objectives of its own has these instead.
        """
        return as_objectives(self.spec["objectives"]) if "objectives" in self.spec else (FITNESS,)

    @property
    def ranking(self) -> LiveRanking | None:
        """The live ranking of the search, if it has one."""
        return LiveRanking.from_spec(self.spec["ranking"]) if "ranking" in self.spec else None

    def events(self, since: int = 0) -> Sequence[tuple[int, float, Event]]:
        """Returns (number, seconds since 1970, event) of every event numbered above `since`, without abandoned ones.

        After a rewind of the search, the step of the next event is below that of the one before.
        """
        rows = _rows(self._peek(since)[0])
        if rows:
            latest = rows[-1].event
            exhausted = bool(getattr(latest, "details", {}).get("exhausted"))
            for row in rows:
                if isinstance(row.event, Changed) and row.event.total is not None:
                    self._planned = row.event.total
            self.total = latest.step if exhausted else self._planned
        return rows

    def abandoned(self, since: int = 0) -> list[tuple[int, float, Event]]:
        """Returns the same for the events that rewinds have abandoned."""
        return list(_rows(self._peek(since)[1]))

    @property
    def snapshots(self) -> list[int]:
        """Steps whose state is in the folder, in order."""
        return snapshots_in(self.path)

    def written(self, first: int, last: int) -> list[Record]:
        """Returns the undecoded rows numbered from `first` to `last`, abandoned ones included, without reading all."""
        return journal.written(self.path / "events.sqlite", self.identity, first, last)

    def table(self) -> list[dict[str, Scalar]]:
        """Returns the events so far as flat dictionaries, like `Search.table`."""
        return flat([event for _, _, event in self.events()], self.space)

    def kept(self, name: str) -> State:
        """Returns a state that `search.keep` or the searcher has kept, by its name or its checksum."""
        return kept_state(name, [event for _, _, event in self.events()], Blobs(self.path / BLOBS))

    @property
    def closed(self) -> bool:
        """True if no living process drives the run."""
        return driver(self.path) is None

    def _peek(self, since: int) -> tuple[list[Record], list[Record]]:
        since = whole("since, a number of an event,", since, error=RunError)
        living, abandoned, missing = journal.peek(self.path / "events.sqlite", self.identity, since=since)
        if missing and missing != self.trouble:
            warnings.warn(f"{self.path}: {missing}", stacklevel=4)
        self.trouble = missing
        return living, abandoned


def _rows(records: Sequence[Record]) -> list[Row]:
    return [Row(record.id, record.time, record.event) for record in records]


def read(path: str | os.PathLike[str]) -> RunReader:
    """Opens a run for reading; see `RunReader`."""
    return RunReader(path)
