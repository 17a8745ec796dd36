"""The tournaments of Real et al. 2017, and the weights that children inherit, step by step."""

from collections import Counter

import pytest

import naslab as nl
from naslab.searchers import LargeScaleEvolution
from naslab.spaces import Evolving
from naslab.spaces.evolving import MOVES


def told(proposer, fitness):
    proposal = proposer.ask()
    proposer.tell(proposal, fitness)
    return proposal


@pytest.fixture
def space():
    return Evolving.laptop()


def numbers(proposer):
    return [individual.number for individual in proposer.population]


def test_first_copies_of_the_simplest_network_then_mutations(space):
    proposer = LargeScaleEvolution(space, population=4)
    first = [told(proposer, 1.0) for _ in range(4)]
    assert {proposal.architecture for proposal in first} == {space.start()}
    assert all((proposal.origin, proposal.begins_from) == ("start", None) for proposal in first)
    assert told(proposer, 1.0).origin in MOVES


def test_the_worse_of_two_is_killed_and_the_better_reproduces(space):
    """Between two individuals there is one tournament; so nothing is left to chance."""
    proposer = LargeScaleEvolution(space, population=2)
    told(proposer, 3.0), told(proposer, 5.0)
    for fitness, killed, parent in ((4.0, 1, 2), (9.0, 3, 2), (1.0, 2, 4), (2.0, 5, 4)):
        before = numbers(proposer)
        proposal = proposer.ask()
        assert (proposal.parents, proposal.begins_from) == ((parent,), parent)
        assert numbers(proposer) == [number for number in before if number != killed]
        proposer.tell(proposal, fitness)


def test_pairs_are_drawn_uniformly(space):
    """Of five, the fittest is never killed; the k-th least fit dies in (5 - k) of the 10 pairs."""
    killed = Counter()
    for seed in range(600):
        proposer = LargeScaleEvolution(space, population=5, seed=seed)
        for fitness in range(5):
            told(proposer, float(fitness))
        proposer.ask()
        killed[({1, 2, 3, 4, 5} - set(numbers(proposer))).pop()] += 1
    for number in range(1, 6):
        share = (5 - number) / 10
        assert killed[number] / 600 == pytest.approx(share, abs=4 * (share * (1 - share) / 600) ** 0.5)


def test_no_worker_waits_for_another(space):
    """Five proposals are open; whoever is told first is alive at once, and can win a tournament."""
    proposer = LargeScaleEvolution(space, population=6)
    for fitness in range(6):
        told(proposer, float(fitness))
    waiting = [proposer.ask() for _ in range(4)]
    assert len(proposer.population) == 2
    proposer.tell(waiting.pop(), 99.0)
    assert 99.0 in [individual.fitness for individual in proposer.population]
    for _ in range(30):
        told(proposer, 50.0)
    assert len(proposer.population) + len(proposer.open) == 6
    for proposal in waiting:
        proposer.tell(proposal, 0.0)
    assert len(proposer.population) == 6


def test_the_place_of_a_failed_child_is_taken_by_another(space):
    proposer = LargeScaleEvolution(space, population=4)
    for fitness in range(4):
        told(proposer, float(fitness))
    told(proposer, None)
    assert len(proposer.population) == 3
    proposal = told(proposer, 1.0)
    assert proposal.parents
    assert len(proposer.population) == 4, "its tournament killed nobody"
    assert proposer.details == {"alive": 4, "killed": 1}


def test_identity_trains_on_and_reset_begins_anew(space):
    proposer = LargeScaleEvolution(space, population=3, epochs=2, seed=1)
    proposals = {}
    for number in range(1, 400):
        proposals[number] = told(proposer, float(number % 7))
    origins = Counter(proposal.origin for proposal in proposals.values())
    assert origins.keys() == {"start", *MOVES, "identity", "reset_weights"}
    for proposal in proposals.values():
        if not proposal.parents:
            assert (proposal.fidelity, proposal.begins_from) == (2, None)
            continue
        parent = proposals[proposal.parents[0]]
        same = proposal.architecture == parent.architecture
        assert same == (proposal.origin in ("identity", "reset_weights"))
        assert proposal.fidelity == (parent.fidelity + 2 if proposal.origin == "identity" else 2)
        assert proposal.begins_from == (None if proposal.origin == "reset_weights" else parent.number)


