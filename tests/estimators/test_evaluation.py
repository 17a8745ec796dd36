"""One candidate's evaluation: lineages, what is missing of them, and failures."""

import json

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import RunPaused
from naslab.estimators import Kept, Score, UnknownFidelity
from naslab.estimators.evaluation import Stage, evaluate


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
    return [Stage(architecture, epochs, tmp_path / f"{epochs}") for epochs in (1, 2, 4)]


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


def test_a_training_that_lost_its_files_comes_out_the_same(space, tmp_path):
    estimator = nl.estimators.Training(space, nl.tasks.Digits().subset(100, 10), epochs=3, batch_size=32)
    architecture = space.architecture(("nor_conv_3x3",) * 6)
    lineage = [Stage(architecture, epochs, tmp_path / f"{epochs}") for epochs in (1, 2, 3)]
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


def test_figures_are_finite_numbers(space):
    architecture = space.architecture(("none",) * 6)
    outcome = evaluate(lambda architecture: Score(1.0, {"seconds": float("nan")}), architecture)
    assert (outcome.status, outcome.fitness, outcome.figures) == ("failed", None, {})
    assert "seconds=nan" in outcome.message
    assert evaluate(lambda architecture: Score(1, {"flops": 3}), architecture).figures == {"flops": 3.0}


@pytest.mark.parametrize(
    "number",
    [np.float32(0.5), np.float64(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor(0.5, requires_grad=True)],
)
def test_scalars_of_numpy_and_torch_are_numbers(space, number):
    for found in (number, Score(number, {"loss": number})):
        outcome = evaluate(lambda architecture, found=found: found, space.architecture(("none",) * 6))
        assert (outcome.status, outcome.fitness, type(outcome.fitness)) == ("done", 0.5, float)
    proposer = nl.searchers.RegularizedEvolution(space, population=2, sample=1)
    proposer.tell(proposer.ask(), number)
    assert json.loads(json.dumps(proposer.memory())) is not None


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
    assert Kept(*lineage[0]) == (lineage[0].architecture, 1, lineage[0].keep)
