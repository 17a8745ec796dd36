"""Searchers: one file, one paper."""

from __future__ import annotations

from typing import Any

from naslab.errors import SpecError, unknown
from naslab.searchers.darts import Darts, DartsHyperparameters
from naslab.searchers.searcher import Knob, State, SupernetSearcher

SEARCHERS: dict[str, type[SupernetSearcher]] = {Darts.name: Darts}
"""Name in a run folder -> the class that goes on with it."""


def from_spec(spec: dict[str, Any], task: Any = None) -> SupernetSearcher:
    """The searcher that `spec()` described, as it was before its first step.

    `task` stands in for a task that JSON cannot bring back, such as the user's own arrays.
    """
    if not isinstance(spec, dict) or "searcher" not in spec:
        raise SpecError(f"expected an object with the key 'searcher', got {spec!r}")
    if spec["searcher"] not in SEARCHERS:
        raise SpecError(unknown("searcher", spec["searcher"], SEARCHERS))
    return SEARCHERS[spec["searcher"]].from_spec(spec, task)


__all__ = ["SEARCHERS", "Darts", "DartsHyperparameters", "Knob", "State", "SupernetSearcher", "from_spec"]
