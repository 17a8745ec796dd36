"""Run folders that a killed process has left half made."""

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
"""What else than the journal is in a folder while it is made."""
SAME_TIME = 5.0
"""Seconds by which two clocks may differ."""
MAKING = "making"
"""Held by the process that is making a run, in the folder that it has put aside."""


def sweep(place: Path) -> None:
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
        elif file_system(aside) in NETWORK_FILE_SYSTEMS and time.time() < found.st_mtime + 86400:
            return False  # the number may be that of a process on another host
        return not is_living(pid) or begun_at(pid) > found.st_mtime + SAME_TIME
    except (OSError, Timeout):
        return False
