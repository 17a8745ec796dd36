"""Whether somebody looks: then long work shows a bar."""

from __future__ import annotations

import sys

SOON = 2
"""Seconds within which work that takes no longer shows no bar."""


def interactive() -> bool:
    """True in notebooks and terminals."""
    ipython = sys.modules.get("IPython")  # not imported for this: where it is not there, nobody is in a notebook
    return sys.stderr.isatty() or (ipython is not None and ipython.get_ipython() is not None)
