"""The best architectures of many runs, read from their folders, for `naslab.analysis.motifs` for instance."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from naslab.architecture import Architecture
from naslab.errors import RunError, listed
from naslab.runs.reader import RunReader, read


def found(runs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Architecture]:
    """Returns the best architecture of each run, as it is on disk now. All runs must search one space.

    Args:
        runs: paths of run folders, or a single path.

    Raises:
        RunError: a folder is no run, a run has found nothing yet, or two runs search different spaces.
    """
    if isinstance(runs, str | bytes | os.PathLike):
        runs = [runs]
    if not listed(runs):
        raise RunError(f"expected the folders of runs, for instance ['runs/a', 'runs/b'], got {runs!r:.200}")
    readers = [read(path) for path in runs]
    spaces = {_searched(reader) for reader in readers}
    if len(spaces) > 1:
        raise RunError(f"these runs search different spaces, {', '.join(sorted(spaces))}: take those of one")
    return [_best(reader) for reader in readers]


def _searched(reader: RunReader) -> str:
    space: Any = reader.spec.get("space", {})
    return str(space.get("space")) if isinstance(space, Mapping) else str(space)


def _best(reader: RunReader) -> Architecture:
    for _, _, event in reversed(reader.events()):
        if isinstance(best := getattr(event, "best", None), Architecture):
            return best
    raise RunError(f"the run {reader.path} has found nothing yet: let it go on, or leave it out")
