"""The SQLite database of a journal: its format, its checks, and how it is read without being changed.

    id, time, kind, step    number of the row from 1; seconds since 1970; kind of the event; the step it belongs to
    text, blob              JSON and arrays of an event (`naslab.events.Event.to_record`)
    digest                  checksum over the row and the digest of the row before
    earlier                 the digest that the row had in an earlier format; empty if it was written in this one

The digests form a hash chain that begins with the identity of the run: a changed bit, a removed row, or a row of
another run breaks it at that place. The file may come from a stranger, be damaged, or be of another version; each is an
error of its own, and none changes it.
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
"""Format that is written. Events of format 1 had a field for each metric, and their rows no `earlier`."""
READ = (1, 2)
"""Formats that can be read."""
APPLICATION = 0x6E61736C  # "nasl" in ASCII, SQLite's application id: distinguishes the database of another program

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
"""Largest size in bytes of a database that is copied to be read."""
COPIES = 5
"""Number of attempts to copy it while another process writes."""
LONGEST_ROW = 2**26
"""Largest size of an event in bytes."""
SIDES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite may have beside a database: log, index of the log, rollback journal."""

# Error codes that say nothing about the content: the disk, the permissions, or another process is the reason.
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


# --- content -------------------------------------------------------------------------------------------


def begin(connection: sqlite3.Connection) -> None:
    """Write the format and the table of a journal into an empty database."""
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute(_SCHEMAS[FORMAT])


def insert(connection: sqlite3.Connection, row: Record) -> None:
    connection.execute(f"INSERT INTO events ({_COLUMNS}, earlier) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


_LARGEST = 2**63 - 1
"""Largest row number that SQLite can hold."""


def rows_of(
    connection: sqlite3.Connection, path: Path, first: str, *, since: int = 0, until: int | None = None
) -> list[Record]:
    """Returns the rows from number `since` to `until`, each one checked against the one before.

    With `since`, that row itself is only the start of the chain: it was checked when it was first read.

    Args:
        connection: to the database.
        path: of the database, for errors.
        first: `identity` of the run, which takes the place of a digest before the first row.
        since: number of the first row.
        until: number of the last row; the end if left out.

    Raises:
        EventsDamaged: a row is missing or is not what was written.
    """
    with damage_reported(path):
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
    """Returns the same rows, separated by branch."""
    return by_branch(rows_of(connection, path, first, since=since), path, first, since=since)


def by_branch(rows: list[Record], path: Path, first: str, *, since: int = 0) -> Branched:
    """Returns the rows of a journal, separated by branch; `EventsDamaged` if their steps have a gap."""
    try:
        return branched(rows, (0, first), since=since)
    except ValueError as error:
        raise damaged(path, str(error)) from error


def identity(run: str) -> str:
    """Returns the start of the hash chain, in the place of the digest of a row before the first."""
    return blake2b(run.encode(), digest_size=16).hexdigest()


_JSON = json.JSONEncoder(default=repr)
"""Made once: `json.dumps` would make one for each row."""


def checksum(
    before: str, number: int, moment: float, kind: str, step: int, text: str, blob: bytes, earlier: str | None = ""
) -> str:
    """Returns the checksum of a row and of all before it: 128 bits of BLAKE2b over the digest before and the columns.

    `earlier` is None for a row of format 1, which has no such column.
    """
    row: list[object] = [before, number, moment, kind, step, text]
    if earlier is not None:
        row.append(earlier)
    plain = _JSON.encode(row)
    whole = blake2b(plain.encode(errors="surrogateescape"), digest_size=16)
    whole.update(blob if isinstance(blob, bytes) else repr(blob).encode())
    return whole.hexdigest()


def connect(path: Path, query: str = "") -> sqlite3.Connection:
    """Opens the database in autocommit mode, where transactions are explicit. Threads take turns: the caller's lock."""
    uri = path.absolute().as_uri() + query
    with damage_reported(path):
        connection = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_ROW)
        connection.execute("PRAGMA trusted_schema=OFF")  # a stranger's schema may call no functions with side effects
    return connection


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads and leaves no files behind, even in a folder that may not be written to.

    Why a copy may be read: SQLite needs an index (`-shm`) to read a database with a write-ahead log. If there is none
    it creates one in the folder, even for a read-only connection, and leaves it there. So the database is read in place
    only if the index exists already (another process is writing) or no log is possible; otherwise a private copy of
    database and log is read.
    """
    own = os.path.lexists(f"{path}-shm") or not _may_have_a_log(path)
    if own:
        connection = connect(path, "?mode=ro")
        try:
            with damage_reported(path):
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
            # Without a log no process is writing, and the database file is complete; "immutable" creates no index.
            connection = connect(path, "?immutable=1") if copy is None else connect(copy)
            try:
                yield connection
            finally:
                connection.close()


def _may_have_a_log(path: Path) -> bool:
    """True if the database is in write-ahead mode: bytes 18 and 19 of its header are 2."""
    with path.open("rb") as file:
        return file.read(20)[18:20] == b"\x02\x02"


@contextmanager
def _copied(path: Path) -> Iterator[Path | None]:
    """A private copy of a database and its log, consistent even while another process writes; None without a log."""
    log = path.with_name(f"{path.name}-wal")
    begin = _beginning(log)
    if not begin:
        yield None
        return
    size, free = path.stat().st_size + log.stat().st_size, shutil.disk_usage(tempfile.gettempdir()).free
    if size > min(LARGEST_COPY, free):
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
            # The database is copied first. A page that a checkpoint moves from the log into the database meanwhile is
            # still in the log, which is only appended to; so the copied log completes the copied database, unless the
            # log was restarted in between. Then its header differs, and the copy is made again.
            copied = _beginning(copy.with_name(log.name))
            if copied == begin:
                break
            begin = _beginning(log)
        else:
            raise OSError(errno.EAGAIN, "it is written to faster than it can be copied; try again")
        yield copy


def _beginning(log: Path) -> bytes:
    """Returns the header of a log, 32 bytes with two random salts, which change when the log is restarted; b"" without
    a log.
    """
    try:
        if not stat.S_ISREG(log.lstat().st_mode):
            return b""
        with log.open("rb") as file:
            return file.read(32)
    except FileNotFoundError:
        return b""


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `EventsDamaged` if SQLite finds the structure of the file damaged."""
    with damage_reported(path):
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    if verdict != "ok":
        raise damaged(path, verdict)


