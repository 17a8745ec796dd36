"""The process that drives a run, and whether a process is alive."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from naslab import files


def driver(path: Path) -> dict[str, Any] | None:
    """Returns the process that drives the run, `{"pid": ..., "host": ...}`; None if there is none any more."""
    try:
        recorded = json.loads(files.read(path / "driver.json", 2**16))
        pid, host = int(recorded["pid"]), str(recorded["host"])[:255]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if host == socket.gethostname() and not is_living(pid):
        return None
    return {"pid": pid, "host": host}


def begun_at(pid: int) -> float:
    """Returns when a process began, in seconds since 1970; 0 if the system does not say."""
    # Field 22 of /proc/PID/stat: clock ticks from the boot of the system. The name before it may contain spaces and
    # brackets, so the fields are counted from the last ")", after which field 3 comes first.
    with suppress(OSError, ValueError, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def is_living(pid: int) -> bool:
    """True if a process of this id exists on this host; in doubt, True."""
    if os.name == "nt":  # there, 0 is CTRL_C_EVENT, which would interrupt the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # it exists and is another user's
        return True
    return True
