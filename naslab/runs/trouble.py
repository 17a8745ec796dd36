"""What is said when the disk takes no more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from naslab.errors import RunPaused
from naslab.runs.journal import Superseded
from naslab.runs.places import free_space


def paused(what: str, where: Path, error: Superseded | OSError) -> RunPaused | Superseded:
    """What an error of the store is to be raised as: `RunPaused` for one of the disk.

    Args:
        what: could not be written.
        where: the run's folder.
        error: why.
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
        "lost: what is not on disk is in memory. Make room (or mend the disk) and call next again"
    )


def _gone(path: Path) -> bool:
    """Whether there is nothing; not where the disk does not say."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
