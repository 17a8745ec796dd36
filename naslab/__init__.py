"""naslab: an interactive laboratory for neural architecture search.

    import naslab as nl
    search = nl.Search(nl.searchers.Darts(nl.spaces.DartsCell.laptop(), nl.tasks.FashionMNIST(), seed=0))
    for event in search: ...

The live view is `naslab_widgets.Lab(search)`.
"""

from typing import TYPE_CHECKING

import naslab.waiting  # noqa: F401  first of all: it must come before torch
from naslab._version import __version__
from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab import (
        analysis,
        architecture,
        benchmarks,
        data,
        errors,
        estimators,
        events,
        networks,
        operations,
        runs,
        searchers,
        spaces,
        tasks,
        trainers,
    )
    from naslab.architecture import Architecture, Choice
    from naslab.budget import budget
    from naslab.machine import machine
    from naslab.randomness import seeded
    from naslab.runs import LiveRanking, Race, Search

__getattr__, __dir__ = attach(__name__)


__all__ = [
    "Architecture",
    "Choice",
    "LiveRanking",
    "Race",
    "Search",
    "__version__",
    "analysis",
    "architecture",
    "benchmarks",
    "budget",
    "data",
    "errors",
    "estimators",
    "events",
    "machine",
    "networks",
    "operations",
    "runs",
    "searchers",
    "seeded",
    "spaces",
    "tasks",
    "trainers",
]