def check_there(path: Path) -> None:
    """Raises `EventsDamaged` unless the database and its side files are regular files, and it is not empty."""
    try:
        found = files.check_file(path)
        for beside in SIDES:
            files.check_own(f"{path}{beside}")  # SQLite writes to them even for a reader
    except FileNotFoundError:
        raise EventsDamaged(f"the run has lost its events: there is no {path}; restore it from a copy") from None
    except files.NotRegular as error:
        raise EventsDamaged(f"{error.filename}: {error.strerror}; nothing was changed") from None
    # SQLite takes an empty file for a new database, and would delete the log beside it, which may hold every event.
    if found.st_size == 0:
        raise damaged(path, "the file is empty")


def check_format(connection: sqlite3.Connection, path: Path) -> int:
    """Returns the format of the database.

    Raises:
        EventsDamaged: it is no database of naslab's.
        RunError: its format cannot be read by this version.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION:
        raise EventsDamaged(f"{path} was not written by naslab (application id {application}); it was left as it is")
    if version not in READ:
        raise RunError(
            f"{path} has format {version}, this naslab reads formats {' and '.join(map(str, READ))}; open it with the "
            "version of naslab that wrote it; it was left as it is"
        )
    # Anything may be called `events`: an endless recursive view, say, or a table with triggers. So the schema must be
    # exactly the one table that `begin` creates, up to white space.
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 2").fetchall()
    if [(kind, name, str(sql).split()) for kind, name, sql in schema] != [
        ("table", "events", _SCHEMAS[version].split())
    ]:
        raise damaged(path, "it does not hold the table of events alone, as naslab makes it")
    return version


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Translates SQLite's errors: `OSError` for those of the disk, `EventsDamaged` for those of the content."""
    try:
        yield
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code; higher bits are details
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
