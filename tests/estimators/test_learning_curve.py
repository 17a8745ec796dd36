"""Trainings that are stopped: whether they should have been, and what becomes of the knowledge."""

import dataclasses
import json
import math

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.estimators import (
    Constrained,
    LatencyReward,
    LearningCurve,
    Penalised,
    Score,
    Table,
    Training,
    UnknownFidelity,
    Weighted,
)
from naslab.estimators.learning_curve import Forecast
from naslab.searchers import BlackBoxSearch, RandomSearch


class Curves:
    """Candidates are numbers, and their curves rows: late to rise, as under a cosine, the good ones latest of all."""

    name, space, keeps_weights = "curves", None, False

    def __init__(self, rows, losses=None):
        self.rows, self.losses, self.trained = rows, losses, []

    def __call__(self, number):
        return self.train(number, fidelity=len(self.rows[number]))

    def train(self, number, *, fidelity=None, begin=None, keep=None):
        self.trained.append((number, fidelity, begin and begin.fidelity))
        loss = {} if self.losses is None else {"train_loss": self.losses[number, int(fidelity) - 1]}
        return Score(float(self.rows[number, int(fidelity) - 1]), {"seconds": 2.0, **loss})

    def check_fidelity(self, fidelity):
        if fidelity > self.rows.shape[1]:
            raise UnknownFidelity(f"{fidelity} epochs")

    def spec(self):
        return {"estimator": self.name}

    def fingerprint(self):
        return "curves"


def late(count, epochs=12, seed=0):
    """[count, epochs]"""
    rng = np.random.default_rng(seed)
    end, t = rng.uniform(0.5, 0.95, count), np.arange(1, epochs + 1) / epochs
    rise = 1 + 3 * end[:, None]  # the higher, the later
    return end[:, None] * (1 - np.cos(np.pi * t**rise)) / 2 + 0.005 * rng.normal(size=(count, epochs))


def searched(estimator, order):
    """Figures and fitness of each, in that order, each judged by what the ones before taught."""
    found = []
    for candidate in order:
        found.append(estimator(candidate))
        estimator = estimator.update(found[-1].metrics)
    return found


def test_the_probability_is_gaussian():
    assert Forecast(0.8, 0.1).below(0.8) == pytest.approx(0.5)
    assert Forecast(0.8, 0.1).below(0.9) == pytest.approx(0.8413447, abs=1e-6)
    assert Forecast(0.8, 0.1).below(-math.inf) == 0
    assert (Forecast(0.8, 0.0).below(0.7), Forecast(0.8, 0.0).below(0.9)) == (0, 1)


def test_the_first_ones_go_to_the_end_and_then_the_hopeless_are_stopped():
    rows = late(80)
    found = searched(LearningCurve(Curves(rows), 12, first=8), range(80))
    assert [score.metrics["stopped"] for score in found[:8]] == [0] * 8
    stopped = [n for n, score in enumerate(found) if score.metrics["stopped"]]
    assert len(stopped) > 40
    for number, score in enumerate(found):
        epochs = int(score.metrics["epochs"])
        assert [score.metrics[f"curve/{epoch}"] for epoch in range(1, epochs + 1)] == rows[number, :epochs].tolist()
        assert f"curve/{epochs + 1}" not in score.metrics
        assert score.metrics["seconds"] == 2 * epochs
        best = max((rows[m, -1] for m in range(number) if m not in stopped), default=-math.inf)
        if number in stopped:
            assert score.fitness == score.metrics["predicted"] < best
            assert 1 <= epochs < 12
        else:
            assert (score.fitness, epochs) == (rows[number, -1], 12)
            assert "predicted" not in score.metrics


