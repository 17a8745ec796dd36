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

import errno
import json
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from naslab import files
from naslab.errors import RunError
from naslab.events import Event
from naslab.runs.acknowledged import Acknowledged
from naslab.runs.branches import ASIDE, ASIDE_KINDS, REWOUND, UNTANGLED, Branched, Record, Row, branched

FORMAT = 1
APPLICATION = 0x6E61736C  # "nasl", so that another program's database is told apart

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

LARGEST_COPY = 4 * 2**30
"""Bytes of a run's events that are copied to be read, at most."""
COPIES = 5
"""How often that is tried while somebody writes."""
LONGEST_ROW = 2**26
"""Bytes of an event, at most."""

_OF_THE_DISK = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
}


class EventsDamaged(RunError):
    """The events of a run are missing, or are not what was written."""


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
        self._first = _identity(run)
        _check_there(path)
        self._acknowledged = Acknowledged(path.parent)
        self._connection = _connect(path)
        self._sure = True
        """Whether what is remembered of the database is what stands there: a write may be broken off after its end."""
        self._attempt: _Attempt | None = None
        try:
            with _damage_told(path):
                _check_format(self._connection, path)
                self._connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
                self._connection.execute("PRAGMA synchronous=FULL")
            _check_pages(self._connection, path)
            found = _read(self._connection, path, self._first)
        except BaseException:
            self.close()
            raise
        self._moments = [row.digest for row in found.living if row.kind not in ASIDE_KINDS]
        """Checksum of each living step. It is changed in place, for it may be long."""
        self._last = found.last
        """Number and checksum of the last row."""
        self._found: list[Record] | None = found.living
        """What was read here, until it is asked for."""
        self._tangled = found.tangled
        self.missing = self._acknowledged.missing(self._last[0])
        """The sentence for events that were acknowledged and are gone; "" if there are none."""
        self.left = len(found.abandoned) if found.tangled else 0
        """Events of other branches, if two processes have written in turn, and that was not known before."""

    @classmethod
    def create(cls, path: Path, run: str, rows: Iterable[Row | Record] = (), *, wal: bool = True) -> Journal:
        """A new journal, which begins with copies of `rows` (numbered anew)."""
        connection = _connect(path)
        try:
            with _damage_told(path):
                connection.execute(f"PRAGMA application_id={APPLICATION}")
                connection.execute(f"PRAGMA user_version={FORMAT}")
                connection.execute(_SCHEMA)
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
        self._insert([(time.time(), REWOUND, step, "", b"")])

    def rows(self) -> list[Record]:
        """Every event of the living branch."""
        self._settle()
        found, self._found = self._found, None
        if found is None:
            read = _read(self._connection, self.path, self._first)
            self._check_alone(read.last)
            found = read.living
        return found

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
            digest = _digest(digest, number, moment, kind, step, text, blob)
            rows.append(Record(number, moment, kind, step, text, blob, digest))
            if kind == REWOUND:
                keep, moments = min(keep, step), moments[: max(step - keep, 0)]
            elif kind not in ASIDE_KINDS and kind != UNTANGLED:
                moments.append(digest)
        self._found = None
        self._attempt, self._sure = _Attempt((number, digest), keep, moments), False
        with self._transaction():
            self._check_alone(self._end())
            for row in rows:
                self._connection.execute(
                    "INSERT INTO events (id, time, kind, step, text, blob, digest) VALUES (?, ?, ?, ?, ?, ?, ?)", row
                )
        self._stands(self._attempt)
        self._sure = True

    def _settle(self) -> None:
        """After a write that was broken off, wherever that was: learn from the database whether it stands."""
        if self._sure:
            return
        with _damage_told(self.path):
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
        with _damage_told(self.path):
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


def peek(path: Path, run: str, *, since: int = 0) -> tuple[list[Record], list[Record], str]:
    """The rows numbered above `since`, while another process may be writing: those of the living branch, the abandoned
    ones, and what is known to be missing ("" for nothing). Nothing is changed.
    """
    _check_there(path)
    # Before the rows, for it may be written meanwhile: then there are more of them, never fewer.
    acknowledged = Acknowledged.read(path.parent)
    try:
        with _reading(path) as connection:
            with _damage_told(path):
                _check_format(connection, path)
            if not since:
                _check_pages(connection, path)
            found = _read(connection, path, _identity(run), since=since)
            if found.tangled and since:
                found = _read(connection, path, _identity(run))
    except OSError as error:
        raise RunError(f"the events of the run cannot be read now: {error}") from error
    living, abandoned = ([row for row in rows if row.id > since] for rows in (found.living, found.abandoned))
    return living, abandoned, acknowledged.missing(found.last[0])


