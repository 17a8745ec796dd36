"""Which process drives a run, and whether a process is still there."""

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
    """The process that drives the run, `{"pid": ..., "host": ...}`; None when there is none any more."""
    try:
        told = json.loads(files.read(path / "driver.json", 2**16))
        pid, host = int(told["pid"]), str(told["host"])[:255]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if host == socket.gethostname() and not is_living(pid):
        return None
    return {"pid": pid, "host": host}


def begun_at(pid: int) -> float:
    """When a process began, in seconds since 1970; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def is_living(pid: int) -> bool:
    if os.name == "nt":  # signal 0 is not a question there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