def test_few_are_stopped_wrongly_although_the_curves_rise_late():
    """Of those that are stopped, at most one in twenty would have become the best, as the confidence says."""
    wrongly, errors, lows = [], [], []
    for seed in range(10):
        rows = late(80, seed=seed)
        best = -math.inf
        for number, score in enumerate(searched(LearningCurve(Curves(rows), 12), range(80))):
            if score.metrics["stopped"]:
                wrongly.append(rows[number, -1] > best)
                errors.append(score.fitness - rows[number, -1])
                lows.append(rows[number, int(score.metrics["epochs"]) - 1] - rows[number, -1])
            else:
                best = max(best, rows[number, -1])
    assert len(wrongly) > 400
    assert np.mean(wrongly) <= 0.05
    assert abs(np.mean(errors)) < 0.05 < 0.5 < abs(np.mean(lows))  # where they stood was no forecast


def test_it_trains_on_from_look_to_look():
    inside = Curves(late(1))
    LearningCurve(inside, 12, every=5)(0)
    assert inside.trained == [(0, 5, None), (0, 10, 5), (0, 12, 10)]


@pytest.mark.slow
def test_the_loss_is_seen_too():
    """The fitness says nothing before the end, the training loss everything."""
    rows = late(60)
    losses = np.repeat(1 - rows[:, -1:], 12, axis=1)
    rows[:, :-1] = 0.1
    blind = searched(LearningCurve(Curves(rows), 12), range(60))
    seeing = searched(LearningCurve(Curves(rows, losses), 12), range(60))
    assert seeing[0].metrics["train_loss/1"] == losses[0, 0]
    assert sum(score.metrics["epochs"] for score in seeing) < 0.5 * sum(score.metrics["epochs"] for score in blind)
    assert max(score.fitness for score in seeing) == rows[:, -1].max()


def test_more_confidence_stops_fewer():
    epochs = [
        sum(score.metrics["epochs"] for score in searched(LearningCurve(Curves(late(60)), 12, confidence=p), range(60)))
        for p in (0.6, 0.95, 0.999)
    ]
    assert epochs == sorted(epochs)
    assert epochs[0] < epochs[2] < 60 * 12


def test_what_goes_on_or_is_asked_for_at_another_length_is_left_alone():
    inside = Curves(late(20))
    estimator = LearningCurve(inside, 12, first=3)
    for number in range(5):
        estimator = estimator.update(estimator(number).metrics)
    inside.trained.clear()
    begun = nl.estimators.CheckpointRef(0, 4, None)
    for fidelity, begin in ((6, None), (12, begun)):
        score = estimator.train(7, fidelity=fidelity, begin=begin)
        assert score == Score(inside.rows[7, fidelity - 1], {"seconds": 2.0})
        assert estimator.update(score.metrics) is estimator
    assert inside.trained == [(7, 6, None), (7, 12, 4)]


def test_what_it_knows_is_its_own():
    """`hear` leaves the one that hears as it was; a stopped training teaches nothing."""
    estimator = LearningCurve(Curves(late(20)), 12, first=3)
    known = estimator
    for number in range(6):
        known = known.update(known(number).metrics)
    assert (estimator.best, estimator.state_dict()) == (-math.inf, ())
    assert known.fingerprint() == estimator.fingerprint()
    again = estimator.with_state(json.loads(json.dumps(known.state_dict())))
    assert [again(n) for n in range(20)] == [known(n) for n in range(20)]
    assert known.with_state(()).best == -math.inf
    stopped = next(score for score in map(known, range(20)) if score.metrics["stopped"])
    assert known.update(stopped.metrics) is known
    assert known.update({}) is known


def test_spec_through_json():
    table = Table(nl.benchmarks.NASBenchNLP(), "valid_loss")
    estimator = LearningCurve(table, 50, every=4, first=7, confidence=0.9)
    again = nl.estimators.from_spec(json.loads(json.dumps(estimator.spec())))
    assert (again.spec(), again.fingerprint()) == (estimator.spec(), estimator.fingerprint())
    assert again.looks == (*range(4, 50, 4), 50)
    assert LearningCurve(table, 50).fingerprint() != LearningCurve(table, 49).fingerprint()


@pytest.mark.parametrize(
    "given",
    [{"epochs": 0}, {"epochs": 51}, {"every": 0}, {"first": 2}, {"confidence": 0.5}, {"confidence": 1.0}],
)
def test_nonsense_is_refused(given):
    with pytest.raises(SpecError):
        LearningCurve(Table(nl.benchmarks.NASBenchNLP(), "valid_loss"), **{"epochs": 50, **given})


