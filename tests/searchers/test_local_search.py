"""Local search: it climbs, knows a summit, and asks for nothing twice."""

import pytest

import naslab as nl
from naslab.searchers import LocalSearch


def test_one_hill_is_climbed_to_the_top():
    """Fitness counts convolutions: from anywhere, at most 6 moves, and no restart before the top is known."""
    space = nl.spaces.NASBench201()
    for seed in range(5):
        proposer, seen, restarts = LocalSearch(space, seed=seed), {}, 0
        best = -1
        while best < 6:
            proposal = proposer.ask()
            assert proposal.architecture not in seen
            fitness = sum(operation == "nor_conv_3x3" for operation in proposal.architecture.choices)
            seen[proposal.architecture] = proposal.number
            restarts += proposal.origin == "random"
            best = max(best, fitness)
            proposer.tell(proposal, float(fitness))
        assert restarts == 1
        assert len(seen) <= 1 + 6 * 24


def test_a_neighbour_is_one_choice_away_from_where_the_search_stands():
    space = nl.spaces.NASBench201()
    proposer, seen, best = LocalSearch(space, seed=1), {}, None
    for _ in range(100):
        proposal = proposer.ask()
        fitness = float(sum(map(len, proposal.architecture.choices)))
        seen[proposal.number] = proposal.architecture, fitness
        if proposal.parents:
            assert proposal.parents == (best,)
            assert space.distance(seen[best][0], proposal.architecture) == 1
        if not proposal.parents or fitness > seen[best][1]:
            best = proposal.number
        proposer.tell(proposal, fitness)


def test_a_summit_is_left_once_all_its_neighbours_are_known():
    space = nl.spaces.NASBench201()
    proposer = LocalSearch(space, seed=1)
    origins = []
    for number in range(60):
        proposal = proposer.ask()
        origins.append(proposal.origin)
        proposer.tell(proposal, 1.0 if number == 0 else 0.0)
    assert origins[:26] == ["random", *["neighbour"] * 24, "random"]


def test_a_space_that_is_known_altogether_does_not_hang():
    space = nl.spaces.DartsCell(nodes=1, operations=("none", "skip_connect", "max_pool_3x3"))
    assert space.size < 100
    proposer, seen = LocalSearch(space, seed=1), set()
    for _ in range(space.size + 20):
        proposal = proposer.ask()
        seen.add(proposal.architecture)
        proposer.tell(proposal, float(len(str(proposal.architecture.choices))))
    assert len(seen) == space.size


@pytest.mark.parametrize("fitness", [None, 0.0])
def test_a_failed_start_is_no_place_to_stand_on(fitness):
    proposer = LocalSearch(nl.spaces.NASBench201(), seed=1)
    proposer.tell(proposer.ask(), fitness)
    assert proposer.ask().origin == ("random" if fitness is None else "neighbour")
