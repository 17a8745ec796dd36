"""Warm start of an evolutionary search by a zero-cost score: assisted regularized evolution, AREA (Mellor, Turner,
Storkey & Crowley 2021, https://arxiv.org/abs/2006.04647).

    sample n random architectures;  population <- the P with the best score without training (NASWOT)
    continue with regularized evolution

    first = zero_cost_warm_start(space, ZeroCost(space, task, "naswot"), population=10)
    search = nl.Search(RegularizedEvolution(space, population=10, sample=3, first=first), estimator=..., budget=300)

The scores are computed before the search begins. The initial population is a hyperparameter of the search, so that a
run can be resumed without the scores and the data that they were computed from.

Differences from the paper: no architecture is sampled twice, as long as the space has others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from naslab.architecture import Architecture
from naslab.errors import SpecError, whole
from naslab.estimators import as_estimator
from naslab.estimators.evaluation import evaluate
from naslab.randomness import numpy_generator
from naslab.spaces.space import Space

TRIES = 100
"""Draws per sampled architecture, after which the space is taken to have no others."""


def zero_cost_warm_start(
    space: Space,
    assistant: Callable[[Architecture], Any],
    *,
    population: int,
    sampled: int | None = None,
    seed: int = 0,
) -> tuple[Architecture, ...]:
    """Returns the best architectures of a random sample, in the order in which they were drawn.

    Args:
        space: space to sample from.
        assistant: scores an architecture, more is better: usually `naslab.estimators.ZeroCost`. Architectures that it
            cannot score are left out.
        population: P, number of architectures to return.
        sampled: n, number of architectures to score; by default twice the population, as in the paper.
        seed: seed of the sample.

    Raises:
        SpecError: no architecture could be scored.
    """
    estimator = as_estimator(assistant)
    population = whole("population", population, 1)
    sampled = whole("sampled", 2 * population if sampled is None else sampled, population)
    rng = numpy_generator(whole("seed", seed), "zero_cost_warm_start")
    drawn: dict[Architecture, None] = {}
    for _ in range(TRIES * sampled):
        if len(drawn) == sampled:
            break
        drawn[space.sample(rng)] = None
    outcomes = [(architecture, evaluate(estimator, architecture)) for architecture in drawn]
    scored = [(outcome.fitness, -place) for place, (_, outcome) in enumerate(outcomes) if outcome.fitness is not None]
    if not scored:
        raise SpecError(f"the assistant could score none of {len(drawn)} architectures: {outcomes[-1][1].message}")
    kept = sorted(-place for _, place in sorted(scored, reverse=True)[:population])
    return tuple(outcomes[place][0] for place in kept)
