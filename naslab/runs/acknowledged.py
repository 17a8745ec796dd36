"""The number of events that were committed, in a file of its own beside the database.

If the write-ahead log of SQLite is damaged or cut short, SQLite silently drops everything from that place on: the
database that remains is consistent, only shorter, and nothing in it tells that events are missing. So after each commit
the number of the last row is written to this file.

The order matters: commit (SQLite calls fsync), then this number. It is therefore never ahead of the durable events, and
a number above the last row proves a loss. The file itself is not forced to the disk, which would double the cost of a
step: after a kill of the process the operating system still has it, and after a power failure it may be too low, in
which case a loss is missed but none is invented.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from contextlib import suppress
from pathlib import Path

NAME = "acknowledged"
LENGTH = 30
"""Size of the file in bytes: 20 digits, a space, 8 hexadecimal digits of a CRC-32, a newline."""
_LINE = re.compile(rb"(\d{20}) ([0-9a-f]{8})\n")


class Acknowledged:
    """Number of the last committed event of a run folder, written by the process that writes the events.

    Disk errors are ignored: the file is a check on the events, and a run must not fail because of it.
    """

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        self._number = self.read(folder)._number
        with suppress(OSError):
            self._file = _open(folder, os.O_RDWR | os.O_CREAT)
            if os.fstat(self._file).st_size > LENGTH:
                os.ftruncate(self._file, 0)

    @classmethod
    def read(cls, folder: Path) -> Acknowledged:
        """Returns the number that stands in a folder; 0 if the file is missing or invalid."""
        found = object.__new__(cls)
        found._file, found._number = None, 0
        with suppress(OSError):
            file = _open(folder, os.O_RDONLY)
            try:
                line = _LINE.fullmatch(os.read(file, 100))
            finally:
                os.close(file)
            # A write that a kill broke off leaves a wrong CRC: it counts as no number.
            if line is not None and _line(int(line[1])) == line[0]:
                found._number = int(line[1])
        return found

    def note(self, number: int) -> None:
        """Record the number of the last row, once that is committed."""
        self._number = number
        if self._file is not None:
            with suppress(OSError):
                os.lseek(self._file, 0, os.SEEK_SET)
                os.write(self._file, _line(number))

    def missing(self, last: int) -> str:
        """Returns a sentence about lost events if the last row that is there has this number; "" if none is lost."""
        if last >= self._number:
            return ""
        return (
            f"the events end at number {last}, although {self._number} were acknowledged: {self._number - last} are "
            "lost, for the file of the events or the log beside it is damaged"
        )

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)


def _open(folder: Path, flags: int) -> int:
    """Opens the file; `OSError` unless it is a regular file: in a foreign folder it may be a link or a pipe."""
    quiet = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(folder / NAME, flags | quiet, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{folder / NAME} is no file")
    return file


def _line(number: int) -> bytes:
    digits = f"{number:020d}".encode()
    return digits + f" {zlib.crc32(digits):08x}\n".encode()
