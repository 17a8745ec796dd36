"""Files in folders that may be a stranger's: a link, a pipe, a device or something endless may stand where a file is
expected.

Only regular files are read, never through a link, and only as far as they may be long. Nothing here waits.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 2**36
"""Bytes of the largest file that is read whole."""


class NotRegular(OSError):
    """Something else stands where a file or a folder of one's own is expected, or more than there may be."""

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        super().__init__(errno.EPERM, what, str(path))


def read(path: str | os.PathLike[str], most: int = LARGEST) -> bytes:
    """The whole of a regular file.

    Args:
        path: of the file; its folder may be reached through links, the file itself may be none.
        most: bytes that it may have.

    Raises:
        FileNotFoundError: there is nothing.
        NotRegular: it is a link, a pipe, a device, a folder, or too long.
        OSError: the disk is out of reach, or the file may not be read.
    """
    check_file(path)  # opening a device may do something
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    with open(file, "rb") as opened:
        found = os.fstat(file)
        _check(path, found, link=False)
        if found.st_size > most:
            raise NotRegular(path, f"it has {found.st_size} bytes, and {most} at most are expected")
        data = opened.read(most + 1)
    if len(data) > most:
        raise NotRegular(path, f"it does not end after {most} bytes")
    return data


def check_file(path: str | os.PathLike[str]) -> os.stat_result:
    """What the system says of a regular file; else the errors of `read`."""
    found = os.lstat(path)
    _check(path, found, link=False)
    return found


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether it is a regular file, and no link to one."""
    try:
        check_file(path)
    except (OSError, ValueError):
        return False
    return True


def check_pointed(path: str | os.PathLike[str], most: int = LARGEST) -> None:
    """`NotRegular` if a file that somebody names, through links or not, is none, or is longer than it may be."""
    found = os.stat(path)
    _check(path, found, link=True)
    if found.st_size > most:
        raise NotRegular(path, f"it has {found.st_size} bytes, and {most} at most are expected")


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


def _check(path: str | os.PathLike[str], found: os.stat_result, *, link: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        followed = "" if link else ", and no link"
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