@pytest.mark.parametrize(("given", "longest"), [({"epochs": 2}, 2), ({"epochs": 3, "schedule": "constant"}, 99)])
def test_nobody_is_trained_on_for_longer_than_the_estimator_can(given, longest):
    """The cosine of a training of two epochs ends after two."""
    space = nl.spaces.Evolving(layers=3, channels=(4, 8))
    estimator = nl.estimators.Training(space, nl.tasks.Digits(), data=0.02, batch_size=16, **given)
    proposer = LargeScaleEvolution(space, population=3, epochs=given["epochs"] // 2, seed=1)
    assert nl.Search(proposer, estimator=estimator, budget=1).searcher.proposer is proposer
    longer = {told(proposer, float(number % 5)).fidelity for number in range(200)}
    assert {1, 2} <= longer if longest == 2 else max(longer) > 3
    assert max(longer) <= longest
    with pytest.raises(nl.estimators.UnknownFidelity, match="the whole training has 1"):
        short = nl.estimators.Training(space, nl.tasks.Digits(), epochs=1)
        nl.Search(LargeScaleEvolution(space, epochs=2), estimator=short, budget=1)


def test_without_epochs_every_child_is_another_architecture(space):
    proposer = LargeScaleEvolution(space, population=3, seed=1)
    seen = {}
    for number in range(1, 200):
        proposal = told(proposer, float(number % 7))
        seen[number] = proposal.architecture
        assert proposal.fidelity is None
        assert not proposal.parents or proposal.architecture != seen[proposal.parents[0]]


def test_it_grows_where_that_pays(space):
    """From no layer at all to as many as there may be, for a fitness that counts them."""
    proposer = LargeScaleEvolution(space, population=10, seed=2)
    for _ in range(400):
        proposal = proposer.ask()
        proposer.tell(proposal, float(len(space.layers_of(proposal.architecture))))
    assert min(individual.fitness for individual in proposer.population) >= space.layers - 1


def test_children_inherit_in_real_training(space):
    """On Digits, a child that only changes its learning rate begins where its parent ended."""
    task = nl.tasks.Digits().subset(400, 10)
    estimator = nl.estimators.Training(space, task, epochs=1, batch_size=32, schedule="constant")
    proposer = LargeScaleEvolution(space, population=2, epochs=1, seed=4)
    search = nl.Search(proposer, estimator=estimator, budget=14)
    events = {event.number: event for event in search}
    assert all(event.status == "done" for event in events.values())
    heirs = [event for event in events.values() if event.begins_from]
    assert heirs
    assert search.events[-1].best_fitness > events[1].fitness
    scratch = estimator.train(heirs[0].architecture, fidelity=heirs[0].fidelity).fitness
    if heirs[0].origin != "identity":
        assert heirs[0].fitness != scratch


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(space, tmp_path):
    """With weights, identities and learning rates."""

    def begin(folder):
        task = nl.tasks.Digits().subset(200, 10)
        estimator = nl.estimators.Training(space, task, epochs=1, batch_size=32, schedule="constant")
        return nl.Search(
            LargeScaleEvolution(space, population=2, epochs=1, seed=3), folder, estimator=estimator, budget=16
        )

    def told(search):
        return [(event.architecture, event.origin, event.begins_from, event.fitness) for event in evaluated(search)]

    def evaluated(search):
        return [event for event in search.events if event.kind == "evaluated"]

    straight, killed = begin(tmp_path / "straight"), begin(tmp_path / "killed")
    for _ in straight:
        pass
    for _ in range(7):
        next(killed)
    killed._leave("the process was killed")
    again = nl.Search.open(tmp_path / "killed")
    for _ in again:
        pass
    assert told(again) == told(straight)
    assert "identity" in {event.origin for event in evaluated(again)[7:]}
    straight.close()
    again.close()
