"""Safe access to files in folders that may come from a stranger.

Where a file is expected there may be a link to a file outside the folder, a pipe that blocks for ever, a device, or a
file that fills the memory. So only regular files are read, never through a link and only up to a given length.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LARGEST = 2**36
"""Largest size in bytes of a file that is read."""


class NotRegular(OSError):
    """A path is not a regular file or a plain folder, has a second hard link, or is too large."""

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        super().__init__(errno.EPERM, what, str(path))


@contextmanager
def opened(path: str | os.PathLike[str], most: int = LARGEST, *, links: bool = False) -> Iterator[BinaryIO]:
    """Opens a regular file for reading.

    Args:
        path: of the file; its folder may be reached through links.
        most: largest size in bytes.
        links: allow the path itself to be a link, as for a path that the user gave.

    Raises:
        FileNotFoundError: there is nothing.
        NotRegular: it is a link, a pipe, a device, a folder, or too long.
        OSError: the disk is out of reach, or the file may not be read.
    """
    _check(path, os.stat(path) if links else os.lstat(path), links)  # first: opening a device may have effects
    # The file may be replaced between this check and the opening. O_NOFOLLOW then refuses a link, O_NONBLOCK keeps a
    # pipe from blocking, and the check is repeated on what was opened.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    number = os.open(path, flags if links else flags | getattr(os, "O_NOFOLLOW", 0))
    with open(number, "rb") as file:
        found = os.fstat(number)
        _check(path, found, links)
        if found.st_size > most:
            raise NotRegular(path, f"it has {found.st_size} bytes, and {most} at most are expected")
        yield file


def read(path: str | os.PathLike[str], most: int = LARGEST, *, links: bool = False) -> bytes:
    """Returns the content of a regular file; see `opened`."""
    with opened(path, most, links=links) as file:
        return rest(file)


def rest(file: BinaryIO) -> bytes:
    """Returns the rest of a file up to its current length, even if another process keeps appending to it."""
    return file.read(max(0, os.fstat(file.fileno()).st_size - file.tell()))


def check_file(path: str | os.PathLike[str]) -> os.stat_result:
    """Returns the status of a regular file; raises the errors of `opened` for anything else."""
    found = os.lstat(path)
    _check(path, found, links=False)
    return found


def is_file(path: str | os.PathLike[str]) -> bool:
    """True for a regular file that is no link."""
    try:
        check_file(path)
    except (OSError, ValueError):
        return False
    return True


def check_own(path: str | os.PathLike[str]) -> None:
    """Raises `NotRegular` unless the path, if it exists, is a regular file with a single hard link: a write to it would
    otherwise change a file in another place.
    """
    try:
        found = check_file(path)
    except FileNotFoundError:
        return
    if found.st_nlink > 1:
        raise NotRegular(path, "it is also a file somewhere else (a hard link); take a copy of the folder")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raises `NotRegular` unless the path, if it exists, is a folder and no link to one."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or _is_junction(found):
        raise NotRegular(path, f"it is {_kind(found)}, and a folder is expected")


def remove(path: Path) -> None:
    """Remove a file, or a link itself. Does nothing for a folder, or if there is nothing."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        return


def _check(path: str | os.PathLike[str], found: os.stat_result, links: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        followed = "" if links else ", and no link"
        raise NotRegular(path, f"it is {_kind(found)}; a file is expected{followed}")


def _is_junction(found: os.stat_result) -> bool:
    """True for a junction, a second kind of link on Windows."""
    return bool(getattr(found, "st_reparse_tag", 0))


def _kind(found: os.stat_result) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFDIR: "a folder",
        stat.S_IFSOCK: "a socket",
        stat.S_IFREG: "a file",
    }
    return kinds.get(stat.S_IFMT(found.st_mode), "a device")
