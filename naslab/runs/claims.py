"""Which search of this process moves a searcher, and which drives a folder: never two.

A lock on the folder keeps other processes out (`naslab.runs.folder`); in the same process a newer search takes over.
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

_driving: weakref.WeakValueDictionary[tuple[int, str], Search] = weakref.WeakValueDictionary()
"""(process, folder) -> the search that drives it, so that a newer one in the same process can take over."""
_moving: weakref.WeakValueDictionary[int, Search] = weakref.WeakValueDictionary()
"""id of a searcher -> the search that moves it, and keeps it alive: nobody else may."""


def moves(search: Search, searcher: Any) -> None:
    """From here on the search moves the searcher: the one it drives, or the sampler that this was made of."""
    _moving[id(searcher)] = search


def drives(search: Search, path: Path) -> None:
    """From here on the search drives the folder."""
    _driving[_key(path)] = search


def check_free(searcher: Any) -> None:
    """`RunError` if a search moves the searcher: each would write down what is partly the other's doing."""
    older = _moving.get(id(searcher))
    if older is not None and older._process == os.getpid() and (older._left is None or older._lost):
        free = "" if older._lost or older.step else " (or close that one first)"
        raise RunError(f"this searcher is moved by another Search already, {older!r}; make a new one for each{free}")


def removed(path: Path) -> None:
    """The folder is another run's now: whoever drove the one that was there lets go of it."""
    if (older := _driving.pop(_key(path), None)) is not None:
        older._leave("its folder was removed")


def take_over(path: Path) -> None:
    """Make an older search of this process let go of the folder, once its step is finished."""
    older = _driving.pop(_key(path), None)
    if older is None or older._left is not None:
        return
    with older._turn:
        with suppress(RunPaused, Superseded):  # the step that was not written will be done again
            older.close()
        older._leave("a newer Search of this process has taken over")


def _key(path: Path) -> tuple[int, str]:
    return os.getpid(), str(resolved(path))
