"""Real training as an estimator: repeatable, on held-out images, and a part of a run like any other."""

import json

import pytest

import naslab as nl
from naslab.errors import RunError, SpecError
from naslab.estimators import Training

QUICK = dict(epochs=1, batch_size=128, learning_rate=0.1)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="module")
def space():
    return nl.spaces.NASBench201(channels=4, cells=1)


@pytest.fixture(scope="module")
def good(space):
    return space.architecture(("nor_conv_3x3", "skip_connect", "nor_conv_3x3", "skip_connect", "none", "nor_conv_1x1"))


def test_the_fitness_is_the_held_out_accuracy_of_that_training(space, digits, good):
    estimator = Training(space, digits, seed=2, **QUICK)
    fitness = estimator(good)
    with nl.randomness.seeded(2, "training", "weights"):
        network = space.build(good, digits)
    report = nl.trainers.fit(network, digits, seed=2, threads=1, held_out=0.2, **QUICK)
    assert fitness == report.best.valid_accuracy != report.test_accuracy
    assert estimator(good) == fitness
    assert Training(space, digits, seed=3, **QUICK)(good) != fitness


def test_a_conv_beats_nothing(space, digits, good):
    estimator = Training(space, digits, epochs=3, batch_size=32, learning_rate=0.1)
    assert estimator(good) > 3 * estimator(space.architecture(("none",) * 6))


def test_spec_through_json(space, digits, good):
    estimator = Training(space, digits, seed=2, **QUICK)
    again = nl.estimators.from_spec(json.loads(json.dumps(estimator.spec())))
    assert (again.spec(), again.fingerprint()) == (estimator.spec(), estimator.fingerprint())
    assert Training(space, digits, seed=3, **QUICK).fingerprint() != estimator.fingerprint()
    assert Training(space, digits, seed=2, **{**QUICK, "epochs": 2}).fingerprint() != estimator.fingerprint()


def test_nonsense_is_refused(space, digits):
    with pytest.raises(SpecError, match="held_out must be above 0"):
        Training(space, digits, held_out=0)
    with pytest.raises(SpecError, match="did you mean 'epochs'"):
        Training(space, digits, epoch=3)
    with pytest.raises(SpecError, match="expected a space"):
        Training("nasbench201", digits)


def test_a_search_with_real_training_is_resumed_without_training_again(space, digits, tmp_path, monkeypatch):
    estimator = Training(space, digits, **QUICK)
    proposer = nl.searchers.RegularizedEvolution(space, population=2, sample=1, seed=1)
    search = nl.Search(proposer, tmp_path / "run", estimator=estimator, budget=4)
    for _ in range(3):
        next(search)
    assert search.task is digits
    search._leave("the process was killed")
    monkeypatch.setattr(Training, "__call__", lambda self, architecture: 0.5)
    again = nl.Search.open(tmp_path / "run")
    assert again.step == 3
    assert next(again).fitness == 0.5
    assert list(again.events)[:3] == list(search.events)
    again.close()
    with pytest.raises(RunError, match="estimator is not the estimator"):
        nl.Search.open(tmp_path / "run", estimator=Training(space, digits, seed=9, **QUICK))


def test_a_training_that_diverges_is_a_status(space, digits):
    estimator = Training(space, digits, **{**QUICK, "learning_rate": 1e30})
    search = nl.Search(nl.searchers.RandomSearch(space, seed=3), estimator=estimator, budget=2)
    assert [event.status for event in search] == ["failed", "failed"]
    assert search.events[0].message.startswith("Diverged: ")
