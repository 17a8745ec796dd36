"""Searchers: one file, one paper."""

from __future__ import annotations

from typing import Any

from naslab.errors import SpecError, unknown
from naslab.estimators import from_spec as estimator_from_spec
from naslab.searchers.darts import Darts, DartsHyperparameters
from naslab.searchers.local_search import LocalSearch, LocalSearchHyperparameters
from naslab.searchers.random_search import RandomSearch, RandomSearchHyperparameters
from naslab.searchers.regularized_evolution import RegularizedEvolution, RegularizedEvolutionHyperparameters
from naslab.searchers.searcher import Draft, Driven, Knob, Proposal, Proposer, State, SupernetSearcher
from naslab.searchers.trials import Trials

SEARCHERS: dict[str, type[SupernetSearcher] | type[Proposer]] = {
    Darts.name: Darts,
    RandomSearch.name: RandomSearch,
    RegularizedEvolution.name: RegularizedEvolution,
    LocalSearch.name: LocalSearch,
}
"""Name in a run folder -> the class that goes on with it."""


def from_spec(spec: dict[str, Any], task: Any = None, estimator: Any = None) -> Any:
    """What `spec()` described, as it was before its first step: a supernet searcher, a proposer, or its trials.

    `task` stands in for a task that JSON cannot bring back, such as the user's own arrays; `estimator` for an
    estimator that it cannot, such as the user's own function.
    """
    if not isinstance(spec, dict) or "searcher" not in spec:
        raise SpecError(f"expected an object with the key 'searcher', got {spec!r}")
    if spec["searcher"] not in SEARCHERS:
        raise SpecError(unknown("searcher", spec["searcher"], SEARCHERS))
    searcher = SEARCHERS[spec["searcher"]]
    if not issubclass(searcher, Proposer):
        return searcher.from_spec(spec, task)
    proposer = searcher.from_spec(spec)
    if "estimator" not in spec:
        return proposer
    if estimator is None:
        estimator = estimator_from_spec(spec["estimator"], task)
    return Trials(proposer, estimator, spec["budget"])


__all__ = [
    "SEARCHERS",
    "Darts",
    "DartsHyperparameters",
    "Draft",
    "Driven",
    "Knob",
    "LocalSearch",
    "LocalSearchHyperparameters",
    "Proposal",
    "Proposer",
    "RandomSearch",
    "RandomSearchHyperparameters",
    "RegularizedEvolution",
    "RegularizedEvolutionHyperparameters",
    "State",
    "SupernetSearcher",
    "Trials",
    "from_spec",
]
