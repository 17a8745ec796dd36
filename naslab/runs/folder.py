"""A run on disk.

    runs/darts-1/
        run.json          what is searched, by whom, on what, with which seed; what is known of each number in the
                          events; where a fork comes from; a checksum (naslab.runs.about)
        events.sqlite     every event (naslab.runs.journal); while it is driven, and after a kill, with a log beside it
        acknowledged      how many there are (naslab.runs.acknowledged)
        snapshots/        step-00000050.snapshot, ... (naslab.snapshot): shortcuts, all can be computed again
        candidates/       trainings of candidates (naslab.searchers.kept_trainings): can be trained again
        blobs/            states that were kept by `search.keep` or by the searcher (naslab.blobs)
        lock              held by the process that drives the run; the system lets go of it when that dies
        driver.json       who that is
        events.1.sqlite, run.1.json     what stood there in an earlier format (naslab.runs.conversion)

A folder is built aside under a hidden name and renamed into place, so that a run is there whole or not at all.

A folder may be a stranger's. So nothing in it is a link, a pipe or a device, or is read before it is known how long it
is; nothing is written to that stands in another place, too; and what `run.json` says is checked before it is used.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import time
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from naslab import files, snapshot
from naslab.analysis.memory import available
from naslab.blobs import Blobs
from naslab.errors import RunError, SnapshotDamaged
from naslab.events import Event
from naslab.paths import is_folder, path_of, resolved
from naslab.quantities import Quantity
from naslab.runs import about as run_json
from naslab.runs import acknowledged, environment
from naslab.runs.about import read_about
from naslab.runs.branches import DeadEnd, Record, Row
from naslab.runs.conversion import convert
from naslab.runs.database import EventsDamaged
from naslab.runs.journal import Journal
from naslab.runs.shown import Shown
from naslab.runs.store import Store, kept
from naslab.snapshot import State

_MOMENT = "run/moment"
"""Name under which a snapshot carries the checksum of the journal's row that it belongs to."""

BLOBS = "blobs"
"""Name of the folder for states that are kept by their checksum."""
CANDIDATES = "candidates"
"""Name of the folder for trainings of candidates."""
WRITTEN = ("lock", acknowledged.NAME, *(f"events.sqlite{more}" for more in ("", "-wal", "-shm", "-journal")))
"""What is written to while a run is driven. Everything else is replaced as a whole."""
PARTS = ("run.json", "snapshots", "lock", "making", acknowledged.NAME)
"""What else than the journal is in a folder while it is made."""
SAME_TIME = 5.0
"""Seconds by which two clocks may differ."""
MAKING = "making"
"""Held by the process that is making a run, in the folder that it has put aside."""
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs"}


def located(run: str | os.PathLike[str]) -> Path:
    """Where a run is, whatever the working directory becomes; `~` is the home folder."""
    return _path(run).absolute()


def fresh(base: str | os.PathLike[str]) -> Path:
    """The first of `base-1`, `base-2`, ... that does not exist yet."""
    base = _path(base)
    if not base.name:
        raise RunError(f"{str(base)!r} is no name for a run; give one, for instance 'runs/darts'")
    number = 1
    while os.path.lexists(path := base.with_name(f"{base.name}-{number}")):
        number += 1
    return path


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
    """Make a run folder at `path`, where nothing or an empty folder is.

    Args:
        path: the folder to be.
        spec: of the searcher.
        total: steps of the whole search.
        task: fingerprint of the data.
        every: steps from one snapshot to the next.
        states: step -> state; step 0 at least.
        metrics: what is known of the numbers in its events, by name.
        shown: what of the task stands beside them.
        rows: the events to begin with.
        parent: what this is a fork of.

    Returns:
        The folders above it that had to be made, the innermost first.
    """
    check_free(path)
    made = [above for above in path.parents if not os.path.lexists(above)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        wal = not _warn_of_network(path.parent)
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
        "environment": environment.fingerprint(spec.get("threads")),
        "parent": None if parent is None else dict(parent),
    }
    making = FileLock(aside / MAKING, timeout=0, thread_local=False)
    there = False
    try:
        (aside / "snapshots").mkdir(mode=0o700, parents=True)
        aside.chmod(0o700)
        if os.name != "nt":  # Windows does not rename a folder in which a file is open
            making.acquire()
        journal = Journal.create(aside / "events.sqlite", about["run"], rows, wal=wal)
        try:
            for step, state in states.items():
                snapshot.write(_snapshot(aside, step), {**state, _MOMENT: journal.digest(step)})
        finally:
            journal.close()
        snapshot.write_bytes(aside / "run.json", run_json.sealed(about))
        os.rename(aside, path)
        there = True
        snapshot.sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(path if there else aside, ignore_errors=True)
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
    """Take away a run that was made a moment ago and that nobody has driven yet, and the folders made for it."""
    try:
        with FileLock(path / "lock", timeout=0):
            shutil.rmtree(path, ignore_errors=True)
    except Timeout:  # somebody was quick
        return
    except OSError:  # there is not even room for a lock
        shutil.rmtree(path, ignore_errors=True)
    _unmake(above)


