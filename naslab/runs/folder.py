"""A run folder that this process drives.

    runs/darts-1/
        run.json          space, task, searcher, settings and seed; direction and unit of each metric in the events;
                          origin of a fork; a checksum (naslab.runs.about)
        events.sqlite     every event (naslab.runs.journal); while it is driven, and after a kill, with a log beside it
        acknowledged      number of committed events (naslab.runs.acknowledged)
        snapshots/        step-00000050.snapshot, ... (naslab.snapshot): shortcuts, all of which can be recomputed
        candidates/       trainings of candidates (naslab.searchers.kept_trainings), which can be trained again
        blobs/            states that were kept by `search.keep` or by the searcher (naslab.blobs)
        lock              held by the process that drives the run; the system releases it when that process dies
        driver.json       process id and host of that process
        events.1.sqlite, run.1.json     the run in an earlier format, before conversion (naslab.runs.conversion)

What makes a folder safe:

- It is built under a hidden name and renamed into place, so that it is there complete or not at all.
- The events are the truth. A step counts once its transaction is committed; everything else can be recomputed.
- A file that is not the database is never written in place, but replaced by a rename (`naslab.snapshot.write_bytes`).
- Every file has a checksum, and each snapshot carries that of its row: it cannot be used with another run or branch.
- Only the owner of the lock writes; a second writer would be noticed by its rows (`naslab.runs.journal.Superseded`).

A folder may come from a stranger. So links, pipes and devices in it are refused, the length of a file is checked before
it is read, a file with a second hard link is not written to, and `run.json` is checked before it is used.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from naslab import files, snapshot
from naslab.analysis.memory import available
from naslab.blobs import Blobs
from naslab.errors import RunError, SnapshotDamaged
from naslab.events import Event
from naslab.runs import about as run_json
from naslab.runs import acknowledged, environment
from naslab.runs.about import read_about
from naslab.runs.branches import DeadEnd, Record, Row
from naslab.runs.conversion import convert
from naslab.runs.database import EventsDamaged
from naslab.runs.half_made import MAKING, sweep
from naslab.runs.journal import Journal
from naslab.runs.places import free_space, warn_of_network
from naslab.runs.processes import driver
from naslab.runs.store import kept
from naslab.snapshot import State

MOMENT = "run/moment"
"""Key in a snapshot for the checksum of the journal's row that it belongs to."""

BLOBS = "blobs"
"""Subfolder for states that are kept by their checksum."""
CANDIDATES = "candidates"
"""Subfolder for trainings of candidates."""
WRITTEN = ("lock", acknowledged.NAME, *(f"events.sqlite{more}" for more in ("", "-wal", "-shm", "-journal")))
"""Files that are written in place while a run is driven. All others are replaced as a whole."""


