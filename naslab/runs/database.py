"""The database of a journal: its format, what stands in it, and how it is opened without being changed.

    id, time, kind, step    number of the row from 1; seconds since 1970; what it tells; the step it belongs to
    text, blob              JSON and arrays of an event (`naslab.events.Event.to_record`)
    digest                  checksum over the row and the digest of the row before
    earlier                 the digest that the row had in an earlier format; empty for one that was written in this

Everything here is careful of who wrote the file: it may be a stranger's, be damaged, or of another version.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from naslab import files
from naslab.errors import RunError
from naslab.runs.branches import Branched, Record, branched

FORMAT = 2
"""Of what is written. Events of format 1 had a field for each metric, and their rows no `earlier`."""
READ = (1, 2)
"""Formats of what is read."""
APPLICATION = 0x6E61736C  # "nasl", so that another program's database is told apart

_SCHEMA = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    step INTEGER NOT NULL,
    text TEXT NOT NULL,
    blob BLOB NOT NULL,
    digest TEXT NOT NULL{more}
)
"""
_SCHEMAS = {1: _SCHEMA.format(more=""), 2: _SCHEMA.format(more=",\n    earlier TEXT NOT NULL")}
_COLUMNS = "id, time, kind, step, text, blob, digest"

LARGEST_COPY = 4 * 2**30
"""Bytes of a run's events that are copied to be read, at most."""
COPIES = 5
"""How often that is tried while somebody writes."""
LONGEST_ROW = 2**26
"""Bytes of an event, at most."""
SIDES = ("-wal", "-shm", "-journal")
"""Files that SQLite may have beside a database."""

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


# --- what stands in it ---------------------------------------------------------------------------------


def begin(connection: sqlite3.Connection) -> None:
    """Make an empty database into one of a journal."""
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute(_SCHEMAS[FORMAT])


