"""Counts how often the host waits for the GPU, as CUDA itself reports it, by place in naslab.

    from naslab.testing.synchronizations import synchronizations

    with synchronizations() as places:
        search.advance()
    places.total(), places.most_common(5)      # 4, [("searchers/gradient/searcher.py:120", 2), ...]

torch's own mode of debugging does the counting (`torch.cuda.set_sync_debug_mode`): reading a number, and copies that
block. It does not know `torch.cuda.synchronize` and a wait for an event, which are said in the code.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

REPORT = "called a synchronizing CUDA operation"
"""How torch's warning about one begins."""
PACKAGE = str(Path(__file__).parents[1]) + "/"


@contextmanager
def synchronizations() -> Iterator[Counter[str]]:
    """Context with a counter: place in naslab -> synchronisations of the code inside.

    Those of a backward pass are counted where it was started, for torch reports them when it has ended. Warnings of
    other kinds that the code raises are not shown.
    """
    places: Counter[str] = Counter()

    def count(message: Warning | str, *about: Any, **more: Any) -> None:
        if str(message).startswith(REPORT):
            places[_place()] += 1

    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # also torch's, that this mode is a prototype
        warnings.filterwarnings("always", message=REPORT)
        warnings.showwarning = count
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode(before)


def _place() -> str:
    """Returns the innermost line of naslab that is being executed, this module aside; "elsewhere" if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PACKAGE) and file != __file__:
            return f"{file.removeprefix(PACKAGE)}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
