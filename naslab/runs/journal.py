"""The journal of a run: every event, in SQLite, one transaction a step.

Rows are only ever added. Going back to a step is a row too (`REWOUND`), after which the living rows of later steps
are abandoned. Each row carries a checksum over itself and the row before, from the run's own identity on: a flipped
bit, a foreign row, or the journal of another run does not go unseen. Rows that are missing at the end leave no trace
in it; how many there were stands in a file beside it (`naslab.runs.acknowledged`).

One process writes. Should a second one get at it all the same, the first finds a last row that is not its own, and
writes no more (`Superseded`). A journal that two have written to, row by row, is untangled: its longest branch is the
living one (`naslab.runs.branches`).

Rows are checked when they are read, and become events when somebody asks for these.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from naslab.errors import RunError
from naslab.events import Event
from naslab.runs import database
from naslab.runs.acknowledged import Acknowledged
from naslab.runs.branches import ASIDE, ASIDE_KINDS, REWOUND, UNTANGLED, DeadEnd, Record, Row
from naslab.runs.database import (
    EventsDamaged,
    check_format,
    check_pages,
    check_there,
    checksum,
    connect,
    damage_told,
    identity,
    read,
)


class Superseded(RunError):
    """Another process has written to a journal that this one thought its own."""


class _Attempt(NamedTuple):
    """What a transaction changes, in case it is broken off and nobody knows whether it stands."""

    last: tuple[int, str]
    """Number and checksum of the last row, if it stands."""
    keep: int
    """Living steps before it that stay."""
    moments: list[str]
    """Checksums of the living steps that it adds."""


class Journal:
    """The events of one run, open for writing by one process. Errors of the disk come out as `OSError`."""

    def __init__(self, path: Path, run: str, *, wal: bool = True) -> None:
        """Open what `create` made and check all of it; `run` is the run's identity."""
        self.path = path
        self._first = identity(run)
        check_there(path)
        self._acknowledged = Acknowledged(path.parent)
        self._connection = connect(path)
        self._sure = True
        """Whether what is remembered of the database is what stands there: a write may be broken off after its end."""
        self._attempt: _Attempt | None = None
        try:
            with damage_told(path):
                if (version := check_format(self._connection, path)) != database.FORMAT:
                    raise RunError(f"{path} has format {version}; Search.open(folder) brings it into this one first")
                self._connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
                self._connection.execute("PRAGMA synchronous=FULL")
            check_pages(self._connection, path)
            found = read(self._connection, path, self._first)
        except BaseException:
            self.close()
            raise
        self._moments = [row.digest for row in found.living if row.kind not in ASIDE_KINDS]
        """Checksum of each living step. It is changed in place, for it may be long."""
        self._last = found.last
        """Number and checksum of the last row."""
        self._found: list[Record] | None = found.living
        """What was read here, until it is asked for."""
        self._dead_ends = found.ends
        self._tangled = found.tangled
        self.missing = self._acknowledged.missing(self._last[0])
        """The sentence for events that were acknowledged and are gone; "" if there are none."""
        self.left = len(found.abandoned) if found.tangled else 0
        """Events of other branches, if two processes have written in turn, and that was not known before."""

    @classmethod
    def create(cls, path: Path, run: str, rows: Iterable[Row | Record] = (), *, wal: bool = True) -> Journal:
        """A new journal, which begins with copies of `rows` (numbered anew)."""
        connection = connect(path)
        try:
            with damage_told(path):
                database.begin(connection)
        finally:
            connection.close()
        journal = cls(path, run, wal=wal)
        journal._insert([row.written() for row in rows])
        return journal

    def append(self, events: Sequence[Event]) -> None:
        """Write the events in one transaction; all of them stand, durably, when this returns, or none.

        A step that already stands is not written twice, so that a write may be tried again.

        Raises:
            Superseded: another process has written to the run. What it wrote stays, and nothing is added.
        """
        if not isinstance(events[-1], ASIDE) and self.last_step() >= events[-1].step:
            return
        now = time.time()
        self._insert([(now, event.kind, event.step, *event.to_record()) for event in events])

    def abandon(self, step: int) -> None:
        """Leave all that came after a step as a dead branch."""
        end = self.last_step()
        self._insert([(time.time(), REWOUND, step, "", b"")])
        if end > step:
            self._dead_ends = [*self._dead_ends, DeadEnd(step, end)]

    def dead_ends(self) -> Sequence[DeadEnd]:
        """What was left so, each time."""
        return self._dead_ends

    def rows(self) -> list[Record]:
        """Every event of the living branch."""
        self._settle()
        found, self._found = self._found, None
        if found is None:
            again = read(self._connection, self.path, self._first)
            self._check_alone(again.last)
            found = again.living
        return found

    def last_step(self) -> int:
        """Steps finished on the living branch."""
        self._settle()
        return len(self._moments)

    def digest(self, step: int) -> str:
        """The checksum that ties a snapshot to this moment of this run, and to no other."""
        self._settle()
        return self._moments[step - 1] if step else self._first

    def is_of(self, step: int, digest: str) -> bool:
        """Whether that is the checksum of this moment, as it is now or was in an earlier format."""
        now = self.digest(step)
        return digest == now or self._has("digest = ? AND earlier = ?", now, digest)

    def knows(self, digest: str) -> bool:
        """Whether a moment, living or abandoned, has this checksum, or had it in an earlier format."""
        return self._has("digest = ? OR earlier = ?", digest, digest)

    def _has(self, condition: str, *digests: str) -> bool:
        if not all(digests):  # an empty one stands for none
            return False
        with damage_told(self.path):
            found = self._connection.execute(f"SELECT 1 FROM events WHERE {condition}", digests).fetchone()
        return found is not None

    def close(self) -> None:
        self._acknowledged.close()
        with suppress(sqlite3.Error):  # what was committed is safe without a tidy end
            self._connection.close()

    def _insert(self, records: Sequence[tuple[float, str, int, str, bytes]]) -> None:
        """Add rows (time, kind, step, text, blob) in one transaction; what stands already costs nothing."""
        self._settle()
        if self._tangled:
            records = [(time.time(), UNTANGLED, len(self._moments), "", b""), *records]
        rows: list[Record] = []
        number, digest = self._last
        keep, moments = len(self._moments), list[str]()
        for moment, kind, step, text, blob in records:
            number += 1
            digest = checksum(digest, number, moment, kind, step, text, blob)
            rows.append(Record(number, moment, kind, step, text, blob, digest, ""))
            if kind == REWOUND:
                keep, moments = min(keep, step), moments[: max(step - keep, 0)]
            elif kind not in ASIDE_KINDS and kind != UNTANGLED:
                moments.append(digest)
        self._found = None
        self._attempt, self._sure = _Attempt((number, digest), keep, moments), False
        with self._transaction():
            self._check_alone(self._end())
            for row in rows:
                database.insert(self._connection, row)
        self._stands(self._attempt)
        self._sure = True

    def _settle(self) -> None:
        """After a write that was broken off, wherever that was: learn from the database whether it stands."""
        if self._sure:
            return
        with damage_told(self.path):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            attempt = self._attempt
            assert attempt is not None
            number, digest = attempt.last
            found = self._connection.execute("SELECT digest FROM events WHERE id = ?", (number,)).fetchone()
        if found == (digest,):
            self._stands(attempt)
        self._sure = True

    def _stands(self, attempt: _Attempt) -> None:
        """Remember what a transaction has changed. It may be done again when it was broken off."""
        self._moments[attempt.keep :] = attempt.moments
        self._last = attempt.last
        self._tangled = False
        self._acknowledged.note(attempt.last[0])

    def _end(self) -> tuple[int, str]:
        """Number and checksum of the last row as it stands."""
        with damage_told(self.path):
            last = self._connection.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
        return last or (0, self._first)

    def check_alone(self) -> None:
        """Raise `Superseded` if another process has written to the run."""
        self._settle()
        self._check_alone(self._end())

    def _check_alone(self, end: tuple[int, str]) -> None:
        if end != self._last:
            raise Superseded(
                f"another process has written to the run at {self.path.parent}: its events end at number {end[0]}, "
                f"and here at number {self._last[0]}. Nothing was written here, and what the other wrote stays. Only "
                "one process may drive a run (was its file 'lock' removed?): let the other end, and open the "
                "run again"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with damage_told(self.path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise


def peek(path: Path, run: str, *, since: int = 0) -> tuple[list[Record], list[Record], str]:
    """The rows numbered above `since`, while another process may be writing: those of the living branch, the abandoned
    ones, and what is known to be missing ("" for nothing). Nothing is changed.
    """
    check_there(path)
    # Before the rows, for it may be written meanwhile: then there are more of them, never fewer.
    acknowledged = Acknowledged.read(path.parent)
    try:
        before = _stamp(path)
        try:
            living, abandoned, last = _peeked(path, run, since)
        except EventsDamaged:
            if _stamp(path) == before:
                raise
            living, abandoned, last = _peeked(path, run, since)  # somebody has begun to write meanwhile
    except OSError as error:
        raise RunError(f"the events of the run cannot be read now: {error}") from error
    return living, abandoned, acknowledged.missing(last)


def written(path: Path, run: str, first: int, last: int) -> list[Record]:
    """The rows numbered from `first` to `last`, as they were written, be they abandoned or not; also while another
    process is writing.
    """
    check_there(path)
    try:
        with database.reading(path) as connection:
            return database.rows_of(connection, path, identity(run), since=first, until=last)
    except OSError as error:
        raise RunError(f"the events of the run cannot be read now: {error}") from error


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def _peeked(path: Path, run: str, since: int) -> tuple[list[Record], list[Record], int]:
    with database.reading(path) as connection:
        if not since:
            with damage_told(path):
                check_format(connection, path)
            check_pages(connection, path)
        found = read(connection, path, identity(run), since=since)
        if found.tangled and since:
            found = read(connection, path, identity(run))
    living, abandoned = ([row for row in rows if row.id > since] for rows in (found.living, found.abandoned))
    return living, abandoned, found.last[0]
