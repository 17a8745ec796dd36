"""How many events of a run were acknowledged, in a file of its own beside them.

SQLite drops what follows a damaged place in its log, or stands behind the end of a file that was cut short, without a
word: what is left is whole, only shorter. So each time that events stand durably their number is written here, after
them and therefore never ahead of them. The file is forced to the disk by nobody: it outlives the process, and where
the power fails it says too little, never too much.
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
"""Bytes of the file."""
_LINE = re.compile(rb"(\d{20}) ([0-9a-f]{8})\n")


class Acknowledged:
    """The number for one run folder, written by the process that writes its events; a disk error is ignored."""

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        self._number = self.read(folder)._number
        with suppress(OSError):
            self._file = _open(folder, os.O_RDWR | os.O_CREAT)
            if os.fstat(self._file).st_size > LENGTH:
                os.ftruncate(self._file, 0)

    @classmethod
    def read(cls, folder: Path) -> Acknowledged:
        """What stands in a folder now; nothing, where there is no such file, or it says nothing."""
        found = object.__new__(cls)
        found._file, found._number = None, 0
        with suppress(OSError):
            file = _open(folder, os.O_RDONLY)
            try:
                line = _LINE.fullmatch(os.read(file, 100))
            finally:
                os.close(file)
            if line is not None and _line(int(line[1])) == line[0]:
                found._number = int(line[1])
        return found

    def note(self, number: int) -> None:
        """Record that this many rows stand durably."""
        self._number = number
        if self._file is not None:
            with suppress(OSError):
                os.lseek(self._file, 0, os.SEEK_SET)
                os.write(self._file, _line(number))

    def missing(self, last: int) -> str:
        """The sentence for events whose last has this number; "" if none is missing."""
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
    """The file, if it is one: no link, no pipe, whatever a foreign folder has there."""
    quiet = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(folder / NAME, flags | quiet, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(f"{folder / NAME} is no file")
    return file


def _line(number: int) -> bytes:
    digits = f"{number:020d}".encode()
    return digits + f" {zlib.crc32(digits):08x}\n".encode()
