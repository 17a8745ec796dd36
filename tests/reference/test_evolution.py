"""Regularized evolution as it is composed, against the plain one."""

import numpy as np
import pytest

import naslab as nl
from naslab.reference.evolution import evolution, fittest


def worth(architecture):
    """Few values, so that there are ties."""
    return float(sum(map(len, map(str, architecture.choices))) % 7)


@pytest.mark.parametrize("space", [nl.spaces.NASBench201(), nl.spaces.DartsCell(nodes=2)], ids=lambda s: s.name)
def test_the_same_architectures_in_the_same_order(space):
    searcher = nl.searchers.RegularizedEvolution(space, seed=5, population=12, sample=4)
    rng = np.random.default_rng()
    rng.bit_generator.state = searcher.rng.bit_generator.state
    asked = []
    for _ in range(120):
        trial = searcher.ask()
        asked.append((trial.architecture, worth(trial.architecture)))
        searcher.tell(trial, asked[-1][1])
    history = evolution(space, worth, rng, budget=120, population=12, sample=4)
    assert history == asked
    assert len({architecture for architecture, _ in asked}) > 60, "it has gone on looking"
    assert worth(fittest(history)) == max(fitness for _, fitness in asked)
    assert rng.random() == searcher.rng.random(), "no number more or less was drawn"
