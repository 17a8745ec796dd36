"""Checks that stand alone: one that fails or takes too long is a row of the table, and not its end."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LONGEST = 90.0
"""Seconds of a check that says nothing else."""
KEPT_WARNINGS = 5
HERE = "naslab/"
"""A part of the path of the files that a failure is traced to."""


class OutOfTime(BaseException):
    """Ends a check. Not an `Exception`, which a compiler between it and its end might catch and go on."""


@dataclass(frozen=True)
class Row:
    """What a check found."""

    section: str
    check: str
    status: str
    """"ok", "failed", "stopped" if it took too long, or "left out"."""
    found: Mapping[str, Any]
    """Name of a figure, with its unit -> value; the error, if it failed; the reason, if it was left out."""
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = "; ".join(f"{name} {shown(value)}" for name, value in self.found.items())
        notes = f"; {len(self.warnings)} warnings" if self.warnings else ""
        return f"{self.section:14} {self.check:38} {self.status:8} {self.seconds:6.1f} s  {found}{notes}"


class Report:
    """The rows so far, within a time.

    Args:
        minutes: what all checks may take. One that has begun when they are over is stopped.
        head: about the machine, for the file.
        file: written after every check, for a GPU may take its process down with it; None for no file.
        clock: seconds.
        progress: called with each row, and with "" before each check.
    """

    def __init__(
        self,
        minutes: float,
        head: Mapping[str, Any],
        file: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        progress: Callable[[str], object] | None = None,
    ) -> None:
        self.rows: list[Row] = []
        self._head, self._file, self._clock = head, file, clock
        self._progress = progress or (lambda text: print(text, file=sys.stderr, flush=True))
        self._begun, self._seconds = clock(), 60 * minutes
        self._section = ""

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._begun + self._seconds - self._clock()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Inside, rows belong to this section. What fails between the checks is a row, too."""
        self._section = name
        try:
            yield
        except Exception as error:
            self._add(Row(name, "the section itself", "failed", failure(error)))

    def check(self, name: str, find: Callable[[], Mapping[str, Any]], *, most: float = LONGEST) -> Mapping[str, Any]:
        """Returns what was found, and makes a row of it; empty if it failed.

        Args:
            name: of the check.
            find: returns the figures by name.
            most: seconds after which it is stopped.
        """
        left = self.left
        if left <= 0:
            self.leave_out(name, "no time left")
            return {}
        self._progress(f"[{self._clock() - self._begun:4.0f} of {self._seconds:.0f} s] {self._section}: {name}")
        begun, found, status = self._clock(), {}, "ok"
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                with at_most(min(most, left)):
                    found = dict(find())
            except OutOfTime:
                status, found = "stopped", {"after": f"{min(most, left):.0f} s"}
            except Exception as error:
                status, found = "failed", failure(error)
        said = Counter(f"{warned.category.__name__}: {' '.join(str(warned.message).split()):.160}" for warned in seen)
        notes = [text for text, _ in said.most_common(KEPT_WARNINGS)]
        self._add(Row(self._section, name, status, found, round(self._clock() - begun, 2), notes))
        return found if status == "ok" else {}

    def leave_out(self, name: str, why: str) -> None:
        """Add a row for a check that cannot be done here."""
        self._add(Row(self._section, name, "left out", {"because": why}))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        if self._file is not None:
            about = {**self._head, "seconds": round(self._clock() - self._begun, 1)}
            text = json.dumps({**about, "rows": [asdict(each) for each in self.rows]}, indent=1, default=str)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(text + "\n")

    def table(self) -> str:
        """Returns all rows, and how many of them are not as they should be."""
        count = Counter(row.status for row in self.rows)
        counted = ", ".join(f"{number} {status}" for status, number in count.items())
        return "\n".join([*map(str, self.rows), f"\n{len(self.rows)} checks: {counted}"])

    @property
    def failed(self) -> bool:
        """True if a check failed."""
        return any(row.status == "failed" for row in self.rows)


def failure(error: Exception) -> dict[str, str]:
    """Returns an error, and the lines of naslab that it came through last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if HERE in frame.filename]
    places = [f"{frame.filename.rpartition(HERE)[2]}:{frame.lineno}" for frame in frames[-3:]]
    text = " ".join(str(error).split())
    return {"error": f"{type(error).__name__}: {text:.300}", "at": " < ".join(reversed(places))}


def shown(value: Any) -> str:
    """Returns a value as the table has it: numbers with four digits, lists without their quotes."""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    return str(value)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises `OutOfTime` in the code inside after so long, where the system has alarms; else it takes its time."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
