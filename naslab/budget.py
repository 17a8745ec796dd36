"""Sizes of a notebook: full for a class, small for a test of the notebook itself."""

from __future__ import annotations

import os
from typing import TypeVar

Size = TypeVar("Size")


def budget(full: Size, *, smoke: Size) -> Size:
    """Returns `full`, or `smoke` if the environment variable NASLAB_SMOKE is 1."""
    return smoke if os.environ.get("NASLAB_SMOKE", "0") not in ("", "0") else full
