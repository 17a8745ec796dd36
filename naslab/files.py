"""Files in folders that may be a stranger's: a link, a pipe, a device or something endless may stand where a file is
expected.

Only regular files are read, never through a link, and only as far as they may be long. Nothing here waits.
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
"""Bytes of the largest file that is read whole."""


class NotRegular(OSError):
    """Something else stands where a file or a folder of one's own is expected, or more than there may be."""

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        super().__init__(errno.EPERM, what, str(path))


@contextmanager
def opened(path: str | os.PathLike[str], most: int = LARGEST, *, links: bool = False) -> Iterator[BinaryIO]:
    """A regular file, to be read.

    Args:
        path: of the file; its folder may be reached through links.
        most: bytes that it may have.
        links: whether it may be a link to one, as what a user names may be.

    Raises:
        FileNotFoundError: there is nothing.
        NotRegular: it is a link, a pipe, a device, a folder, or too long.
        OSError: the disk is out of reach, or the file may not be read.
    """
    _check(path, os.stat(path) if links else os.lstat(path), links)  # to open a device may do something already
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    number = os.open(path, flags if links else flags | getattr(os, "O_NOFOLLOW", 0))
    with open(number, "rb") as file:
        found = os.fstat(number)
        _check(path, found, links)
        if found.st_size > most:
            raise NotRegular(path, f"it has {found.st_size} bytes, and {most} at most are expected")
        yield file


def read(path: str | os.PathLike[str], most: int = LARGEST, *, links: bool = False) -> bytes:
    """The whole of a regular file; see `opened`."""
    with opened(path, most, links=links) as file:
        return rest(file)


def rest(file: BinaryIO) -> bytes:
    """What is left of a file, as long as it is now: one that has no end is cut there."""
    return file.read(max(0, os.fstat(file.fileno()).st_size - file.tell()))


def check_file(path: str | os.PathLike[str]) -> os.stat_result:
    """What the system says of a regular file; else the errors of `read`."""
    found = os.lstat(path)
    _check(path, found, links=False)
    return found


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether it is a regular file, and no link to one."""
    try:
        check_file(path)
    except (OSError, ValueError):
        return False
    return True


def check_own(path: str | os.PathLike[str]) -> None:
    """`NotRegular` if a file that is to be written to is something else, or stands in another place too, where it would
    be changed as well. There may be nothing.
    """
    try:
        found = check_file(path)
    except FileNotFoundError:
        return
    if found.st_nlink > 1:
        raise NotRegular(path, "it is also a file somewhere else (a hard link); take a copy of the folder")


def check_folder(path: str | os.PathLike[str]) -> None:
    """`NotRegular` if something else than a folder is there, a link to one, say. There may be nothing."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or _is_junction(found):
        raise NotRegular(path, f"it is {_kind(found)}, and a folder is expected")


def remove(path: Path) -> None:
    """Take a file away, or a link itself; nothing if there is nothing, or something else."""
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
    """Whether it is Windows' other kind of link."""
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
