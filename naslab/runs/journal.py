"""The journal of a run: every event, in SQLite, one transaction a step.

Rows are only ever added. Going back to a step is a row too (`REWOUND`), after which the living rows of later steps
are abandoned. Each row carries a checksum over itself and the row before, from the run's own identity on: a flipped
bit, a lost or foreign row, or the journal of another run does not go unseen.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from naslab.errors import RunError, SpecError
from naslab.events import Changed, Event, Measured, Ranked, Recovered, from_record

FORMAT = 1
APPLICATION = 0x6E61736C  # "nasl", so that another program's database is told apart

ASIDE = (Changed, Measured, Ranked, Recovered)
"""Events that are said beside the steps; every other event *is* a step, one each."""

REWOUND = "rewound"
"""Kind of the row that says that the run has gone back to its step."""

_SCHEMA = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    step INTEGER NOT NULL,
    text TEXT NOT NULL,
    blob BLOB NOT NULL,
    digest TEXT NOT NULL
)
"""

_OF_THE_DISK = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
}


class Row(NamedTuple):
    """An event with its number in the journal and the moment it was written."""

    id: int
    time: float
    """Seconds since 1970."""
    event: Event


class EventsDamaged(RunError):
    """The events of a run are missing, or are not what was written."""


class Journal:
    """The events of one run, open for writing by one process. Errors of the disk come out as `OSError`."""

    def __init__(self, path: Path, run: str, *, wal: bool = True) -> None:
        """Open what `create` made and check all of it; `run` is the run's identity."""
        self.path = path
        self._first = blake2b(run.encode(), digest_size=16).hexdigest()
        _check_there(path)
        self._connection = _connect(path)
        self._sure = False
        """Whether what is remembered of the database is what stands there: a write may be broken off after its end."""
        try:
            with _damage_told(path):
                _check_format(self._connection, path)
                self._connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
                self._connection.execute("PRAGMA synchronous=FULL")
                verdict = self._connection.execute("PRAGMA quick_check").fetchone()[0]
            if verdict != "ok":
                raise _damaged(path, verdict)
            self._settle()
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, path: Path, run: str, rows: Iterable[Row] = (), *, wal: bool = True) -> Journal:
        """A new journal, which begins with copies of `rows` (numbered anew)."""
        connection = _connect(path)
        try:
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.execute(_SCHEMA)
        finally:
            connection.close()
        journal = cls(path, run, wal=wal)
        journal._insert([(row.time, row.event.kind, row.event.step, *row.event.to_record()) for row in rows])
        return journal

    def append(self, events: Sequence[Event]) -> None:
        """Write the events in one transaction; all of them stand, durably, when this returns, or none.

        A step that already stands is not written twice, so that a write may be tried again.
        """
        if not isinstance(events[-1], ASIDE) and self.last_step() >= events[-1].step:
            return
        now = time.time()
        self._insert([(now, event.kind, event.step, *event.to_record()) for event in events])

    def abandon(self, step: int) -> None:
        """Leave all that came after a step as a dead branch."""
        self._insert([(time.time(), REWOUND, step, "", b"")])

    def rows(self) -> list[Row]:
        """Every event of the living branch."""
        self._settle()
        return read_rows(self._connection, self.path, self._first)[0]

    def last_step(self) -> int:
        """Steps finished on the living branch."""
        self._settle()
        return len(self._moments)

    def digest(self, step: int) -> str:
        """The checksum that ties a snapshot to this moment of this run, and to no other."""
        self._settle()
        return self._moments[step - 1] if step else self._first

    def knows(self, digest: str) -> bool:
        """Whether a moment, living or abandoned, has this checksum."""
        with _damage_told(self.path):
            return bool(self._connection.execute("SELECT 1 FROM events WHERE digest = ?", (digest,)).fetchone())

    def close(self) -> None:
        with suppress(sqlite3.Error):  # what was committed is safe without a tidy end
            self._connection.close()

    def _insert(self, records: Sequence[tuple[float, str, int, str, bytes]]) -> None:
        """Add rows (time, kind, step, text, blob) in one transaction."""
        self._settle()
        moments = list(self._moments)
        self._sure = False
        with self._transaction():
            last = self._connection.execute("SELECT id, digest FROM events ORDER BY id DESC LIMIT 1").fetchone()
            number, digest = last or (0, self._first)
            for moment, kind, step, text, blob in records:
                number += 1
                digest = _digest(digest, number, moment, kind, step, text, blob)
                self._connection.execute(
                    "INSERT INTO events (id, time, kind, step, text, blob, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (number, moment, kind, step, text, blob, digest),
                )
                if kind == REWOUND:
                    del moments[step:]
                elif kind not in _ASIDE_KINDS:
                    moments.append(digest)
        self._moments = moments
        self._sure = True

    def _settle(self) -> None:
        """After a write that was broken off, wherever that was: learn from the database whether it stands."""
        if self._sure:
            return
        with _damage_told(self.path):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._index()
        self._sure = True

    def _index(self) -> None:
        """Check every row, and find the checksum of each living step."""
        living, _ = read_rows(self._connection, self.path, self._first)
        steps = [row for row in living if not isinstance(row.event, ASIDE)]
        if [row.event.step for row in steps] != list(range(1, len(steps) + 1)):
            raise _damaged(self.path, "its steps are not 1, 2, 3, ... without a gap")
        with _damage_told(self.path):
            digests = dict(self._connection.execute("SELECT id, digest FROM events"))
        self._moments: list[str] = [digests[row.id] for row in steps]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _damage_told(self.path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise


_ASIDE_KINDS = {event.kind for event in ASIDE}


def peek(path: Path, run: str, *, since: int = 0) -> tuple[list[Row], list[Row]]:
    """`read_rows` while another process may be writing. Nothing is changed."""
    first = blake2b(run.encode(), digest_size=16).hexdigest()
    _check_there(path)
    # In a folder that may not be written to, such as an archive, SQLite reads only what it is told never changes.
    connection = _connect(path, "?mode=ro" if os.access(path.parent, os.W_OK) else "?immutable=1")
    try:
        with _damage_told(path):
            _check_format(connection, path)
        return read_rows(connection, path, first, since=since)
    except OSError as error:
        raise RunError(f"the events of the run cannot be read now: {error}") from error
    finally:
        connection.close()


def read_rows(connection: sqlite3.Connection, path: Path, first: str, *, since: int = 0) -> tuple[list[Row], list[Row]]:
    """The rows numbered above `since`, each one checked: those of the living branch, and the abandoned ones."""
    with _damage_told(path):
        found = connection.execute(
            "SELECT id, time, kind, step, text, blob, digest FROM events WHERE id >= ? ORDER BY id", (since,)
        ).fetchall()
    living: list[Row] = []
    abandoned: list[Row] = []
    before = first
    for expected, (number, moment, kind, step, text, blob, digest) in enumerate(found, start=max(since, 1)):
        if number != since:
            if number != expected or digest != _digest(before, number, moment, kind, step, text, blob):
                raise _damaged(path, f"row {expected} is not what was written")
            if kind == REWOUND:
                abandoned += [row for row in living if row.event.step > step]
                living = [row for row in living if row.event.step <= step]
            else:
                try:
                    living.append(Row(number, moment, from_record(kind, text, blob)))
                except SpecError as error:
                    raise RunError(
                        f"{path}: row {number} cannot be understood ({error}); was it written by a newer naslab?"
                    ) from error
        before = digest
    return living, abandoned


def _digest(before: str, number: int, moment: float, kind: str, step: int, text: str, blob: bytes) -> str:
    plain = json.dumps([before, number, moment, kind, step, text], default=repr)
    whole = blake2b(plain.encode(errors="surrogateescape"), digest_size=16)
    whole.update(blob if isinstance(blob, bytes) else repr(blob).encode())
    return whole.hexdigest()


def _connect(path: Path, query: str = "") -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by hand. The caller sees to it that threads take turns.
    uri = path.absolute().as_uri() + query
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)


def _check_there(path: Path) -> None:
    # SQLite takes an empty file for a new database, and would remove the log beside it.
    if not path.is_file():
        raise EventsDamaged(f"the run has lost its events: there is no {path}; restore it from a copy")
    if path.stat().st_size == 0:
        raise _damaged(path, "the file is empty")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise EventsDamaged(f"{path} was not written by naslab (application id {application}); it was left as it is")
    if version != FORMAT:
        raise RunError(
            f"{path} has format {version}, this naslab reads format {FORMAT}; open it with the version of naslab "
            "that wrote it; it was left as it is"
        )


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """SQLite's errors in the words of the house: `OSError` for the disk, `RunError` for a damaged file."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the bits are details
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, str(error), str(path)) from error
        if code in _OF_THE_DISK:
            raise OSError(errno.EIO, str(error), str(path)) from error
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, what: str) -> EventsDamaged:
    return EventsDamaged(
        f"the events of the run are damaged: {path}: {what}. Nothing was changed. Restore the file from a copy, "
        "or begin a new run at nl.runs.fresh(...)"
    )