def driver(path: Path) -> dict[str, Any] | None:
    """The process that drives the run, `{"pid": ..., "host": ...}`; None when there is none any more."""
    try:
        told = json.loads(files.read(path / "driver.json", 2**16))
        pid, host = int(told["pid"]), str(told["host"])[:255]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if host == socket.gethostname() and not _living(pid):
        return None
    return {"pid": pid, "host": host}


def free_space(path: Path) -> str:
    with suppress(OSError):
        return f"{shutil.disk_usage(path).free / 1e6:.1f} MB are free there"
    return "how much is free there is unknown"


class Folder:
    """A run folder that this process drives. A `naslab.runs.store.Store`.

    Args:
        path: of the run.
        begin: what makes one, for who finds none.
    """

    def __init__(self, path: Path, begin: str = "Search(searcher, run=...)") -> None:
        self.path = path
        about = read_about(path, begin)
        self.spec: dict[str, Any] = about["spec"]
        self.task: str = about["task"]
        self.every: int = about["every"]
        self.metrics = run_json.metrics_of(about)
        """What is known of the numbers in the events, by name."""
        self.run: str = about["run"]
        self.parent: Mapping[str, Any] | None = about["parent"]
        self.notes = [
            f"the environment has changed, and with it perhaps the last bits: {difference}"
            for difference in environment.differences(
                about["environment"], environment.fingerprint(self.spec.get("threads"))
            )
        ]
        """What whoever opens the run should know."""
        self.candidates = path / CANDIDATES
        """Where candidates' trainings are kept, if there are any."""
        self.blobs = Blobs(path / BLOBS)
        _check_regular(path)
        # Any thread may drive, so the lock belongs to none.
        self._lock = FileLock(path / "lock", timeout=0, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout:
            other = driver(path)
            who = f"process {other['pid']} on {other['host']}" if other else "another process"
            if "race" in self.spec:
                raise RunError(
                    f"the race at {path} is being driven by {who}; stop it there first, with race.close(), and then "
                    f"use Race.open({str(path)!r})"
                ) from None
            raise RunError(
                f"the run at {path} is being driven by {who}; follow it with Lab.watch({str(path)!r}) or "
                f"nl.runs.read({str(path)!r}), or stop it there first and then use Search.open({str(path)!r})"
            ) from None
        except OSError as error:
            raise RunError(
                f"the run at {path} cannot be driven by whoever may not write to it: {error}. Look at it with "
                f"nl.runs.read({str(path)!r}) or Lab.watch({str(path)!r}), or copy it to a place of your own and open "
                "it there"
            ) from error
        try:
            with suppress(OSError):  # a courtesy to others; a full disk must not keep one from opening
                me = {"pid": os.getpid(), "host": socket.gethostname()}
                snapshot.write_bytes(path / "driver.json", json.dumps(me).encode())
            (path / "snapshots").mkdir(exist_ok=True)
            for leftover in (
                path / MAKING,
                *path.glob(".*.tmp"),
                *(path / "snapshots").glob(".*.tmp"),
                *self.candidates.glob(".*.tmp"),
                *(path / BLOBS).glob(".*.tmp"),
            ):
                files.remove(leftover)
            with suppress(OSError):
                _sweep(path.parent)
            self.converted = convert(path)
            """A sentence, if the folder was of an earlier format until now; else empty."""
            self._inode = (path / "events.sqlite").stat().st_ino
            self._journal = Journal(path / "events.sqlite", self.run, wal=not _warn_of_network(path))
        except OSError as error:
            self._lock.release()
            raise RunError(f"the run at {path} cannot be opened: {error}; {free_space(path)}") from error
        except EventsDamaged as error:
            self._lock.release()
            raise EventsDamaged(f"{error}{self._rescue()}") from error
        except BaseException:
            self._lock.release()
            raise
        self._closed = False
        self.notes += self._lost_events()
        if self._journal.left:
            self.notes.append(
                f"two processes have driven this run at once: it goes on from the longer branch, at step "
                f"{self._journal.last_step()}, and the {self._journal.left} events of the other are kept as abandoned"
            )

    def append(self, events: Sequence[Event]) -> None:
        self._must_be_there()
        self._journal.append(events)

    def rows(self) -> Sequence[Row | Record]:
        return self._journal.rows()

    def abandon(self, step: int) -> None:
        self._must_be_there()
        self._journal.abandon(step)
        for later in self.snapshots():
            if later > step:
                _snapshot(self.path, later).unlink(missing_ok=True)

    def dead_ends(self) -> Sequence[DeadEnd]:
        return self._journal.dead_ends()

    def save(self, step: int, state: State) -> None:
        self._must_be_there()
        self._journal.check_alone()
        snapshot.write(_snapshot(self.path, step), {**state, _MOMENT: self._journal.digest(step)})
        standing = self.snapshots()
        for old in set(standing) - kept(standing, self.every):
            _snapshot(self.path, old).unlink(missing_ok=True)

    def load(self, step: int) -> State:
        path = _snapshot(self.path, step)
        state = _read(path)
        if not self._journal.is_of(step, str(state.pop(_MOMENT, ""))):
            raise SnapshotDamaged(f"the snapshot {path} belongs to another moment or another run")
        return state

    def snapshots(self) -> list[int]:
        return snapshots_in(self.path)

    def set_aside(self, step: int) -> None:
        path = _snapshot(self.path, step)
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))

    def close(self) -> None:
        if self._closed:  # by now the folder may be another's
            return
        self._closed = True
        self._journal.close()
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        with suppress(OSError):
            if driver(self.path) == me:  # not another that drives although it should not
                (self.path / "driver.json").unlink(missing_ok=True)
        self._lock.release()

    def _must_be_there(self) -> None:
        """A file that was deleted or replaced still takes what is written to it, and keeps none of it."""
        file = self.path / "events.sqlite"
        if file.stat().st_ino != self._inode:
            raise OSError(errno.ESTALE, "it has been replaced by another file", str(file))

    def _rescue(self) -> str:
        """What can still be had of a run without its events."""
        for step in reversed(self.snapshots()):
            newest = _snapshot(self.path, step)
            with suppress(SnapshotDamaged, FileNotFoundError):
                _read(newest)
                return (
                    f". The state after step {step} (weights, architecture) is whole: "
                    f"naslab.snapshot.read({str(newest)!r}) gives it"
                )
        return ""

    def _lost_events(self) -> list[str]:
        """A sentence if the end of the journal is gone, as the acknowledged count or a later snapshot shows."""
        end = self._journal.last_step()
        lost = []
        for step in self.snapshots():
            if step > end:
                with suppress(SnapshotDamaged):
                    if not self._journal.knows(str(_read(_snapshot(self.path, step)).get(_MOMENT))):
                        lost.append(step)
        told = [self._journal.missing] if self._journal.missing else []
        if lost:
            told.insert(0, f"the events end at step {end}, although there is a snapshot of step {lost[-1]}")
        return [f"{'; '.join(told)}; what is gone is done again"] if told else []


