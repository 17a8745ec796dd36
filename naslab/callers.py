"""Where in a user's code a call into naslab stands, for warnings."""

from __future__ import annotations

import sys

BETWEEN = {"naslab", "abc", "contextlib"}
"""Packages whose frames are passed over: naslab, what makes a class, and decorators that `contextlib` makes."""


def caller_level() -> int:
    """Returns the `stacklevel` for `warnings.warn` that points to the line which called into naslab.

    It is counted for a `warn` in the function that calls this. A class that is being made is called into naslab by its
    statement, through `__init_subclass__`.
    """
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    return level
