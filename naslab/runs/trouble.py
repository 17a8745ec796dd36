"""Errors for writes that the disk refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from naslab.errors import RunPaused
from naslab.runs.journal import Superseded
from naslab.runs.places import free_space


def paused(what: str, where: Path, error: Superseded | OSError) -> RunPaused | Superseded:
    """Returns the exception to raise for an error of the store: `RunPaused`, with advice, for one of the disk.

    Args:
        what: what could not be written, in words.
        where: the run folder.
        error: the error.
    """
    if isinstance(error, Superseded):
        return Superseded(f"{error}. search.fork(new folder) keeps what is only in memory here")
    if (gone := _gone(where)) or error.errno == errno.ESTALE:
        lost = "the folder is gone" if gone else str(error.strerror)
        return RunPaused(
            f"{what} could not be written to {where}: {lost} ({error}). Nothing is lost: put it back and call "
            "next again, or search.fork(new folder) keeps everything, this step too"
        )
    return RunPaused(
        f"{what} could not be written to {where}: {error.strerror or error}; {free_space(where)}. Nothing is "
        "lost: what is not on disk is in memory. Make room (or repair the disk) and call next again"
    )


def _gone(path: Path) -> bool:
    """True if there is nothing at the path; False if the disk does not answer."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
