"""The tournaments of Real et al. 2017, and the weights that children inherit, step by step."""

from collections import Counter

import pytest

import naslab as nl
from naslab.searchers import LargeScaleEvolution
from naslab.spaces import LargeScaleEvolutionSpace
from naslab.spaces.large_scale_evolution import MOVES


def told(sampler, fitness):
    trial = sampler.ask()
    sampler.tell(trial, fitness)
    return trial


@pytest.fixture
def space():
    return LargeScaleEvolutionSpace.laptop()


def numbers(sampler):
    return [individual.number for individual in sampler.population]


def test_first_copies_of_the_simplest_network_then_mutations(space):
    sampler = LargeScaleEvolution(space, population=4)
    first = [told(sampler, 1.0) for _ in range(4)]
    assert {trial.architecture for trial in first} == {space.start()}
    assert all((trial.origin, trial.begins_from) == ("start", None) for trial in first)
    assert told(sampler, 1.0).origin in MOVES


def test_the_worse_of_two_is_killed_and_the_better_reproduces(space):
    """Between two individuals there is one tournament; so nothing is left to chance."""
    sampler = LargeScaleEvolution(space, population=2)
    told(sampler, 3.0), told(sampler, 5.0)
    for fitness, killed, parent in ((4.0, 1, 2), (9.0, 3, 2), (1.0, 2, 4), (2.0, 5, 4)):
        before = numbers(sampler)
        trial = sampler.ask()
        assert (trial.parents, trial.begins_from) == ((parent,), parent)
        assert numbers(sampler) == [number for number in before if number != killed]
        sampler.tell(trial, fitness)


def test_pairs_are_drawn_uniformly(space):
    """Of five, the fittest is never killed; the k-th least fit dies in (5 - k) of the 10 pairs."""
    killed = Counter()
    for seed in range(600):
        sampler = LargeScaleEvolution(space, population=5, seed=seed)
        for fitness in range(5):
            told(sampler, float(fitness))
        sampler.ask()
        killed[({1, 2, 3, 4, 5} - set(numbers(sampler))).pop()] += 1
    for number in range(1, 6):
        share = (5 - number) / 10
        assert killed[number] / 600 == pytest.approx(share, abs=4 * (share * (1 - share) / 600) ** 0.5)


def test_no_worker_waits_for_another(space):
    """Five trials are open; whoever is told first is alive at once, and can win a tournament."""
    sampler = LargeScaleEvolution(space, population=6)
    for fitness in range(6):
        told(sampler, float(fitness))
    waiting = [sampler.ask() for _ in range(4)]
    assert len(sampler.population) == 2
    sampler.tell(waiting.pop(), 99.0)
    assert 99.0 in [individual.fitness for individual in sampler.population]
    for _ in range(30):
        told(sampler, 50.0)
    assert len(sampler.population) + len(sampler.open) == 6
    for trial in waiting:
        sampler.tell(trial, 0.0)
    assert len(sampler.population) == 6


def test_the_place_of_a_failed_child_is_taken_by_another(space):
    sampler = LargeScaleEvolution(space, population=4)
    for fitness in range(4):
        told(sampler, float(fitness))
    told(sampler, None)
    assert len(sampler.population) == 3
    trial = told(sampler, 1.0)
    assert trial.parents
    assert len(sampler.population) == 4, "its tournament killed nobody"
    assert sampler.diagnostics == {"alive": 4, "killed": 1}


def test_identity_trains_on_and_reset_begins_anew(space):
    sampler = LargeScaleEvolution(space, population=3, epochs=2, seed=1)
    trials = {}
    for number in range(1, 400):
        trials[number] = told(sampler, float(number % 7))
    origins = Counter(trial.origin for trial in trials.values())
    assert origins.keys() == {"start", *MOVES, "identity", "reset_weights"}
    for trial in trials.values():
        if not trial.parents:
            assert (trial.fidelity, trial.begins_from) == (2, None)
            continue
        parent = trials[trial.parents[0]]
        same = trial.architecture == parent.architecture
        assert same == (trial.origin in ("identity", "reset_weights"))
        assert trial.fidelity == (parent.fidelity + 2 if trial.origin == "identity" else 2)
        assert trial.begins_from == (None if trial.origin == "reset_weights" else parent.number)


@pytest.mark.parametrize(("given", "longest"), [({"epochs": 2}, 2), ({"epochs": 3, "schedule": "constant"}, 99)])
def test_nobody_is_trained_on_for_longer_than_the_estimator_can(given, longest):
    """The cosine of a training of two epochs ends after two."""
    space = nl.spaces.LargeScaleEvolutionSpace(layers=3, channels=(4, 8))
    estimator = nl.estimators.Training(space, nl.tasks.Digits(), data=0.02, batch_size=16, **given)
    sampler = LargeScaleEvolution(space, population=3, epochs=given["epochs"] // 2, seed=1)
    assert nl.Search(sampler, estimator=estimator, budget=1).searcher.sampler is sampler
    longer = {told(sampler, float(number % 5)).fidelity for number in range(200)}
    assert {1, 2} <= longer if longest == 2 else max(longer) > 3
    assert max(longer) <= longest
    with pytest.raises(nl.estimators.UnknownFidelity, match="the whole training has 1"):
        short = nl.estimators.Training(space, nl.tasks.Digits(), epochs=1)
        nl.Search(LargeScaleEvolution(space, epochs=2), estimator=short, budget=1)


def test_without_epochs_every_child_is_another_architecture(space):
    sampler = LargeScaleEvolution(space, population=3, seed=1)
    seen = {}
    for number in range(1, 200):
        trial = told(sampler, float(number % 7))
        seen[number] = trial.architecture
        assert trial.fidelity is None
        assert not trial.parents or trial.architecture != seen[trial.parents[0]]


def test_it_grows_where_that_pays(space):
    """From no layer at all to as many as there may be, for a fitness that counts them."""
    sampler = LargeScaleEvolution(space, population=10, seed=2)
    for _ in range(400):
        trial = sampler.ask()
        sampler.tell(trial, float(len(space.layers_of(trial.architecture))))
    assert min(individual.fitness for individual in sampler.population) >= space.layers - 1


def test_children_inherit_in_real_training(space):
    """On Digits, a child that only changes its learning rate begins where its parent ended."""
    task = nl.tasks.Digits().subset(400, 10)
    estimator = nl.estimators.Training(space, task, epochs=1, batch_size=32, schedule="constant")
    sampler = LargeScaleEvolution(space, population=2, epochs=1, seed=4)
    search = nl.Search(sampler, estimator=estimator, budget=14)
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
