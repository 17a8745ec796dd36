"""Creation of a run folder, complete or not at all: it is built under a hidden name and renamed into place.

The order of the steps makes that safe, whenever the process is killed:

    1. .NAME.PID.new/making      locked as long as this process builds the folder; `naslab.runs.half_made` removes
                                 folders whose lock is free and whose process is gone
    2. events.sqlite             created and committed
    3. snapshots/                each forced to the disk; it carries the checksum of its row in the journal
    4. run.json                  last, for a folder is a run only with it; its own write also forces the names in the
                                 folder to the disk
    5. rename to NAME            atomic; fails if something else has appeared there
    6. fsync of the parent       after which the new name is durable
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from naslab import snapshot
from naslab.errors import RunError
from naslab.paths import is_folder, resolved
from naslab.quantities import Quantity
from naslab.runs import about as run_json
from naslab.runs import environment
from naslab.runs.about import read_about
from naslab.runs.branches import Record, Row
from naslab.runs.folder import MOMENT, Folder, snapshot_path
from naslab.runs.half_made import MAKING, sweep
from naslab.runs.journal import Journal
from naslab.runs.places import free_space, warn_of_network
from naslab.runs.shown import Shown
from naslab.runs.store import Store
from naslab.snapshot import State

NOTHING_SHOWN = Shown()


def create(
    path: Path,
    spec: Mapping[str, Any],
    *,
    total: int,
    task: str,
    every: int,
    states: Mapping[int, State],
    metrics: Mapping[str, Quantity],
    shown: Shown = NOTHING_SHOWN,
    rows: Iterable[Row | Record] = (),
    parent: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Make a run folder at `path`, where there is nothing or an empty folder.

    Args:
        path: the new folder.
        spec: JSON from which the searcher is rebuilt.
        total: number of steps of the whole search.
        task: fingerprint of the data.
        every: steps from one snapshot to the next.
        states: step -> state; a search has at least that of step 0.
        metrics: name -> direction and unit of the metrics in its events.
        shown: what the task says to be displayed beside them.
        rows: events to begin with, those of a fork for instance.
        parent: run, step and path that this is a fork of.

    Returns:
        The parent folders that had to be made, the innermost first.

    Raises:
        RunError: the path is in use, or nothing can be written there; what was begun is removed again.
    """
    check_free(path)
    made = [above for above in path.parents if not os.path.lexists(above)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        wal = not warn_of_network(path.parent)
        aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    except OSError as error:
        _unmake(made)
        raise RunError(f"no folder can be made at {path}: {error.strerror}; give another place as run=...") from None
    about = {
        "format": run_json.FORMAT,
        "run": uuid.uuid4().hex,
        "spec": dict(spec),
        "total": total,
        "task": task,
        "every": every,
        "metrics": {name: quantity.to_json() for name, quantity in metrics.items()},
        "shown": shown.to_json(),
        "environment": environment.of_spec(spec),
        "parent": None if parent is None else dict(parent),
    }
    making = FileLock(aside / MAKING, timeout=0, thread_local=False)
    there = False  # True once the folder has its final name
    try:
        (aside / "snapshots").mkdir(mode=0o700, parents=True)
        aside.chmod(0o700)
        if os.name != "nt":  # Windows does not rename a folder in which a file is open
            making.acquire()
        journal = Journal.create(aside / "events.sqlite", about["run"], rows, wal=wal)
        try:
            for step, state in states.items():
                snapshot.write(snapshot_path(aside, step), {**state, MOMENT: journal.digest(step)})
        finally:
            journal.close()
        snapshot.write_bytes(aside / "run.json", run_json.sealed(about))
        os.rename(aside, path)  # replaces an empty folder; any other is an error
        there = True
        snapshot.sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(path if there else aside, ignore_errors=True)
        # Two processes may make a run at the same path: the rename of the second finds the folder of the first.
        taken = not there and isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)
        if not taken:
            _unmake(made)
        if not isinstance(error, OSError | Timeout):
            raise
        if taken:
            check_free(path)
        raise RunError(f"no run could be made at {path}: {error}; {free_space(path.parent)}") from error
    finally:
        making.release()
        if there:
            with suppress(OSError):
                (path / MAKING).unlink(missing_ok=True)
    return made


def unmake(path: Path, above: Iterable[Path]) -> None:
    """Remove a run that was just made and that nobody has driven yet, and the parent folders made for it."""
    try:
        with FileLock(path / "lock", timeout=0):
            shutil.rmtree(path, ignore_errors=True)
    except Timeout:  # another process has opened it already
        return
    except OSError:  # there is not even room for a lock
        shutil.rmtree(path, ignore_errors=True)
    _unmake(above)


def entered(path: Path, above: Sequence[Path]) -> Folder:
    """Returns the opened folder of a run that was just made. If that fails, on a full disk say, the run is removed."""
    try:
        return Folder(path)
    except BaseException:
        unmake(path, above)
        raise


def undone(store: Store, above: Sequence[Path]) -> None:
    """Close the store of a run that was just made, and remove its folder."""
    store.close()
    if isinstance(store, Folder):
        unmake(store.path, above)


def check_free(path: Path) -> None:
    """Raises `RunError` if a run cannot be made there because the path is in use."""
    try:
        _check_nothing_there(path)
    except OSError as error:
        raise RunError(f"no run can be made at {path}: {error.strerror}; give another place as run=...") from None


def _check_nothing_there(path: Path) -> None:
    if os.path.lexists(path / "run.json"):
        race = False
        with suppress(RunError):
            race = "race" in read_about(path)["spec"]
        what, opened = ("race", "Race") if race else ("run", "Search")
        raise RunError(
            f"there is a {what} at {path} already; go on with it by {opened}.open({str(path)!r}), "
            f"or take a new folder: run=nl.runs.fresh({str(path)!r})"
        )
    if os.path.lexists(path) and not (is_folder(path) and not any(path.iterdir())):
        raise RunError(f"{path} is in use for something else; take a folder that is new or empty")
    # A run inside another would be removed, copied and swept with it.
    for above in resolved(path).parents:
        if os.path.isfile(above / "run.json") and os.path.lexists(above / "events.sqlite"):
            raise RunError(f"{path} is inside the run at {above}; take a folder outside it")


def _unmake(folders: Iterable[Path]) -> None:
    """Remove the given folders, the innermost first; one that is in use by now stays."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
