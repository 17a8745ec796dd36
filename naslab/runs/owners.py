"""Owners within this process: one `Search` for each searcher, and one for each run folder.

A lock file keeps other processes out of a folder (`naslab.runs.folder`). In the same process, a notebook that opens a
run a second time means the new `Search`; so the older one is closed and releases the folder, instead of an error.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslab.errors import RunError, RunPaused
from naslab.paths import resolved
from naslab.runs.journal import Superseded

if TYPE_CHECKING:
    from naslab.runs.search import Search

_folder_owners: weakref.WeakValueDictionary[tuple[int, str], Search] = weakref.WeakValueDictionary()
"""(process id, resolved folder) -> the search that drives it. The process id keeps a forked child from taking the
searches of its parent for its own."""
_searcher_owners: weakref.WeakValueDictionary[int, Search] = weakref.WeakValueDictionary()
"""id of a searcher -> the search that advances it. It keeps the searcher alive, so that the id is not reused."""


def acquire_searcher(search: Search, searcher: Any) -> None:
    """Make the search the owner of a searcher: of the one it advances, or of the sampler that this was made of."""
    _searcher_owners[id(searcher)] = search


def acquire_folder(search: Search, path: Path) -> None:
    """Make the search the owner of a run folder."""
    _folder_owners[_key(path)] = search


def check_free(searcher: Any) -> None:
    """Raises `RunError` if another search owns the searcher: each would log steps of a state that both have changed."""
    older = _searcher_owners.get(id(searcher))
    if older is not None and older._process == os.getpid() and (older._left is None or older._lost):
        free = "" if older._lost or older.step else " (or close that one first)"
        raise RunError(f"this searcher is moved by another Search already, {older!r}; make a new one for each{free}")


def release_removed(path: Path) -> None:
    """Release a path whose old run folder was removed, before a new run is made there."""
    if (older := _folder_owners.pop(_key(path), None)) is not None:
        older._leave("its folder was removed")


def release_older(path: Path) -> None:
    """Close an older search of this process that drives the folder, once its current step is finished."""
    older = _folder_owners.pop(_key(path), None)
    if older is None or older._left is not None:
        return
    # Its own lock first: a thread that is in the middle of a step finishes it before the folder changes hands.
    with older._turn:
        with suppress(RunPaused, Superseded):  # a step that cannot be written is computed again by the new search
            older.close()
        older._leave("a newer Search of this process has taken over")


def _key(path: Path) -> tuple[int, str]:
    return os.getpid(), str(resolved(path))
