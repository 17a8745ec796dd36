"""Local search: it climbs, knows a summit, and asks for nothing twice."""

import pytest

import naslab as nl
from naslab.searchers import LocalSearch


def test_one_hill_is_climbed_to_the_top():
    """Fitness counts convolutions: from anywhere, at most 6 moves, and no restart before the top is known."""
    space = nl.spaces.NASBench201()
    for seed in range(5):
        sampler, seen, restarts = LocalSearch(space, seed=seed), {}, 0
        best = -1
        while best < 6:
            trial = sampler.ask()
            assert trial.architecture not in seen
            fitness = sum(operation == "nor_conv_3x3" for operation in trial.architecture.choices)
            seen[trial.architecture] = trial.number
            restarts += trial.origin == "random"
            best = max(best, fitness)
            sampler.tell(trial, float(fitness))
        assert restarts == 1
        assert len(seen) <= 1 + 6 * 24


def test_a_neighbour_is_one_choice_away_from_where_the_search_stands():
    space = nl.spaces.NASBench201()
    sampler, seen, best = LocalSearch(space, seed=1), {}, None
    for _ in range(100):
        trial = sampler.ask()
        fitness = float(sum(map(len, trial.architecture.choices)))
        seen[trial.number] = trial.architecture, fitness
        if trial.parents:
            assert trial.parents == (best,)
            assert space.distance(seen[best][0], trial.architecture) == 1
        if not trial.parents or fitness > seen[best][1]:
            best = trial.number
        sampler.tell(trial, fitness)


def test_a_summit_is_left_once_all_its_neighbours_are_known():
    space = nl.spaces.NASBench201()
    sampler = LocalSearch(space, seed=1)
    origins = []
    for number in range(60):
        trial = sampler.ask()
        origins.append(trial.origin)
        sampler.tell(trial, 1.0 if number == 0 else 0.0)
    assert origins[:26] == ["random", *["neighbour"] * 24, "random"]


def test_a_space_that_is_known_altogether_does_not_hang():
    space = nl.spaces.DartsCell(nodes=1, operations=("none", "skip_connect", "max_pool_3x3"))
    assert space.size < 100
    sampler, seen = LocalSearch(space, seed=1), set()
    for _ in range(space.size + 20):
        trial = sampler.ask()
        seen.add(trial.architecture)
        sampler.tell(trial, float(len(str(trial.architecture.choices))))
    assert len(seen) == space.size


@pytest.mark.parametrize("fitness", [None, 0.0])
def test_a_failed_start_is_no_place_to_stand_on(fitness):
    sampler = LocalSearch(nl.spaces.NASBench201(), seed=1)
    sampler.tell(sampler.ask(), fitness)
    assert sampler.ask().origin == ("random" if fitness is None else "neighbour")