def entered(path: Path, above: Sequence[Path]) -> Folder:
    """A run that was made a moment ago. Where it cannot be driven, on a full disk, say, nothing of it is left."""
    try:
        return Folder(path)
    except BaseException:
        unmake(path, above)
        raise


def undone(store: Store, above: Sequence[Path]) -> None:
    """Let go of a run that was made a moment ago, and leave nothing of it."""
    store.close()
    if isinstance(store, Folder):
        unmake(store.path, above)


_SNAPSHOT = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,15})\.snapshot")


def snapshots_in(run: Path) -> list[int]:
    """Steps of the snapshots in the folder of a run, in order."""
    try:
        found = [path.name for path in (run / "snapshots").glob("step-*.snapshot")]
    except OSError:  # the disk is out of reach, and all of them can be computed again
        return []
    return sorted(int(step[1]) for name in found if (step := _SNAPSHOT.fullmatch(name)))


def _read(path: Path) -> State:
    """A snapshot, if it can be in memory."""
    return snapshot.read(path, most=available() or files.LARGEST, links=False)


def _snapshot(folder: Path, step: int) -> Path:
    return folder / "snapshots" / f"step-{step:08d}.snapshot"


def _path(run: str | os.PathLike[str]) -> Path:
    if isinstance(run, str) and not run.strip():
        raise RunError("the path of a run is empty; give one, for instance nl.runs.fresh('runs/darts')")
    return path_of("the folder of a run", run, error=RunError)


