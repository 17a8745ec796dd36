"""Sizes of a notebook: full for a class, small for a test of the notebook itself."""

from __future__ import annotations

import os
from typing import TypeVar

Size = TypeVar("Size")


def budget(full: Size, *, smoke: Size) -> Size:
    """`full`, or `smoke` when the environment says NASLAB_SMOKE=1."""
    return smoke if os.environ.get("NASLAB_SMOKE", "0") not in ("", "0") else full
