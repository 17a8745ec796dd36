"""The journal of a run: every event, in SQLite, one transaction for each step.

Rows are only appended. A rewind is a row, too (`REWOUND`), after which the living rows of later steps are abandoned.
Each row has a checksum over itself and the row before, starting with the identity of the run, so that a flipped bit, a
foreign row, or the journal of another run is detected. Rows that are missing at the end leave no trace in this chain;
their number is in a file beside it (`naslab.runs.acknowledged`).

One process writes. If a second one writes in spite of the lock, the first finds a last row that it does not know, and
writes no more (`Superseded`). A journal to which two processes have written in turn is untangled: its longest branch
becomes the living one (`naslab.runs.branches`).

Rows are checked when they are read, and decoded into events on access.
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
    damage_reported,
    identity,
    read,
)


class Superseded(RunError):
    """Another process has written to the journal that this process has open for writing."""


class _Attempt(NamedTuple):
    """The effect of a transaction, kept in case it is interrupted and its outcome has to be looked up."""

    last: tuple[int, str]
    """Number and checksum of the last row, once it is committed."""
    keep: int
    """Number of the living steps before it that stay."""
    moments: list[str]
    """Checksums of the living steps that it adds."""


class Journal:
    """The events of one run, open for writing by one process. Errors of the disk are raised as `OSError`."""

    def __init__(self, path: Path, run: str, *, wal: bool = True) -> None:
        """Open a journal that `create` made, and check all of it.

        Args:
            path: of the database.
            run: identity of the run.
            wal: use a write-ahead log, which needs shared memory and so no network file system.
        """
        self.path = path
        self._first = identity(run)
        check_there(path)
        self._acknowledged = Acknowledged(path.parent)
        self._connection = connect(path)
        self._sure = True
        """False if a transaction was interrupted, so that it may be committed although this object does not know it."""
        self._attempt: _Attempt | None = None
        try:
            with damage_reported(path):
                if (version := check_format(self._connection, path)) != database.FORMAT:
                    raise RunError(f"{path} has format {version}; Search.open(folder) brings it into this one first")
                self._connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
                # fsync at each commit: a step that `next` has returned survives a power failure.
                self._connection.execute("PRAGMA synchronous=FULL")
            check_pages(self._connection, path)
            found = read(self._connection, path, self._first)
        except BaseException:
            self.close()
            raise
        self._moments = [row.digest for row in found.living if row.kind not in ASIDE_KINDS]
        """Checksum of each living step. Changed in place, for it may be long."""
        self._last = found.last
        """Number and checksum of the last row."""
        self._found: list[Record] | None = found.living
        """The rows that were read here, until the first call of `rows`."""
        self._dead_ends = found.ends
        self._tangled = found.tangled
        self.missing = self._acknowledged.missing(self._last[0])
        """A sentence about events that were acknowledged and are lost; "" if there are none."""
        self.left = len(found.abandoned) if found.tangled else 0
        """Number of events of other branches, if two processes have written in turn and that is noticed now."""

    @classmethod
    def create(cls, path: Path, run: str, rows: Iterable[Row | Record] = (), *, wal: bool = True) -> Journal:
        """Returns a new journal, which begins with copies of `rows` (numbered anew)."""
        connection = connect(path)
        try:
            with damage_reported(path):
                database.begin(connection)
        finally:
            connection.close()
        journal = cls(path, run, wal=wal)
        journal._insert([row.written() for row in rows])
        return journal

    def append(self, events: Sequence[Event]) -> None:
        """Write the events in one transaction: when this returns they are all durable, and on an error none is.

        A step that is committed already is not written twice, so that a write may be tried again.

        Raises:
            Superseded: another process has written to the run. What it wrote stays, and nothing is added.
        """
        if not isinstance(events[-1], ASIDE) and self.last_step() >= events[-1].step:
            return
        now = time.time()
        self._insert([(now, event.kind, event.step, *event.to_record()) for event in events])

    def abandon(self, step: int) -> None:
        """Rewind to a step: the rows after it become a dead branch."""
        end = self.last_step()
        self._insert([(time.time(), REWOUND, step, "", b"")])
        if end > step:
            self._dead_ends = [*self._dead_ends, DeadEnd(step, end)]

    def dead_ends(self) -> Sequence[DeadEnd]:
        """Returns the steps that each rewind has abandoned."""
        return self._dead_ends

    def rows(self) -> list[Record]:
        """Returns every row of the living branch."""
        self._settle()
        found, self._found = self._found, None
        if found is None:
            whole = read(self._connection, self.path, self._first)
            self._check_alone(whole.last)
            found = whole.living
        return found

    def last_step(self) -> int:
        """Returns the number of finished steps on the living branch."""
        self._settle()
        return len(self._moments)

    def digest(self, step: int) -> str:
        """Returns the checksum that ties a snapshot to this step of this run: it depends on all rows before."""
        self._settle()
        return self._moments[step - 1] if step else self._first

    def is_of(self, step: int, digest: str) -> bool:
        """True if that is the checksum of this living step, in the current or an earlier format."""
        now = self.digest(step)
        return digest == now or self._has("digest = ? AND earlier = ?", now, digest)

    def knows(self, digest: str) -> bool:
        """True if a row, living or abandoned, has this checksum, or had it in an earlier format."""
        return self._has("digest = ? OR earlier = ?", digest, digest)

    def _has(self, condition: str, *digests: str) -> bool:
        if not all(digests):  # "" is no checksum, and would match every row without an earlier one
            return False
        with damage_reported(self.path):
            found = self._connection.execute(f"SELECT 1 FROM events WHERE {condition}", digests).fetchone()
        return found is not None

    def close(self) -> None:
        self._acknowledged.close()
        with suppress(sqlite3.Error):  # what is committed is safe without an orderly close
            self._connection.close()

    def _insert(self, records: Sequence[tuple[float, str, int, str, bytes]]) -> None:
        """Append rows (time, kind, step, text, blob) in one transaction. The cost does not grow with the journal."""
        self._settle()
        if self._tangled:  # before the first row of this process, record which branch goes on
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
        # An interrupt may arrive between the commit and the next line. So the effect is noted before, and `_settle`
        # looks up afterwards whether the transaction was committed.
        self._attempt, self._sure = _Attempt((number, digest), keep, moments), False
        with self._transaction():
            # Under the write lock of SQLite: no other process can write between this check and the insertion.
            self._check_alone(self._end())
            for row in rows:
                database.insert(self._connection, row)
        self._stands(self._attempt)
        self._sure = True

    def _settle(self) -> None:
        """After an interrupted write: look up in the database whether it was committed."""
        if self._sure:
            return
        with damage_reported(self.path):
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
        """Take over the effect of a committed transaction. It may be repeated after an interrupt."""
        self._moments[attempt.keep :] = attempt.moments
        self._last = attempt.last
        self._tangled = False
        self._acknowledged.note(attempt.last[0])  # after the commit: it must never be ahead of the durable rows

    def _end(self) -> tuple[int, str]:
        """Returns number and checksum of the last row in the database now."""
        with damage_reported(self.path):
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
        with damage_reported(self.path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")  # takes the write lock at once, not at the first insertion
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise


def peek(path: Path, run: str, *, since: int = 0) -> tuple[list[Record], list[Record], str]:
    """Returns the rows numbered above `since`, also while another process is writing. Nothing is changed.

    Returns:
        Rows of the living branch, abandoned rows, and a sentence about lost events ("" for none).

    Raises:
        RunError: the events are damaged, or cannot be read now.
    """
    check_there(path)
    # Read before the rows: if another process writes in between, there are more rows than this number, never fewer.
    acknowledged = Acknowledged.read(path.parent)
    try:
        before = _stamp(path)
        try:
            living, abandoned, last = _peeked(path, run, since)
        except EventsDamaged:
            if _stamp(path) == before:
                raise
            # The file has changed in between: a process has begun to write to it, and the mode of the log changed.
            living, abandoned, last = _peeked(path, run, since)
    except OSError as error:
        raise RunError(f"the events of the run cannot be read now: {error}") from error
    return living, abandoned, acknowledged.missing(last)


def written(path: Path, run: str, first: int, last: int) -> list[Record]:
    """Returns the rows numbered from `first` to `last`, abandoned or not, also while another process is writing."""
    check_there(path)
    try:
        with database.reading(path) as connection:
            return database.rows_of(connection, path, identity(run), since=first, until=last)
    except OSError as error:
        raise RunError(f"the events of the run cannot be read now: {error}") from error


def _stamp(path: Path) -> tuple[int, int]:
    """Returns time of modification and inode, which differ if the file was changed or replaced."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def _peeked(path: Path, run: str, since: int) -> tuple[list[Record], list[Record], int]:
    with database.reading(path) as connection:
        if not since:
            with damage_reported(path):
                check_format(connection, path)
            check_pages(connection, path)
        found = read(connection, path, identity(run), since=since)
        if found.tangled and since:  # the branches follow from all rows only
            found = read(connection, path, identity(run))
    living, abandoned = ([row for row in rows if row.id > since] for rows in (found.living, found.abandoned))
    return living, abandoned, found.last[0]
