"""One candidate's evaluation: lineages, what is missing of them, and failures."""

import itertools
import json
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import RunPaused, SnapshotDamaged
from naslab.estimators import CheckpointRef, Score, UnknownFidelity, as_estimator
from naslab.estimators.evaluation import TrainingStage, evaluate


@pytest.fixture
def space():
    return nl.spaces.NASBench201(channels=4, cells=1)


class Counting:
    """Adds epochs up in a file; says what it was asked."""

    space, keeps_weights = None, True

    def __init__(self):
        self.asked = []

    def train(self, architecture, *, fidelity=None, begin=None, keep=None):
        before = int(begin.path.read_text()) if begin else 0
        self.asked.append((before, fidelity))
        keep.write_text(str(fidelity))
        return Score(fidelity + before / 10)


@pytest.fixture
def lineage(space, tmp_path):
    architecture = space.architecture(("none",) * 6)
    return [TrainingStage(architecture, epochs, tmp_path / f"{epochs}") for epochs in (1, 2, 4)]


@pytest.mark.parametrize(
    ("there", "asked"), [((), [(0, 1), (1, 2), (2, 4)]), ((1,), [(1, 2), (2, 4)]), ((2,), [(2, 4)])]
)
def test_what_is_not_kept_is_trained_again(lineage, there, asked):
    for epochs in there:
        (lineage[0].keep.parent / str(epochs)).write_text(str(epochs))
    estimator = Counting()
    outcome = evaluate(estimator, lineage[-1].architecture, lineage)
    assert (outcome.status, outcome.fitness) == ("done", 4.2)
    assert estimator.asked == asked


@pytest.mark.slow
def test_a_training_that_lost_its_files_comes_out_the_same(space, tmp_path):
    estimator = nl.estimators.Training(space, nl.tasks.Digits().subset(100, 10), epochs=3, batch_size=32)
    architecture = space.architecture(("nor_conv_3x3",) * 6)
    lineage = [TrainingStage(architecture, epochs, tmp_path / f"{epochs}") for epochs in (1, 2, 3)]
    straight = estimator.train(architecture, fidelity=3)
    for left in range(1, 4):
        assert evaluate(estimator, architecture, lineage[:left]).status == "done"
    kept = (tmp_path / "3").read_bytes()
    for path in tmp_path.iterdir():
        path.unlink()
    assert evaluate(estimator, architecture, lineage).fitness == straight.fitness
    assert (tmp_path / "3").read_bytes() == kept
    (tmp_path / "3").unlink()
    damaged = bytearray((tmp_path / "2").read_bytes())
    damaged[-5] ^= 1
    (tmp_path / "2").write_bytes(damaged)
    assert evaluate(estimator, architecture, lineage).fitness == straight.fitness
    assert (tmp_path / "3").read_bytes() == kept


EVERY = list(itertools.product(("kept", "damaged", "gone"), repeat=3))
FEW = [*EVERY[-9:], ("kept", "damaged", "gone"), ("kept", "gone", "damaged")]
"""The first one gone, whatever is left of the others; or the first one alone whole."""


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param(("nor_conv_1x1",) * 3, id="trains on"),
        pytest.param(("nor_conv_1x1", "nor_conv_3x3", "skip_connect"), id="inherits"),
        pytest.param(("nor_conv_1x1", "nor_conv_1x1", "none"), id="both", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "lefts",
    [
        pytest.param([("damaged", "damaged", "gone")], id="two damaged"),
        pytest.param(FEW, id="few", marks=pytest.mark.slow),
        pytest.param(EVERY, id="all there is", marks=pytest.mark.reliability),
    ],
)
def test_whatever_is_left_of_a_lineage_it_comes_out_the_same(space, tmp_path, monkeypatch, operations, lefts):
    """Each of three stages kept, damaged or gone."""
    estimator = nl.estimators.Training(space, nl.tasks.Digits().subset(20, 10), epochs=3, batch_size=8)
    lineage = [
        TrainingStage(space.architecture(("nor_conv_1x1",) * 5 + (operation,)), epochs, tmp_path / f"{epochs}")
        for epochs, operation in enumerate(operations, 1)
    ]
    for left in range(1, 4):
        straight = evaluate(estimator, lineage[left - 1].architecture, lineage[:left])
        assert straight.status == "done"
    kept = [stage.keep.read_bytes() for stage in lineage]
    train, trained = estimator.train, []

    def counted(architecture, **given):
        trained.append(given["fidelity"])
        if len(trained) > 9:
            pytest.fail(f"it is endless: {trained}")
        return train(architecture, **given)

    monkeypatch.setattr(estimator, "train", counted)
    for left in lefts:
        for stage, whole, how in zip(lineage, kept, left, strict=True):
            stage.keep.unlink(missing_ok=True)
            if how != "gone":
                stage.keep.write_bytes(whole if how == "kept" else whole[:-40])
        trained.clear()
        outcome = evaluate(estimator, lineage[-1].architecture, lineage)
        assert (left, outcome.status, outcome.fitness) == (left, "done", straight.fitness)
        assert outcome.metrics == {**straight.metrics, "seconds": outcome.metrics["seconds"]}
        assert lineage[-1].keep.read_bytes() == kept[-1]
        if left[1] == "kept":
            assert set(trained) == {3}, "what is whole is not trained again"
            assert lineage[1].keep.read_bytes() == kept[1]