def test_what_does_not_train_has_no_curve():
    with pytest.raises(UnknownFidelity, match=r"give an estimator with train\(\)"):
        LearningCurve(nl.estimators.as_estimator(lambda architecture: 1.0), 12)


# --- on published curves --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def language():
    """Fitness of 262 recurrent cells after each of 50 epochs."""
    table = nl.benchmarks.NASBenchNLP()
    rows = np.stack([table.utility("valid_loss", epochs=epoch) for epoch in range(1, 51)], axis=1)
    return rows[np.isfinite(rows).all(axis=1)]


def test_a_forecast_is_closer_than_the_last_value_and_ranks_as_well(language):
    closer, ranks = [], []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(language))
        estimator = LearningCurve(Curves(language), 50, every=6)
        known = [[(value,) for value in language[n, [look - 1 for look in estimator.looks]]] for n in order[:60]]
        estimator = estimator.with_state(known)
        others = order[60:]
        forecasts = [estimator.forecast([(v,) for v in language[n, [5, 11]]]).fitness for n in others]
        truth, last = language[others, -1], language[others, 11]
        closer.append(np.median(np.abs(last - truth)) / np.median(np.abs(forecasts - truth)))
        ranks.append(nl.analysis.ranking.spearman(np.array(forecasts), truth))
    assert np.mean(closer) > 1.8
    assert np.mean(ranks) > 0.95


@pytest.mark.slow
def test_four_fifths_of_the_epochs_are_saved_and_the_best_is_found(language):
    """Random search of 100 cells, 50 seeds."""
    spent, lost = [], []
    for seed in range(50):
        order = np.random.default_rng(seed).permutation(len(language))[:100]
        found = searched(LearningCurve(Curves(language), 50, every=2), order)
        spent.append(sum(score.metrics["epochs"] for score in found) / 5000)
        chosen = order[np.argmax([score.fitness for score in found])]
        lost.append(language[order, -1].max() - language[chosen, -1])
    assert np.mean(spent) < 0.3
    assert np.mean(lost) < 0.005  # nats; all 50 find the best of their hundred


# --- in a search ----------------------------------------------------------------------------------------


def test_a_search_goes_on_with_what_it_had_learnt():
    table = nl.benchmarks.NASBenchNLP()
    estimator = LearningCurve(Table(table, "valid_loss"), 50, every=5)
    make = lambda: BlackBoxSearch(RandomSearch(table.space, seed=1), estimator, 60)  # noqa: E731
    straight = make()
    events = [straight.advance() for _ in range(60)]
    assert 25 < sum(event.figures.get("stopped", 0) for event in events) < 50
    best = max(events, key=lambda event: -math.inf if event.fitness is None else event.fitness)
    assert straight.best == best.architecture
    assert best.figures["stopped"] == 0

    half, resumed, replayed = make(), make(), make()
    for _ in range(30):
        half.advance()
    resumed.load_state_dict(half.state_dict())
    assert [resumed.advance() for _ in range(30)] == events[30:]
    assert [replayed.repeat(event) for event in events[:30]] == events[:30]
    assert [replayed.advance() for _ in range(30)] == events[30:]
    assert [make().advance() for _ in range(1)] == events[:1]  # the estimator that was given knows nothing of it
    again = nl.searchers.from_spec(json.loads(json.dumps(straight.spec())), estimator=straight.estimator)
    assert [again.advance() for _ in range(60)] == events


def test_inside_others_it_learns_too():
    table = nl.benchmarks.NASBenchNLP()
    curve = LearningCurve(Table(table, "valid_loss", metrics=("parameters",)), 50, every=5, first=5)
    trials = BlackBoxSearch(RandomSearch(table.space, seed=1), Constrained(curve, {"parameters": 1e9}), 40)
    events = [trials.advance() for _ in range(40)]
    assert sum(event.figures.get("stopped", 0) for event in events) > 15
    other = BlackBoxSearch(RandomSearch(table.space, seed=1), Constrained(curve, {"parameters": 1e9}), 40)
    other.load_state_dict(trials.state_dict())
    assert other.estimator.state_dict() == trials.estimator.state_dict() != ()