def check_free(path: Path) -> None:
    """`RunError` if a run cannot be made there, for something is there already."""
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
    for above in resolved(path).parents:
        if os.path.isfile(above / "run.json") and os.path.lexists(above / "events.sqlite"):
            raise RunError(f"{path} is inside the run at {above}; take a folder outside it")


def _check_regular(path: Path) -> None:
    """`RunError` if what is to be written to is a link, a pipe or a device, or stands in another place, too."""
    try:
        for name in WRITTEN:
            files.check_own(path / name)
        for name in ("snapshots", CANDIDATES, BLOBS):
            files.check_folder(path / name)
    except OSError as error:
        raise RunError(
            f"the run at {path} is not opened: {error.filename}: {error.strerror}. A run is a folder with files of its "
            "own; nothing was changed"
        ) from None


def _unmake(folders: Iterable[Path]) -> None:
    """Remove folders again, the innermost first, that were made for nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _sweep(place: Path) -> None:
    """Remove what creations of runs that were killed have left in a folder, whatever the runs were to be called."""
    with os.scandir(place) as entries:
        left = [entry.name for entry in entries if _ASIDE.fullmatch(entry.name)]
    for name in left:
        if _abandoned(place / name, int(name.split(".")[-2])):
            shutil.rmtree(place / name, ignore_errors=True)


_ASIDE = re.compile(r"\..+\.[0-9]{1,10}\.new")


def _abandoned(aside: Path, pid: int) -> bool:
    """Whether a folder is a run half made, and nobody makes it any more.

    Who makes one holds a lock in it, from an instant after it is there. Besides, the process of that number counts, and
    whether it had begun when the folder was last changed: numbers are given again.
    """
    try:
        files.check_folder(aside)
        found, names = aside.lstat(), set(os.listdir(aside))
        if not all(name in PARTS or name.startswith(("events.sqlite", ".run.json.")) for name in names):
            return False  # whatever it is, it is none of ours
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            return False
        if MAKING in names and os.name != "nt":
            files.check_own(aside / MAKING)
            FileLock(aside / MAKING, timeout=0).acquire().lock.release()
        elif file_system(aside) in _NETWORK and time.time() < found.st_mtime + 86400:
            return False  # the number may be that of a process on another host
        return not _living(pid) or _begun(pid) > found.st_mtime + SAME_TIME
    except (OSError, Timeout):
        return False


def _begun(pid: int) -> float:
    """When a process began, in seconds since 1970; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def _living(pid: int) -> bool:
    if os.name == "nt":  # signal 0 is not a question there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _warn_of_network(path: Path) -> bool:
    """Whether the folder is on a network file system, where SQLite's fast journal does not work."""
    kind = file_system(path)
    if kind not in _NETWORK and not kind.startswith("fuse."):
        return False
    warnings.warn(
        f"{path} is on a network file system ({kind}): the run is kept there more slowly, and two hosts must not "
        "drive it at once; a local folder is better",
        stacklevel=2,
    )
    return True


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Type of the file system that holds the path, as Linux names it; empty elsewhere."""
    if not mounts.exists():
        return ""
    best, kind = "", ""
    place = str(resolved(path))
    for line in mounts.read_text(errors="replace").splitlines():
        _, mount, found, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = mount == "/" or place == mount or place.startswith(mount + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind
