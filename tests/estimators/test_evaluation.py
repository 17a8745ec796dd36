"""One candidate's evaluation: lineages, what is missing of them, and failures."""

import pytest

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


@pytest.mark.parametrize("error", [RunPaused("the disk is full"), UnknownFidelity("7 epochs"), KeyboardInterrupt()])
def test_what_is_not_the_candidates_fault_is_raised(space, error):
    def score(architecture):
        raise error

    with pytest.raises(type(error)):
        evaluate(score, space.architecture(("none",) * 6))


def test_kept_is_told_apart_by_what_it_is(lineage):
    assert Kept(*lineage[0]) == (lineage[0].architecture, 1, lineage[0].keep)
