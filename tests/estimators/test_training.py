"""Real training as an estimator: repeatable, on held-out images, and a part of a run like any other."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import naslab as nl
from naslab import snapshot
from naslab.errors import DataError, RunError, SpecError
from naslab.estimators import CheckpointRef, Score, Training, UnknownFidelity
from naslab.networks.inherit import inherit

QUICK = dict(epochs=1, batch_size=128, learning_rate=0.1)


@pytest.fixture(scope="module")
def good(space):
    return space.architecture(("nor_conv_3x3", "skip_connect", "nor_conv_3x3", "skip_connect", "none", "nor_conv_1x1"))


@pytest.mark.slow
def test_the_fitness_is_the_held_out_accuracy_of_that_training(space, digits, good):
    estimator = Training(space, digits, seed=2, **QUICK)
    fitness, figures = estimator(good)
    with nl.randomness.seeded(2, "training", "weights"):
        network = space.build(good, digits)
    report = nl.trainers.fit(network, digits, seed=2, threads=1, held_out=0.2, **QUICK)
    assert fitness == report.best.valid_accuracy != report.test_accuracy
    assert figures.pop("seconds") > 0
    last = {"best_valid_accuracy": fitness, "train_loss": report.history[-1].train_loss}
    last["valid/loss"] = report.best.valid_loss
    assert figures == {"parameters": report.parameters, "epochs": 1, **last}
    assert estimator(good).fitness == fitness
    assert Training(space, digits, seed=3, **QUICK)(good).fitness != fitness


@pytest.mark.slow
def test_a_conv_beats_nothing(space, digits, good):
    estimator = Training(space, digits, epochs=3, batch_size=32, learning_rate=0.1)
    assert estimator(good).fitness > 3 * estimator(space.architecture(("none",) * 6)).fitness


def test_the_fingerprint_is_of_the_recipe_too(space, digits):
    estimator = Training(space, digits, seed=2, **QUICK)
    assert Training(space, digits, seed=2, **{**QUICK, "epochs": 2}).fingerprint() != estimator.fingerprint()


def test_nonsense_is_refused(space, digits):
    with pytest.raises(SpecError, match="held_out must be above 0"):
        Training(space, digits, held_out=0)
    with pytest.raises(SpecError, match="did you mean 'epochs'"):
        Training(space, digits, epoch=3)
    with pytest.raises(SpecError, match="expected a space"):
        Training("nasbench201", digits)
    with pytest.raises(SpecError, match="there is no device 'gpu'"):
        Training(space, digits, device="gpu")


@pytest.mark.slow
def test_a_search_with_real_training_is_resumed_without_training_again(space, digits, tmp_path, monkeypatch):
    estimator = Training(space, digits, **QUICK)
    sampler = nl.searchers.RegularizedEvolution(space, population=2, sample=1, seed=1)
    search = nl.Search(sampler, tmp_path / "run", estimator=estimator, budget=4)
    for _ in range(3):
        next(search)
    assert search.task is digits
    search._leave("the process was killed")
    monkeypatch.setattr(Training, "train", lambda self, architecture, **how: Score(0.5))
    again = nl.Search.open(tmp_path / "run")
    assert again.step == 3
    assert next(again).fitness == 0.5
    assert list(again.events)[:3] == list(search.events)
    again.close()
    with pytest.raises(RunError, match="estimator is not the estimator"):
        nl.Search.open(tmp_path / "run", estimator=Training(space, digits, seed=9, **QUICK))


def test_what_no_candidate_could_be_trained_with_is_refused_before_the_first(space, digits):
    Training(space, digits, data=0.1, batch_size=115)  # of 1,437 digits a tenth, four fifths of it
    with pytest.raises(DataError, match="a batch of 116 cannot be filled from 115 examples: take batch_size=115"):
        Training(space, digits, data=0.1, batch_size=116)
    with pytest.raises(SpecError, match=r"the task must be one of .*, not str"):
        Training(space, "digits")


def test_a_training_that_diverges_is_a_status(space, digits):
    estimator = Training(space, digits, **{**QUICK, "learning_rate": 1e30})
    search = nl.Search(nl.searchers.RandomSearch(space, seed=3), estimator=estimator, budget=2)
    assert [event.status for event in search] == ["failed", "failed"]
    assert search.events[0].message.startswith("Diverged: ")


# --- training on ------------------------------------------------------------------------------------

LONGER = dict(epochs=3, batch_size=32, learning_rate=0.1)


@pytest.fixture(scope="module")
def few(digits):
    return digits.subset(400, 10)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [{}, {"schedule": "constant", "epochs": 1}, {"optimizer": "adam"}])
def test_training_on_is_the_straight_training_bit_for_bit(space, few, good, tmp_path, recipe):
    estimator = Training(space, few, **{**LONGER, **recipe})
    first = estimator.train(good, fidelity=1, keep=tmp_path / "first")
    later = estimator.train(good, fidelity=3, begin=CheckpointRef(good, 1, tmp_path / "first"), keep=tmp_path / "later")
    straight = estimator.train(good, fidelity=3, keep=tmp_path / "straight")
    assert (tmp_path / "later").read_bytes() == (tmp_path / "straight").read_bytes()
    assert later.fitness == straight.fitness
    assert (first.metrics["epochs"], later.metrics["epochs"]) == (1, 3)
    assert first.fitness <= later.fitness, "the best epoch counts"
    unkept = estimator.train(good, fidelity=3, begin=CheckpointRef(good, 1, tmp_path / "first"))
    assert unkept.fitness == later.fitness
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "later", "straight"]


@pytest.mark.slow
def test_the_whole_training_is_that_of_the_recipe(space, few, good):
    estimator = Training(space, few, **LONGER)
    assert estimator.train(good, fidelity=3).fitness == estimator(good).fitness


@pytest.mark.slow
def test_another_architecture_inherits_what_fits(space, few, good, tmp_path):
    estimator = Training(space, few, **LONGER)
    estimator.train(good, fidelity=3, keep=tmp_path / "parent")
    child = space.architecture((*good.choices[:5], "nor_conv_3x3"))
    heir = estimator.train(child, fidelity=1, begin=CheckpointRef(good, 3, tmp_path / "parent"))
    with nl.randomness.seeded(0, "training", "weights"):
        network = space.build(child, few)
    parent = snapshot.read(tmp_path / "parent")
    inherit(network, {name.removeprefix("best/"): value for name, value in parent.items() if name.startswith("best/")})
    report = nl.trainers.fit(network, few, threads=1, held_out=0.2, schedule_epochs=3, **{**LONGER, "epochs": 1})
    assert heir.fitness == report.best.valid_accuracy != estimator.train(child, fidelity=1).fitness
    assert heir.metrics["epochs"] == 1

    networks = [space.build(architecture, few) for architecture in (good, child)]
    state = {name: tensor + 1 for name, tensor in networks[0].state_dict().items()}
    before = {name: tensor.clone() for name, tensor in networks[1].state_dict().items()}
    names = inherit(networks[1], state)
    assert 0 < len(names) < len(before)
    for name, tensor in networks[1].state_dict().items():
        assert tensor.equal(state[name] if name in names else before[name])
        fits = name in state and state[name].shape == tensor.shape
        assert (name in names) == fits


@pytest.mark.parametrize("epochs", [0, 1.5, 4, -1])
def test_epochs_that_are_not_to_be_had(space, few, good, epochs):
    with pytest.raises(UnknownFidelity, match=r"epochs, and the whole training has 3; .*whole epochs from 1 up to 3"):
        Training(space, few, **LONGER).train(good, fidelity=epochs)


def test_less_data_fewer_channels_smaller_images(space, digits, good):
    less = Training(space, digits, data=0.25, channels=2, size=4, **QUICK)
    found = less(good)
    assert found.metrics["parameters"] < Training(space, digits, **QUICK)(good).metrics["parameters"]
    assert (len(less._data.train), less._data.input_shape) == (round(0.25 * len(digits.train)), (1, 4, 4))
    whole, quarter = (task.train.images.mean() for task in (digits.subset(round(0.25 * len(digits.train))), less._data))
    assert quarter == pytest.approx(float(whole), rel=1e-5), "shrinking averages"
    again = nl.estimators.from_spec(json.loads(json.dumps(less.spec())))
    assert again.fingerprint() == less.fingerprint() != Training(space, digits, **QUICK).fingerprint()
    assert again(good).fitness == found.fitness


def test_what_makes_no_sense_is_refused(space, digits):
    for bad in ({"data": 0}, {"data": 1.1}, {"data": "half"}, {"channels": 0}, {"size": 9}, {"size": 0}):
        with pytest.raises(SpecError, match=next(iter(bad))):
            Training(space, digits, **bad)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": None}, "seed must be a whole number from 0 up, not None"),
        ({"seed": 1.5}, "seed must be .*1.5"),
        ({"seed": "x"}, "seed must be .*'x'"),
        ({"seed": -1}, "seed must be .*-1"),
        ({"threads": 0}, "threads must be a whole number from 1 to 1,024, not 0"),
        ({"threads": -4}, "threads must be .*-4"),
        ({"threads": "2"}, "threads must be .*'2'"),
        ({"device": 5}, "there is no device 5; give 'cpu', 'cuda'"),
    ],
)
def test_what_would_fail_every_candidate_is_refused_at_once(space, digits, given, message):
    with pytest.raises(SpecError, match=message):
        Training(space, digits, **given)


def test_numbers_and_devices_of_libraries_are_taken_as_they_are_meant(space, digits):
    given = Training(space, digits, seed=np.int64(3), threads=np.int32(2), device=torch.device("cpu"))
    plain = Training(space, digits, seed=3, threads=2, device="cpu")
    assert json.dumps(given.spec()) == json.dumps(plain.spec())
    assert given.fingerprint() == plain.fingerprint()


def test_one_number_of_channels_for_a_space_that_has_several_or_none(digits):
    evolving = nl.spaces.LargeScaleEvolutionSpace.laptop()
    with pytest.raises(
        SpecError, match=r"takes several channels, \(4, 6, .*leave channels=8 out.*replace\(space, channels="
    ):
        Training(evolving, digits, channels=8)
    Training(dataclasses.replace(evolving, channels=(4, 8)), digits)  # as the message says
    with pytest.raises(
        SpecError, match=r"has no channels that could be 8; leave channels out, .*filters, kernels, layers, strides"
    ):
        Training(nl.spaces.NetworkMorphism.laptop(), digits, channels=8)