def test_where_all_that_is_written_is_damaged_no_candidate_is_to_blame(lineage):
    class Damaging(Counting):
        def train(self, architecture, *, begin=None, **given):
            if len(self.asked) > 20:
                pytest.fail("it is endless")
            score = super().train(architecture, begin=begin, **given)
            if begin:
                raise SnapshotDamaged("its checksum does not match")
            return score

    estimator = Damaging()
    with pytest.raises(RunPaused, match=r"its checksum does not match\. No candidate is to blame"):
        evaluate(estimator, lineage[-1].architecture, lineage)
    assert estimator.asked == [(0, 1), (1, 2)] * 2


@pytest.mark.parametrize("times", [1, 9])
def test_what_another_process_removes_at_the_last_moment_is_trained_again(lineage, times):
    class Robbed(Counting):
        robberies = 0

        def train(self, architecture, *, begin=None, fidelity=None, keep=None):
            if fidelity == 4 and self.robberies < times:
                self.robberies += 1
                begin.path.unlink()
            return super().train(architecture, begin=begin, fidelity=fidelity, keep=keep)

    for stage in lineage[:2]:
        stage.keep.write_text(str(stage.fidelity))
    estimator = Robbed()
    outcome = evaluate(estimator, lineage[-1].architecture, lineage)
    if times == 1:
        assert (outcome.status, outcome.fitness) == ("done", 4.2)
        assert estimator.asked == [(1, 2), (2, 4)]
    else:
        assert outcome.status == "failed", "and not endless"


def test_a_file_that_the_estimator_misses_is_the_candidates_failure(lineage):
    class Missing(Counting):
        def train(self, architecture, **given):
            raise FileNotFoundError("the data")

    lineage[1].keep.write_text("2")
    assert evaluate(Missing(), lineage[-1].architecture, lineage).message == "FileNotFoundError: the data"
    assert lineage[1].keep.exists()


def test_figures_are_finite_numbers(space):
    architecture = space.architecture(("none",) * 6)
    outcome = evaluate(lambda architecture: Score(1.0, {"seconds": float("nan")}), architecture)
    assert (outcome.status, outcome.fitness, outcome.metrics) == ("failed", None, {})
    assert "seconds=nan" in outcome.message
    assert evaluate(lambda architecture: Score(1, {"flops": 3}), architecture).metrics == {"flops": 3.0}


@pytest.mark.parametrize(
    "number",
    [
        *(np.float32(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor(0.5, requires_grad=True)),
        *(Decimal("0.5"), Fraction(1, 2)),
    ],
)
def test_scalars_of_numpy_and_torch_are_numbers(space, number):
    for found in (number, Score(number, {"loss": number})):
        outcome = evaluate(lambda architecture, found=found: found, space.architecture(("none",) * 6))
        assert (outcome.status, outcome.fitness, type(outcome.fitness)) == ("done", 0.5, float)
    sampler = nl.searchers.RegularizedEvolution(space, population=2, sample=1)
    sampler.tell(sampler.ask(), number)
    assert json.loads(json.dumps(sampler.algorithm_state())) is not None


@pytest.mark.parametrize(
    "number",
    [np.array([0.5]), torch.tensor([0.5]), torch.tensor(float("nan")), torch.tensor(True), np.bool_(True), "1"],
)
def test_and_others_are_none(space, number):
    assert evaluate(lambda architecture: number, space.architecture(("none",) * 6)).status == "failed"


@pytest.mark.parametrize("error", [RunPaused("the disk is full"), UnknownFidelity("7 epochs"), KeyboardInterrupt()])
def test_what_is_not_the_candidates_fault_is_raised(space, error):
    def score(architecture):
        raise error

    with pytest.raises(type(error)):
        evaluate(score, space.architecture(("none",) * 6))


def test_kept_is_told_apart_by_what_it_is(lineage):
    assert CheckpointRef(*lineage[0]) == (lineage[0].architecture, 1, lineage[0].keep)


@pytest.mark.parametrize("fitness", [-sys.float_info.max, 1.1e100, 10**150, -np.inf, np.nan, None, True, "0.5"])
def test_what_is_no_fitness_is_a_failure_with_what_else_was_found(fitness):
    found = evaluate(as_estimator(lambda architecture: Score(fitness, {"seconds": 3})), None)
    assert (found.status, found.fitness, found.metrics) == ("failed", None, {"seconds": 3.0})
    assert f"returned {fitness!r}; a fitness is a number, up to 1e+100 in size" in found.message
    assert evaluate(as_estimator(lambda architecture: -1e100), None).fitness == -1e100
