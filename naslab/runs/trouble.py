"""What is said when the disk takes no more."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from naslab.errors import RunPaused
from naslab.runs.folder import free_space
from naslab.runs.journal import Superseded


@contextmanager
def paused(what: str, where: Path) -> Iterator[None]:
    """Inside, an error of the disk becomes `RunPaused`.

    Args:
        what: could then not be written.
        where: the run's folder.
    """
    try:
        yield
    except Superseded as error:
        raise Superseded(f"{error}. search.fork(new folder) keeps what is only in memory here") from error
    except OSError as error:
        if (gone := _gone(where)) or error.errno == errno.ESTALE:
            lost = "the folder is gone" if gone else str(error.strerror)
            raise RunPaused(
                f"{what} could not be written to {where}: {lost} ({error}). Nothing is lost: put it back and call "
                "next again, or search.fork(new folder) keeps everything, this step too"
            ) from error
        raise RunPaused(
            f"{what} could not be written to {where}: {error.strerror or error}; {free_space(where)}. Nothing is "
            "lost: what is not on disk is in memory. Make room (or mend the disk) and call next again"
        ) from error


def _gone(path: Path) -> bool:
    """Whether there is nothing; not where the disk does not say."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
