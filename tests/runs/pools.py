"""Samplers whose candidates are evaluated several at once."""

from naslab.searchers import Hurdles, LocalSearch, RandomSearch, RegularizedEvolution, SuccessiveHalving

PROPOSERS = {
    "random": lambda space: RandomSearch(space, seed=2),
    "evolution": lambda space: RegularizedEvolution(space, population=5, sample=2, seed=2),
    "local search": lambda space: LocalSearch(space, seed=2),
    "hurdles": lambda space: Hurdles(space, steps=(12, 188), population=4, sample=2, per_hurdle=4, seed=2),
    "halving": lambda space: SuccessiveHalving(space, candidates=6, epochs=(12, 200), seed=2),
}


def finished(search, executor):
    while search.step < search.total:
        if search.total - search.step < 3:
            executor.drain()
        next(search)
    return list(search.events)


def kind(event):
    return event.architecture.choices[0]
