"""Small searches that tests steer, and what is compared of them."""

import torch

import naslab as nl

CELL = dict(nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=2, cells=3)


def darts(digits, **given):
    given = {"batch_size": 144, "epochs": 3, "seed": 0, **given}  # four steps an epoch
    return nl.Search(nl.searchers.Darts(nl.spaces.DartsCell(**CELL), digits, **given))


def evolution(table, budget=30, run=None, **given):
    searcher = nl.searchers.RegularizedEvolution(table.space, seed=1, population=4, sample=2)
    return nl.Search(searcher, run, estimator=table, budget=budget, **given)


def tensors(search):
    state = search.searcher.state_dict()
    return {
        name: value.numpy().tobytes() if isinstance(value, torch.Tensor) else value for name, value in state.items()
    }


def moved(before, after):
    """Names of what is another now, but for the step."""
    return {name for name in {**before, **after} if before.get(name) != after.get(name)} - {"step", "turned"}


def records(search):
    return [[event.kind, *map(repr, event.to_record())] for event in search.events]
