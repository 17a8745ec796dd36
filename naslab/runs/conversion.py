"""A run folder of an earlier format is brought into this one, when it is opened to be gone on with. To look at it
changes nothing.

    all events are read and checked       whatever is damaged is told, and nothing is changed
    .events.sqlite.new.tmp                the events in the new format, forced to the disk
    events.1.sqlite                       a copy of what stands there: the way back
    events.sqlite                         one rename: the moment at which the new events replace the old
    run.1.json, run.json                  likewise

A process that is killed on the way leaves the old events or the new, whole, and under their name; either goes with
either `run.json`. Whoever opens the folder next does what is left.

Each row keeps its number, and as `earlier` the checksum that it had. So the checksums chain anew, and snapshots that
were taken then still belong to the moment that they were taken at.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from naslab import files, snapshot
from naslab.errors import RunError, SpecError
from naslab.events import in_this_format
from naslab.progress import SOON
from naslab.runs import about as run_json
from naslab.runs import database
from naslab.runs.branches import Record, strange
from naslab.runs.database import damage_told

LONG = 5000
"""Events from which on a progress bar shows how they are converted."""
PATIENCE = 30.0
"""Seconds that others may take to read the events to their end."""
ASIDE = ".events.sqlite.new.tmp"


def convert(folder: Path) -> str:
    """Bring the run in the folder into this format, if it is of an earlier one. The caller holds its lock.

    Returns:
        A sentence that says so; "" if nothing was to be done.

    Raises:
        EventsDamaged: the events are damaged; nothing was changed.
        RunError: they cannot be understood, or somebody else has them open; nothing was changed.
        OSError: the disk is full or out of reach; the run is as it was.
    """
    about = run_json.read_about(folder)
    events, told = folder / "events.sqlite", folder / "run.json"
    rows = _earlier_rows(events, database.identity(about["run"]))
    if rows is not None:
        _replace(events, _chained(rows, database.identity(about["run"])), folder / "events.1.sqlite")
    if about["format"] != run_json.FORMAT:
        _keep(told, folder / "run.1.json")
        snapshot.write_bytes(told, run_json.sealed({**about, "format": run_json.FORMAT}))
    elif rows is None:
        return ""
    return (
        f"the run was in format 1 and is in format {run_json.FORMAT} now; what stood there is kept in events.1.sqlite "
        "and run.1.json"
    )


def _earlier_rows(path: Path, first: str) -> list[Record] | None:
    """All rows of a journal of an earlier format, checked; None for one of this."""
    database.check_there(path)
    connection = database.connect(path)
    try:
        with damage_told(path):
            if database.check_format(connection, path) == database.FORMAT:
                return None
        database.check_pages(connection, path)
        rows = database.rows_of(connection, path, first)
        database.told_apart(rows, path, first)
        return rows
    finally:
        connection.close()


def _without_a_log(path: Path) -> None:
    """Have everything in the file itself: SQLite would put an old log into a new file of the same name."""
    until = time.monotonic() + PATIENCE
    connection = database.connect(path)
    try:
        with damage_told(path):
            connection.execute("PRAGMA busy_timeout=100")
            while not _is_without_a_log(connection):
                if time.monotonic() > until:
                    raise RunError(
                        f"another process reads {path}, and the run cannot be brought into this format meanwhile; "
                        "stop whatever watches it, and open it again. Nothing was changed"
                    )
                time.sleep(0.05)
    finally:
        connection.close()


def _is_without_a_log(connection: sqlite3.Connection) -> bool:
    try:
        return connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete"
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return False


def _keep(path: Path, copy: Path) -> None:
    snapshot.write_bytes(copy, files.read(path))


def _replace(path: Path, rows: Iterable[Record], kept: Path) -> None:
    """Put a journal with these rows in the place of the one that is there, of which a copy is kept: whole, durably, or
    not at all.
    """
    aside = path.with_name(ASIDE)
    try:
        files.remove(aside)
        _write(aside, rows)
        _force(aside)
        _without_a_log(path)
        _keep(path, kept)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    snapshot.sync_folder(path.parent)


def _write(path: Path, rows: Iterable[Record]) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = database.connect(path)
    try:
        with damage_told(path):
            connection.execute("PRAGMA journal_mode=OFF")  # it is no journal yet: half of one is thrown away
            connection.execute("PRAGMA synchronous=OFF")
            database.begin(connection)
            connection.execute("BEGIN")
            for row in rows:
                database.insert(connection, row)
            connection.execute("COMMIT")
    finally:
        connection.close()


def _force(path: Path) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _chained(rows: Sequence[Record], first: str) -> Iterator[Record]:
    """The rows as they are written now, each with a checksum over the one before."""
    before = first
    bar = tqdm(rows, desc="events brought into this format", unit="", disable=len(rows) < LONG, leave=False, delay=SOON)
    for row in bar:
        text = _told_now(row)
        before = database.checksum(before, row.id, row.time, row.kind, row.step, text, row.blob, row.digest)
        yield Record(row.id, row.time, row.kind, row.step, text, row.blob, before, row.digest)


def _told_now(row: Record) -> str:
    """The text of a row in this format."""
    try:
        return in_this_format(row.kind, row.text)
    except SpecError as error:
        raise strange(row, error) from error