def insert(connection: sqlite3.Connection, row: Record) -> None:
    connection.execute(f"INSERT INTO events ({_COLUMNS}, earlier) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


_LARGEST = 2**63 - 1
"""Number of a row."""


def rows_of(
    connection: sqlite3.Connection, path: Path, first: str, *, since: int = 0, until: int | None = None
) -> list[Record]:
    """The rows from number `since` on (to number `until`), each one checked against the one before.

    `first` is the run's `identity`.
    """
    with damage_told(path):
        old = check_format(connection, path) == 1
        earlier = "''" if old else "earlier"
        found = connection.execute(
            f"SELECT {_COLUMNS}, {earlier} FROM events WHERE id BETWEEN ? AND ? ORDER BY id",
            (since, _LARGEST if until is None else until),
        ).fetchall()
    records: list[Record] = []
    before = first
    for expected, row in enumerate(found, start=max(since, 1)):
        number, moment, kind, step, text, blob, digest, earlier = row
        if number != since and (
            number != expected
            or digest != checksum(before, number, moment, kind, step, text, blob, None if old else earlier)
        ):
            raise damaged(path, f"row {expected} is not what was written")
        records.append(Record._make(row))
        before = digest
    return records


def read(connection: sqlite3.Connection, path: Path, first: str, *, since: int = 0) -> Branched:
    """The same, told apart by branches."""
    return told_apart(rows_of(connection, path, first, since=since), path, first, since=since)


def told_apart(rows: list[Record], path: Path, first: str, *, since: int = 0) -> Branched:
    """Rows of a journal by branches; `EventsDamaged` if they are no journal."""
    try:
        return branched(rows, (0, first), since=since)
    except ValueError as error:
        raise damaged(path, str(error)) from error


def identity(run: str) -> str:
    """What stands for the row before the first."""
    return blake2b(run.encode(), digest_size=16).hexdigest()


_JSON = json.JSONEncoder(default=repr)
"""Made once: `json.dumps` would make one for each row."""


def checksum(
    before: str, number: int, moment: float, kind: str, step: int, text: str, blob: bytes, earlier: str | None = ""
) -> str:
    """Of a row, and of all before it. `earlier` is None for a row of format 1, which has none."""
    row: list[object] = [before, number, moment, kind, step, text]
    if earlier is not None:
        row.append(earlier)
    plain = _JSON.encode(row)
    whole = blake2b(plain.encode(errors="surrogateescape"), digest_size=16)
    whole.update(blob if isinstance(blob, bytes) else repr(blob).encode())
    return whole.hexdigest()


def connect(path: Path, query: str = "") -> sqlite3.Connection:
    # Autocommit: transactions are begun and ended by hand. The caller sees to it that threads take turns.
    uri = path.absolute().as_uri() + query
    with damage_told(path):
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_ROW)
        connection.execute("PRAGMA trusted_schema=OFF")
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, and leaves nothing behind; also where nothing may be written: in an archive, in the
    folder of somebody else.

    SQLite reads a database that may have a log only with an index of the log beside it, which it makes anew when there
    is none, and leaves there. Where that would be new, or may not be made, a copy is read instead.
    """
    own = os.path.lexists(f"{path}-shm") or not _may_have_a_log(path)
    if own:
        connection = connect(path, "?mode=ro")
        try:
            with damage_told(path):
                try:
                    connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
                except sqlite3.OperationalError as error:
                    own = error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
            if own:
                yield connection
        finally:
            connection.close()
    if not own:
        with _copied(path) as copy:
            # Without a log nobody is writing, and the file is all there is.
            connection = connect(path, "?immutable=1") if copy is None else connect(copy)
            try:
                yield connection
            finally:
                connection.close()


def _may_have_a_log(path: Path) -> bool:
    """Whether SQLite writes this database by a log beside it, as its header says."""
    with path.open("rb") as file:
        return file.read(20)[18:20] == b"\x02\x02"


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


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    with damage_told(path):
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    if verdict != "ok":
        raise damaged(path, verdict)


def check_there(path: Path) -> None:
    # SQLite takes an empty file for a new database, and would remove the log beside it.
    try:
        found = files.check_file(path)
        for beside in SIDES:
            files.check_own(f"{path}{beside}")  # SQLite writes there even for a reader
    except FileNotFoundError:
        raise EventsDamaged(f"the run has lost its events: there is no {path}; restore it from a copy") from None
    except files.NotRegular as error:
        raise EventsDamaged(f"{error.filename}: {error.strerror}; nothing was changed") from None
    if found.st_size == 0:
        raise damaged(path, "the file is empty")


def check_format(connection: sqlite3.Connection, path: Path) -> int:
    """The format, if it is one that is read."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise EventsDamaged(f"{path} was not written by naslab (application id {application}); it was left as it is")
    if version not in READ:
        raise RunError(
            f"{path} has format {version}, this naslab reads formats {' and '.join(map(str, READ))}; open it with the "
            "version of naslab that wrote it; it was left as it is"
        )
    # Anything may be called `events`: a view, say, that has no end, or a table with triggers.
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 2").fetchall()
    if [(kind, name, str(sql).split()) for kind, name, sql in schema] != [
        ("table", "events", _SCHEMAS[version].split())
    ]:
        raise damaged(path, "it does not hold the table of events alone, as naslab makes it")
    return version


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """SQLite's errors in the words of the house: `OSError` for the disk, `RunError` for a damaged file."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the bits are details
        if code == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, str(error), str(path)) from error
        if code in _OF_THE_DISK:
            raise OSError(errno.EIO, str(error), str(path)) from error
        raise damaged(path, str(error)) from error


def damaged(path: Path, what: str) -> EventsDamaged:
    return EventsDamaged(
        f"the events of the run are damaged: {path}: {what}. Nothing was changed. Restore the file from a copy, "
        "or begin a new run at nl.runs.fresh(...)"
    )
