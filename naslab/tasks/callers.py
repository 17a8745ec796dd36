"""Where in a user's code a call into naslab stands, for warnings."""

from __future__ import annotations

import contextlib
import os
import sys


def caller_level() -> int:
    """Returns the `stacklevel` for `warnings.warn` that points to the line which called into naslab.

    Frames of decorators that `contextlib` makes stand in between and are passed over.
    """
    package = os.path.dirname(os.path.dirname(__file__)) + os.sep
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and (
        frame.f_code.co_filename.startswith(package) or frame.f_code.co_filename == contextlib.__file__
    ):
        frame, level = frame.f_back, level + 1
    return level
