"""Several tasks as one: their mini-batches take turns, the loss is that of the task at hand, metrics are of each."""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import DataError, SpecError
from naslab.modes import evaluation_mode
from naslab.randomness import seeded
from naslab.tasks.interleaved import Share

sys.path.append(str(Path(__file__).parents[1] / "guests"))
import guest_tasks


@pytest.fixture(scope="module")
def digit():
    return nl.tasks.Digits().subset(80, 20)


@pytest.fixture(scope="module")
def ink():
    return guest_tasks.DigitAndInk(40)


@pytest.fixture(scope="module")
def joint(digit, ink):
    return nl.tasks.Joint({"digit": digit, "ink": ink})


@pytest.fixture(scope="module")
def network(joint):
    with seeded(0):
        return nl.spaces.NASBench201(channels=4, cells=1).build(
            nl.spaces.NASBench201().parse(
                "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|none~2|"
            ),
            joint,
        )


def test_heads_and_inputs(joint, network):
    assert {name: head.outputs for name, head in joint.signature.heads.items()} == {
        "digit": 10,
        "ink/digit": 10,
        "ink/ink": 1,
    }
    assert joint.signature.inputs == joint.tasks["digit"].signature.inputs
    assert joint.splits == {"train": 120, "test": 33}
    assert set(network(torch.zeros(2, 1, 8, 8))) == set(joint.signature.heads)
    renamed = nl.tasks.Joint({"digits": joint.tasks["digit"], "ink": joint.tasks["ink"]})
    assert renamed.fingerprint() != joint.fingerprint()  # its metrics have other names


def test_mini_batches_take_turns_in_proportion(joint):
    stream = joint.stream("train")
    assert stream.steps(10, 0, "seed") == 8 + 4
    said = [stream.where(10, 0, position, "seed") for position in range(12)]
    assert [share.task for share in said].count("ink") == 4
    between = [at for at, share in enumerate(said) if share.task == "ink"]
    assert between == [1, 4, 7, 10]  # at (i + 1/2) / 4 of the pass
    seen = torch.cat([share.where for share in said if share.task == "digit"])
    assert sorted(seen.tolist()) == list(range(80))
    other = [stream.where(10, 1, position, "seed") for position in range(12)]
    assert not torch.equal(said[0].where, other[0].where)


def test_a_sweep_has_all_data_once_and_a_cut_some_of_each_task(joint):
    stream = joint.stream("test")
    assert sum(len(share.where) for share in stream.sweep(8)) == 33
    assert {name: len(one) for name, one in stream.first(10).streams.items()} == {"digit": 6, "ink": 4}
    assert {name: len(one) for name, one in stream.drawn(1, np.random.default_rng(0)).streams.items()} == {
        "digit": 1,
        "ink": 1,
    }
    with pytest.raises(DataError, match="of 33 examples 1 to 33"):
        stream.first(34)
    train, valid = joint.parts(0, 0.5)
    assert len(train.joined(valid)) == 120
    tasks = {stream.sample(4, np.random.default_rng(seed)).task for seed in range(20)}
    assert tasks == {"digit", "ink"}


def test_the_loss_is_that_of_the_task_of_the_mini_batch(joint, network):
    for share in (Share("digit", "train", torch.arange(6)), Share("ink", "train", torch.arange(6))):
        batch = joint.batch(share)
        alone = joint.tasks[share.task].batch(share.where)
        with evaluation_mode(network):
            outputs = network(joint.inputs(batch))
        own = outputs["digit"] if share.task == "digit" else {k: outputs[f"ink/{k}"] for k in ("digit", "ink")}
        assert torch.equal(joint.loss(outputs, batch), joint.tasks[share.task].loss(own, alone))
        assert joint.size(batch) == 6
        # only the heads of this task, and what all share, have a gradient
        network.zero_grad()
        joint.loss(network(joint.inputs(batch)), batch).backward()
        moved = {
            name.split(".")[-2] for name, p in network.named_parameters() if "heads" in name and p.grad is not None
        }
        assert moved == ({"digit"} if share.task == "digit" else {"ink/digit", "ink/ink"})


