from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import naslab as nl

CELL = dict(nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=4, cells=3)
SMALL = dict(batch_size=16, epochs=2)
EVOLUTION = dict(population=4, sample=2)


@dataclass(frozen=True)
class Maker:
    """From a seed and hyperparameters to a fresh searcher; and what the suite must know of it to use it."""

    make: Callable[..., Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    turn: tuple[str, float] | None = None
    """A knob, and another value for it."""
    other: Mapping[str, Any] = field(default_factory=dict)
    """A hyperparameter that is not the default."""
    bad: tuple[Mapping[str, Any], ...] = ({"seed": -1}, {"seed": True}, {"seed": "one"})
    """What is refused."""

    def __call__(self, **given):
        return self.make(**{**self.defaults, **given})


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="session")
def benchmark():
    return nl.benchmarks.NASBench201()


def _darts(space, digits, **defaults):
    bad = ({"seed": -1}, {"threads": 0}, {"epochs": 0}, {"batch_size": -4}, {"w_lr": 0.0})
    return Maker(
        lambda **given: nl.searchers.Darts(space, digits, **given),
        {**SMALL, **defaults},
        turn=("w_lr", 0.01),
        other={"alpha_lr": 0.02},
        bad=bad,
    )


def _trials(proposer, benchmark, defaults=(), **about):
    return Maker(
        lambda **given: nl.searchers.Trials(proposer(benchmark.space, **given), benchmark, budget=40),
        dict(defaults),
        **about,
    )


SUPERNETS = ["darts first order", "darts second order", "darts exact", "darts on nasbench201"]
PROPOSERS = ["random search", "regularized evolution", "local search"]


@pytest.fixture(params=[*SUPERNETS, *PROPOSERS])
def make(request, digits, benchmark):
    """Every searcher there is, small; a proposer with a table to be told from."""
    cell = nl.spaces.DartsCell(**CELL)
    makers = {
        "darts first order": lambda: _darts(cell, digits),
        "darts second order": lambda: _darts(cell, digits, order=2),
        "darts exact": lambda: _darts(cell, digits, order=2, hessian_product="exact"),
        "darts on nasbench201": lambda: _darts(nl.spaces.NASBench201(channels=4, cells=1), digits),
        "random search": lambda: _trials(nl.searchers.RandomSearch, benchmark),
        "regularized evolution": lambda: _trials(
            nl.searchers.RegularizedEvolution,
            benchmark,
            EVOLUTION,
            turn=("sample", 1.0),
            other={"sample": 3},
            bad=({"seed": -1}, {"population": 0}, {"sample": 0}, {"sample": 5}, {"sample": 2.0}, {"population": True}),
        ),
        "local search": lambda: _trials(nl.searchers.LocalSearch, benchmark),
    }
    return makers[request.param]()
