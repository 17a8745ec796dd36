"""Whether to show progress bars."""

from __future__ import annotations

import sys

SOON = 2
"""Seconds before a progress bar appears; shorter work shows none."""


def interactive() -> bool:
    """True in notebooks and terminals."""
    ipython = sys.modules.get("IPython")  # not imported here: in a notebook it is already
    return sys.stderr.isatty() or (ipython is not None and ipython.get_ipython() is not None)
