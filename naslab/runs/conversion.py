"""Conversion of a run folder of an earlier format, when the run is opened to be continued. Reading it changes nothing.

    1. all events are read and checked    damage is an error, and nothing is changed
    2. .events.sqlite.new.tmp             the events in the current format, forced to the disk
    3. events.1.sqlite                    a copy of the old events, forced to the disk: the way back
    4. events.sqlite                      one rename, at which the new events replace the old
    5. run.1.json, then run.json          likewise

The order makes each moment safe: a process that is killed on the way leaves either the old events or the new ones,
complete and under their name, and either goes with either `run.json`. The next one to open the folder does the rest.

Each row keeps its number, and its old checksum in the column `earlier`. The checksums are chained anew, and snapshots
that carry an old checksum can still be matched with their rows.
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
from naslab.runs.database import damage_reported

LONG = 5000
"""Smallest number of events whose conversion shows a progress bar."""
PATIENCE = 30.0
"""Seconds to wait for other processes that are reading the events."""
ASIDE = ".events.sqlite.new.tmp"
"""Name of the new database until it is complete. `Folder` removes one that a killed process has left."""


def convert(folder: Path) -> str:
    """Convert the run in the folder to the current format, if it has an earlier one. The caller holds its lock.

    Returns:
        A sentence that says so; "" if the run was in the current format.

    Raises:
        EventsDamaged: the events are damaged; nothing was changed.
        RunError: the events cannot be decoded, or another process has them open; nothing was changed.
        OSError: the disk is full or out of reach; the run is as it was.
    """
    about = run_json.read_about(folder)
    events, about_file = folder / "events.sqlite", folder / "run.json"
    rows = _earlier_rows(events, database.identity(about["run"]))
    if rows is not None:
        _replace(events, _chained(rows, database.identity(about["run"])), folder / "events.1.sqlite")
    if about["format"] != run_json.FORMAT:
        _keep(about_file, folder / "run.1.json")
        snapshot.write_bytes(about_file, run_json.sealed({**about, "format": run_json.FORMAT}))
    elif rows is None:
        return ""
    return (
        f"the run was in format 1 and is in format {run_json.FORMAT} now; what stood there is kept in events.1.sqlite "
        "and run.1.json"
    )


def _earlier_rows(path: Path, first: str) -> list[Record] | None:
    """Returns all rows of a journal of an earlier format, checked; None for the current format."""
    database.check_there(path)
    connection = database.connect(path)
    try:
        with damage_reported(path):
            if database.check_format(connection, path) == database.FORMAT:
                return None
        database.check_pages(connection, path)
        rows = database.rows_of(connection, path, first)
        database.by_branch(rows, path, first)
        return rows
    finally:
        connection.close()


def _without_a_log(path: Path) -> None:
    """Merge the write-ahead log into the database and remove it.

    A log that remained would be applied to the new database: SQLite finds it by its name alone.
    """
    until = time.monotonic() + PATIENCE
    connection = database.connect(path)
    try:
        with damage_reported(path):
            connection.execute("PRAGMA busy_timeout=100")
            while not _is_without_a_log(connection):
                if time.monotonic() > until:
                    raise RunError(
                        f"another process reads {path}, and the run cannot be converted to this format meanwhile; "
                        "stop whatever watches it, and open it again. Nothing was changed"
                    )
                time.sleep(0.05)
    finally:
        connection.close()


def _is_without_a_log(connection: sqlite3.Connection) -> bool:
    """Switches to SQLite's rollback journal, which merges and deletes the log; False while others have it open."""
    try:
        return connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] == "delete"
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        return False


def _keep(path: Path, copy: Path) -> None:
    snapshot.write_bytes(copy, files.read(path))


def _replace(path: Path, rows: Iterable[Record], kept: Path) -> None:
    """Replace a journal by one with these rows, durably or not at all, and keep a copy of the old one at `kept`."""
    aside = path.with_name(ASIDE)
    try:
        files.remove(aside)
        _write(aside, rows)
        _force(aside)  # before the rename: else a power failure could leave the new name with no content
        _without_a_log(path)
        _keep(path, kept)  # after the log was merged: the file alone has all events now
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    snapshot.sync_folder(path.parent)  # the rename itself is durable only after this


def _write(path: Path, rows: Iterable[Record]) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    connection = database.connect(path)
    try:
        with damage_reported(path):
            connection.execute("PRAGMA journal_mode=OFF")  # half a file is thrown away: no rollback
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
    """Yields the rows in the current format, each with a checksum that covers the one before."""
    before = first
    bar = tqdm(rows, desc="events converted", unit="", disable=len(rows) < LONG, leave=False, delay=SOON)
    for row in bar:
        text = _text_now(row)
        before = database.checksum(before, row.id, row.time, row.kind, row.step, text, row.blob, row.digest)
        yield Record(row.id, row.time, row.kind, row.step, text, row.blob, before, row.digest)


def _text_now(row: Record) -> str:
    """Returns the JSON of a row in the current format."""
    try:
        return in_this_format(row.kind, row.text)
    except SpecError as error:
        raise strange(row, error) from error