class Folder:
    """A run folder that this process drives. A `naslab.runs.store.Store`.

    Args:
        path: the folder.
        begin: the call that makes such a run, for the error if there is none.
        device: where it computes from now on, if not where it began.

    Raises:
        RunError: there is no run, another process drives it, or it cannot be read or written.
        EventsDamaged: its events are damaged; the error names the newest intact snapshot.
    """

    def __init__(self, path: Path, begin: str = "Search(searcher, run=...)", *, device: str | None = None) -> None:
        self.path = path
        about = read_about(path, begin)
        self.spec: dict[str, Any] = about["spec"]
        self.task: str = about["task"]
        self.every: int = about["every"]
        self.metrics = run_json.metrics_of(about)
        """Name -> direction and unit of the metrics in the events."""
        self.run: str = about["run"]
        self.parent: Mapping[str, Any] | None = about["parent"]
        self.notes = [
            f"the environment has changed, and with it perhaps the last bits: {difference}"
            for difference in environment.differences(about["environment"], environment.of_spec(self.spec, device))
        ]
        """Warnings to report when the run is opened."""
        self.candidates = path / CANDIDATES
        """Folder for trainings of candidates; it need not exist."""
        self.blobs = Blobs(path / BLOBS)
        _check_regular(path)
        # The lock belongs to the process and not to a thread, for any thread may call `next`.
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
            with suppress(OSError):  # information for others only; a full disk must not keep a run from being opened
                me = {"pid": os.getpid(), "host": socket.gethostname()}
                snapshot.write_bytes(path / "driver.json", json.dumps(me).encode())
            (path / "snapshots").mkdir(exist_ok=True)
            # Half-written files of a killed process. They are safe to remove, for this process holds the lock.
            for leftover in (
                path / MAKING,
                *path.glob(".*.tmp"),
                *(path / "snapshots").glob(".*.tmp"),
                *self.candidates.glob(".*.tmp"),
                *(path / BLOBS).glob(".*.tmp"),
            ):
                files.remove(leftover)
            with suppress(OSError):
                sweep(path.parent)
            self.converted = convert(path)
            """Sentence that reports a conversion from an earlier format; empty if there was none."""
            self._inode = (path / "events.sqlite").stat().st_ino
            self._journal = Journal(path / "events.sqlite", self.run, wal=not warn_of_network(path))
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
        # The journal first: a snapshot of an abandoned step that a kill leaves behind is recognised by its checksum.
        self._journal.abandon(step)
        for later in self.snapshots():
            if later > step:
                snapshot_path(self.path, later).unlink(missing_ok=True)

    def dead_ends(self) -> Sequence[DeadEnd]:
        return self._journal.dead_ends()

    def save(self, step: int, state: State) -> None:
        self._must_be_there()
        self._journal.check_alone()  # before a snapshot of another writer is replaced
        snapshot.write(snapshot_path(self.path, step), {**state, MOMENT: self._journal.digest(step)})
        # Old ones are deleted only after the new one is durable, so that there is always one to begin with.
        standing = self.snapshots()
        for old in set(standing) - kept(standing, self.every):
            snapshot_path(self.path, old).unlink(missing_ok=True)

    def load(self, step: int) -> State:
        path = snapshot_path(self.path, step)
        state = _read(path)
        if not self._journal.is_of(step, str(state.pop(MOMENT, ""))):
            raise SnapshotDamaged(f"the snapshot {path} belongs to another moment or another run")
        return state

    def snapshots(self) -> list[int]:
        return snapshots_in(self.path)

    def set_aside(self, step: int) -> None:
        path = snapshot_path(self.path, step)
        with suppress(OSError):
            path.replace(path.with_suffix(".damaged"))

    def close(self) -> None:
        if self._closed:  # by now another process may drive the folder
            return
        self._closed = True
        self._journal.close()
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        with suppress(OSError):
            if driver(self.path) == me:  # False if a second process drives it in spite of the lock
                (self.path / "driver.json").unlink(missing_ok=True)
        self._lock.release()

    def _must_be_there(self) -> None:
        """Raises `OSError` if the database is not the one that was opened.

        Writes to a file that was deleted or replaced succeed, and are lost when the process ends.
        """
        file = self.path / "events.sqlite"
        if file.stat().st_ino != self._inode:
            raise OSError(errno.ESTALE, "it has been replaced by another file", str(file))

    def _rescue(self) -> str:
        """Returns a sentence that names the newest intact snapshot of a run whose events are damaged; "" for none."""
        for step in reversed(self.snapshots()):
            newest = snapshot_path(self.path, step)
            with suppress(SnapshotDamaged, FileNotFoundError):
                _read(newest)
                return (
                    f". The state after step {step} (weights, architecture) is whole: "
                    f"naslab.snapshot.read({str(newest)!r}) gives it"
                )
        return ""

    def _lost_events(self) -> list[str]:
        """Returns a sentence if the end of the journal is lost, as the acknowledged count or a later snapshot shows."""
        end = self._journal.last_step()
        lost = []
        for step in self.snapshots():
            if step > end:
                with suppress(SnapshotDamaged):
                    # A later snapshot whose row is known belongs to an abandoned branch: nothing is lost.
                    if not self._journal.knows(str(_read(snapshot_path(self.path, step)).get(MOMENT))):
                        lost.append(step)
        sentences = [self._journal.missing] if self._journal.missing else []
        if lost:
            sentences.insert(0, f"the events end at step {end}, although there is a snapshot of step {lost[-1]}")
        return [f"{'; '.join(sentences)}; what is gone is done again"] if sentences else []


_SNAPSHOT = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,15})\.snapshot")


def snapshots_in(run: Path) -> list[int]:
    """Returns the steps of the snapshots in a run folder, in order."""
    try:
        found = [path.name for path in (run / "snapshots").glob("step-*.snapshot")]
    except OSError:  # the disk is out of reach; all of them can be recomputed
        return []
    return sorted(int(step[1]) for name in found if (step := _SNAPSHOT.fullmatch(name)))


def _read(path: Path) -> State:
    """Returns the content of a snapshot; `SnapshotDamaged` if it is larger than the free memory."""
    return snapshot.read(path, most=available() or files.LARGEST, links=False)


def snapshot_path(folder: Path, step: int) -> Path:
    return folder / "snapshots" / f"step-{step:08d}.snapshot"


def _check_regular(path: Path) -> None:
    """Raises `RunError` if a file to be written is a link, a pipe or a device, or has a second hard link."""
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