@pytest.fixture(scope="module")
def training():
    space = nl.spaces.NASBench201(channels=2, cells=1)
    return Training(space, nl.tasks.Digits().subset(90, 10), epochs=5, batch_size=16, learning_rate=0.1)


def timeless(figures):
    return {name: value for name, value in figures.items() if name != "seconds"}


@pytest.mark.slow
def test_watching_a_real_training_changes_nothing(training):
    architecture = training.space.architecture(("nor_conv_3x3",) * 6)
    watched, plain = LearningCurve(training, 5)(architecture), training(architecture)
    assert watched.fitness == plain.fitness == watched.metrics["curve/5"]
    assert timeless(plain.metrics).items() <= watched.metrics.items()
    assert watched.metrics["curve/2"] == training.train(architecture, fidelity=2).fitness


@pytest.mark.parametrize("lost", ["nothing", "curve", "weights"])
@pytest.mark.slow
def test_a_training_that_was_broken_off_goes_on(training, tmp_path, monkeypatch, lost):
    architecture = training.space.architecture(("nor_conv_1x1",) * 6)
    estimator, keep = LearningCurve(training, 5), tmp_path / "000001-key.snapshot"
    expected = estimator.train(architecture, keep=tmp_path / "000002-key.snapshot")
    train, begun = Training.train, []

    def broken(self, architecture, **given):
        if given["fidelity"] == 4 and len(begun) < 4:
            raise KeyboardInterrupt
        begun.append(given["fidelity"])
        return train(self, architecture, **given)

    monkeypatch.setattr(Training, "train", broken)
    with pytest.raises(KeyboardInterrupt):
        estimator.train(architecture, keep=keep)
    begun.append("again")
    if lost != "nothing":
        keep.with_suffix(".curve" if lost == "curve" else ".snapshot").unlink()
    score = estimator.train(architecture, keep=keep)
    assert (score.fitness, timeless(score.metrics)) == (expected.fitness, timeless(expected.metrics))
    assert begun == [1, 2, 3, "again", *([4, 5] if lost == "nothing" else [1, 2, 3, 4, 5])]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_real_trainings_are_stopped_and_a_run_is_opened_again(training, tmp_path, workers):
    estimator = LearningCurve(training, 5, first=5, confidence=0.8)
    search = nl.Search(
        RandomSearch(training.space, seed=3),
        tmp_path / "run",
        estimator=estimator,
        budget=24,
        workers=workers,
        snapshot_every=4,
    )
    events = []
    for event in search:
        events.append(event)
        if len(events) == 14:
            break
    search.close()
    again = nl.Search.open(tmp_path / "run")
    events += list(again)
    assert [event.step for event in events] == list(range(1, 25))
    stopped = [event for event in events if event.figures["stopped"]]
    assert any(event.step > 14 for event in stopped)
    assert again.events[-1].best in {event.architecture for event in events if not event.figures["stopped"]}
    if workers == 1:
        calm = list(nl.Search(RandomSearch(training.space, seed=3), estimator=estimator, budget=24))
        plain = lambda e: dataclasses.replace(e, figures=timeless(e.figures))  # noqa: E731
        assert list(map(plain, events)) == list(map(plain, calm))


def test_nobody_may_change_the_fitness_that_it_decides_by():
    inside = LearningCurve(Curves(np.ones((4, 6))), epochs=6)
    for around in (
        lambda one: Penalised(one, most={"seconds": 1.0}),
        lambda one: Weighted(Constrained(one, {"seconds": 1.0}), {"seconds": -1.0}),
        lambda one: LatencyReward(one, 1.0),
    ):
        with pytest.raises(SpecError, match=r"'learning_curve' compares candidates by their fitness.*put it outside"):
            around(inside)
        LearningCurve(around(Curves(np.ones((4, 6)))), epochs=6)