def test_metrics_are_those_of_each_task_and_their_mean(joint, network):
    from naslab.tasks.measurement import Measurement

    with evaluation_mode(network), torch.no_grad():
        judged = [
            (network(joint.inputs(batch)), batch)
            for share in joint.stream("test").sweep(7)
            for batch in [joint.batch(share, split="test")]
        ]
        measurement = Measurement(joint.metrics())
        for outputs, batch in judged:
            measurement.update(outputs, batch)
        found = measurement.compute()
        for name, task in joint.tasks.items():
            alone = Measurement(task.metrics())
            for where in task.stream("test").sweep(7):
                batch = task.batch(where, split="test")
                alone.update(joint.heads_of(name, network(task.inputs(batch))), batch)
            for metric, value in alone.compute().items():
                assert found[f"{name}/{metric}"] == pytest.approx(value, rel=1e-6)
    assert joint.objective == "mean_objective"  # accuracy and digit_accuracy
    assert found["mean_objective"] == pytest.approx((found["digit/accuracy"] + found["ink/digit_accuracy"]) / 2)
    only = Measurement(joint.metrics())
    only.update(*judged[0])
    assert math.isnan(only.compute()["ink/ink_loss"])
    assert math.isnan(only.compute()["mean_objective"])


@pytest.mark.slow
def test_a_search_and_a_training_over_both(digit, ink, tmp_path):
    joint = nl.tasks.Joint({"digit": digit.subset(20, 10), "ink": guest_tasks.DigitAndInk(20)})
    space = nl.spaces.NASBench201(channels=4, cells=1)
    darts = nl.searchers.Darts(space, joint, batch_size=5, epochs=1, seed=0)
    search = nl.Search(darts, run=tmp_path / "run")
    first = list(itertools.islice(search, 3))
    search.close()
    again = nl.Search.open(tmp_path / "run", task=joint)
    assert again.step == 3
    assert len(list(again)) > 0
    assert math.isfinite(first[-1].train_loss)
    again.close()
    report = nl.trainers.fit(space.build(again.best, joint), joint, epochs=2, batch_size=10, learning_rate=0.05, seed=0)
    measured = report.history[-1].metrics
    assert {"test/digit/accuracy", "test/ink/ink_loss", "test/mean_objective"} <= set(measured)
    assert measured["test/mean_objective"] == pytest.approx(
        (measured["test/digit/accuracy"] + measured["test/ink/digit_accuracy"]) / 2
    )
    assert report.objective == "mean_objective"


def test_what_does_not_go_together_is_refused(digit, ink, joint):
    Joint = nl.tasks.Joint
    text = nl.tasks.LanguageModel.from_text("to be or not to be\n" * 40)
    for tasks, message in (
        ({"a": digit}, "at least two"),
        ([digit, ink], "given by name"),
        ({"a": digit, "b": 3}, "given by name"),
        ({"a/b": digit, "c": ink}, "without '/'"),
        ({"": digit, "c": ink}, "without '/'"),
        ({"a": digit, "b": text}, "bring them to one shape"),
        ({"a": digit, "b": guest_tasks.MedianInk(30)}, "give objective="),
    ):
        with pytest.raises(SpecError, match=message):
            Joint(tasks)
    both = Joint({"a": digit, "b": guest_tasks.MedianInk(30)}, "b/median_error")
    assert both.metrics()["b/median_error"].unit == "drops"
    with pytest.raises(SpecError, match="metric of these tasks"):
        Joint({"a": digit, "b": ink}, "c/accuracy")
    with pytest.raises(DataError, match="taken from one of their streams"):
        joint.batch(torch.arange(3))
    with pytest.raises(DataError, match="the task 'ink' of several"):
        joint.stream("train").steps(60, 0, "seed")
    with pytest.raises(SpecError, match="ink/ink is missing"):
        joint.check_outputs({"digit": torch.zeros(2, 10), "ink/digit": torch.zeros(2, 10)}, joint.example(2))
    with pytest.raises(DataError, match=r"the tasks digit, ink, and task=\.\.\. has a, b"):
        Joint({"a": digit, "b": ink}).as_recorded(joint.spec())