def _read(connection: sqlite3.Connection, path: Path, first: str, *, since: int = 0) -> Branched:
    """The rows from number `since` on, each one checked against the one before."""
    with _damage_told(path):
        found = connection.execute(
            "SELECT id, time, kind, step, text, blob, digest FROM events WHERE id >= ? ORDER BY id", (since,)
        ).fetchall()
    records: list[Record] = []
    before = first
    for expected, row in enumerate(found, start=max(since, 1)):
        number, moment, kind, step, text, blob, digest = row
        if number != since and (
            number != expected or digest != _digest(before, number, moment, kind, step, text, blob)
        ):
            raise _damaged(path, f"row {expected} is not what was written")
        records.append(Record._make(row))
        before = digest
    try:
        return branched(records, (0, first), since=since)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _identity(run: str) -> str:
    """What stands for the row before the first."""
    return blake2b(run.encode(), digest_size=16).hexdigest()


def _digest(before: str, number: int, moment: float, kind: str, step: int, text: str, blob: bytes) -> str:
    plain = json.dumps([before, number, moment, kind, step, text], default=repr)
    whole = blake2b(plain.encode(errors="surrogateescape"), digest_size=16)
    whole.update(blob if isinstance(blob, bytes) else repr(blob).encode())
    return whole.hexdigest()


def _connect(path: Path, query: str = "") -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by hand. The caller sees to it that threads take turns.
    uri = path.absolute().as_uri() + query
    with _damage_told(path):
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_ROW)
        connection.execute("PRAGMA trusted_schema=OFF")
    return connection


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, also where nothing may be written: in an archive, in the folder of somebody else.

    SQLite reads a log only with an index of it beside it, which it makes anew when there is none. Where it may not, a
    copy is read instead.
    """
    connection = _connect(path, "?mode=ro")
    try:
        with _damage_told(path):
            try:
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
                own = True
            except sqlite3.OperationalError as error:
                own = error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if own:
            yield connection
    finally:
        connection.close()
    if not own:
        with _copied(path) as copy:
            # Without a log nobody is writing, and the file is all there is.
            connection = _connect(path, "?immutable=1") if copy is None else _connect(copy)
            try:
                yield connection
            finally:
                connection.close()


@contextmanager
def _copied(path: Path) -> Iterator[Path | None]:
    """A private copy of a database and its log, of one moment; None where there is no log."""
    log = path.with_name(f"{path.name}-wal")
    begin = _beginning(log)
    if not begin:
        yield None
        return
    size, room = path.stat().st_size + log.stat().st_size, shutil.disk_usage(tempfile.gettempdir()).free
    if size > min(LARGEST_COPY, room):
        raise OSError(
            errno.EFBIG,
            f"it may not be written to {path.parent}, and a private copy ({size / 1e6:.0f} MB) does not fit into "
            f"{tempfile.gettempdir()}; copy the run to a place of your own and read it there",
        )
    with tempfile.TemporaryDirectory(prefix="naslab-") as folder:
        copy = Path(folder) / path.name
        for _ in range(COPIES):
            shutil.copyfile(path, copy)
            try:
                shutil.copyfile(log, copy.with_name(log.name))
            except FileNotFoundError:
                copy.with_name(log.name).unlink(missing_ok=True)
            # What goes from the log into the database meanwhile stands in the log yet, unless that has begun anew.
            again = _beginning(copy.with_name(log.name))
            if again == begin:
                break
            begin = _beginning(log)
        else:
            raise OSError(errno.EAGAIN, "it is written to faster than it can be copied; try again")
        yield copy


def _beginning(log: Path) -> bytes:
    """What tells a log from the one that it is replaced by: its first 32 bytes, with two random numbers."""
    try:
        if not stat.S_ISREG(log.lstat().st_mode):
            return b""
        with log.open("rb") as file:
            return file.read(32)
    except FileNotFoundError:
        return b""


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    with _damage_told(path):
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    if verdict != "ok":
        raise _damaged(path, verdict)


def _check_there(path: Path) -> None:
    # SQLite takes an empty file for a new database, and would remove the log beside it.
    try:
        found = files.check_file(path)
        for beside in ("-wal", "-shm", "-journal"):
            files.check_own(f"{path}{beside}")  # SQLite writes there even for a reader
    except FileNotFoundError:
        raise EventsDamaged(f"the run has lost its events: there is no {path}; restore it from a copy") from None
    except files.NotRegular as error:
        raise EventsDamaged(f"{error.filename}: {error.strerror}; nothing was changed") from None
    if found.st_size == 0:
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
    # Anything may be called `events`: a view, say, that has no end, or a table with triggers.
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 2").fetchall()
    if [(kind, name, str(sql).split()) for kind, name, sql in schema] != [("table", "events", _SCHEMA.split())]:
        raise _damaged(path, "it does not hold the table of events alone, as naslab makes it")


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
