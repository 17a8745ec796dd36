"""Look into a run from outside: while another process drives it, or a year later. Nothing is changed or locked."""

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
    """A run as it stands on disk now. Ask again for what has come since."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = located(path)
        about = read_about(self.path)
        self.spec: dict[str, Any] = about["spec"]
        """Of the searcher: `naslab.searchers.from_spec` makes it again."""
        self.total: int = about["total"]
        """Steps of the whole search, as far as is known: one that has looked at all there is ends early."""
        self._planned = self.total
        self.parent: dict[str, Any] | None = about["parent"]
        """For a fork: `{"run": ..., "path": ..., "step": ...}` of where it comes from."""
        self.identity: str = about["run"]
        """What tells the run from all others, wherever its folder is."""
        self.shown = shown_of(about)
        """What of its task stands beside the numbers."""
        self.metrics = metrics_of(about)
        """What is known of the numbers in its events, by name, in the order in which they are shown."""
        self.trouble = ""
        """What was wrong when it was last read: events that were acknowledged and are gone. "" for nothing."""

    @property
    def space(self) -> Space:
        return from_spec(self.spec["space"])

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the evaluations are compared by, with direction and unit; in a run of an earlier naslab the fitness.

        An event in which the score named objectives of its own has these.
        """
        return as_objectives(self.spec["objectives"]) if "objectives" in self.spec else (FITNESS,)

    @property
    def ranking(self) -> LiveRanking | None:
        """What scores a table's architectures with the shared weights as the search goes on, if anything does."""
        return LiveRanking.from_spec(self.spec["ranking"]) if "ranking" in self.spec else None

    def events(self, since: int = 0) -> Sequence[tuple[int, float, Event]]:
        """(number, seconds since 1970, event) of every event numbered above `since`, without abandoned ones.

        When the search has gone back, the next event's step is below that of the one before.
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
        """The same for the events that going back has left behind."""
        return list(_rows(self._peek(since)[1]))

    @property
    def snapshots(self) -> list[int]:
        """Steps whose state lies in the folder, in order."""
        return snapshots_in(self.path)

    def written(self, first: int, last: int) -> list[Record]:
        """The rows numbered from `first` to `last`, abandoned ones, too, and not yet made into events: a few of a long
        run, without reading all of it.
        """
        return journal.written(self.path / "events.sqlite", self.identity, first, last)

    def table(self) -> list[dict[str, Scalar]]:
        """The events so far as flat dictionaries, as `Search.table` gives them."""
        return flat([event for _, _, event in self.events()], self.space)

    def kept(self, name: str) -> State:
        """A state that `search.keep`, or the searcher, has kept: by its name or its checksum."""
        return kept_state(name, [event for _, _, event in self.events()], Blobs(self.path / BLOBS))

    @property
    def closed(self) -> bool:
        """Whether no living process drives the run."""
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
    """Open a run to look at it."""
    return RunReader(path)
