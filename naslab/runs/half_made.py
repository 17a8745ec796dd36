"""Removal of half-made run folders that a killed process has left (see `naslab.runs.creation`)."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from filelock import FileLock, Timeout

from naslab import files
from naslab.runs import acknowledged
from naslab.runs.places import NETWORK_FILE_SYSTEMS, file_system
from naslab.runs.processes import begun_at, is_living

PARTS = ("run.json", "snapshots", "lock", "making", acknowledged.NAME)
"""Names that may be in a half-made folder, besides those of the journal."""
SAME_TIME = 5.0
"""Tolerance in seconds between the clock of the system and that of the file system."""
MAKING = "making"
"""Name of the lock file that the process holds while it builds a folder."""


def sweep(place: Path) -> None:
    """Remove all abandoned half-made run folders in `place`, whatever the names of the runs would have been."""
    with os.scandir(place) as entries:
        left = [entry.name for entry in entries if _ASIDE.fullmatch(entry.name)]
    for name in left:
        if _abandoned(place / name, int(name.split(".")[-2])):
            shutil.rmtree(place / name, ignore_errors=True)


_ASIDE = re.compile(r"\..+\.[0-9]{1,10}\.new")  # .NAME.PID.new


def _abandoned(aside: Path, pid: int) -> bool:
    """True if the folder is a half-made run that no process is building any more. In doubt, False.

    The process that builds it holds a lock in it, but only from an instant after the folder appears. So the process id
    in its name must be gone as well, or belong to a process that began after the last change of the folder: the system
    reuses ids.
    """
    try:
        files.check_folder(aside)
        found, names = aside.lstat(), set(os.listdir(aside))
        if not all(name in PARTS or name.startswith(("events.sqlite", ".run.json.")) for name in names):
            return False  # it holds something that naslab does not write
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            return False
        if MAKING in names and os.name != "nt":
            files.check_own(aside / MAKING)
            FileLock(aside / MAKING, timeout=0).acquire().lock.release()
        elif file_system(aside) in NETWORK_FILE_SYSTEMS and time.time() < found.st_mtime + 86400:
            return False  # the id may be that of a process on another host: wait for a day
        return not is_living(pid) or begun_at(pid) > found.st_mtime + SAME_TIME
    except (OSError, Timeout):
        return False
