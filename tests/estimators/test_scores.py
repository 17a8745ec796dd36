"""Scores of one fitness or of several objectives, and what becomes of them in a search, its front and its run."""

import pickle

import pytest

import naslab as nl
from naslab.analysis.pareto import front
from naslab.errors import SpecError
from naslab.estimators import (
    Constrained,
    Function,
    LearningCurve,
    Objective,
    Penalised,
    Resources,
    Score,
    Table,
    WrongSetup,
    objectives_of,
)
from naslab.estimators.evaluation import evaluate
from naslab.searchers import RandomSearch

SPACE = nl.spaces.NASBench201()
ERROR, LATENCY = Objective("error", "min"), Objective("latency", "min", "ms")
BOTH = (ERROR, LATENCY)


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


@pytest.fixture
def measured(table):
    """Error and latency of an architecture, with the parameters beside."""

    def measured(architecture):
        number = table.index(architecture)
        values = {"error": 100 - float(table.column()[number]), "latency": float(table.column("latency/fpga")[number])}
        values["parameters"] = float(table.column("parameters")[number])
        return Score(values=values, objectives=BOTH)

    return measured


def test_a_fitness_and_figures_as_ever():
    score = Score(0.5, {"parameters": 3})
    assert score == Score(fitness=0.5, metrics={"parameters": 3})
    assert (score.fitness, score.metrics) == tuple(score) == (0.5, {"parameters": 3})
    assert score.values == {"fitness": 0.5, "parameters": 3}
    assert score.objectives == ()
    with pytest.raises(AttributeError):
        score.fitness = 1.0


def test_values_and_objectives():
    score = Score(values={"latency": 3.0, "error": 0.25, "parameters": 7.0}, objectives=BOTH)
    assert score.fitness == -0.25
    assert score.metrics == {"latency": 3.0, "parameters": 7.0}
    assert score.values == {"error": 0.25, "latency": 3.0, "parameters": 7.0}
    assert pickle.loads(pickle.dumps(score)) == score
    assert Score(values={"fitness": 2.0}).fitness == 2.0
    assert score != Score(-0.25, score.metrics)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"values": {"error": 1.0}}, r"the directions of error are not known.*Objective\('error', 'min'\)"),
        ({"values": {"error": 1.0}, "objectives": BOTH}, "lack that of the objective 'latency'; there are: error"),
        ({"values": {"error": 1.0}, "objectives": [("error", "least")]}, "'error': unknown direction 'least'"),
        ({"values": {"error": 1.0}, "objectives": [ERROR, ERROR]}, "different names"),
        ({"values": {"error": "low"}, "objectives": [ERROR]}, "the value of 'error' must be a number"),
        ({"values": [1.0], "objectives": [ERROR]}, "values are numbers by name"),
        ({"fitness": 1.0, "values": {"error": 1.0}, "objectives": [ERROR]}, "not both"),
        ({"fitness": 1.0, "objectives": [ERROR]}, "a bare fitness has none"),
    ],
)
def test_scores_that_make_no_sense(given, says):
    with pytest.raises(SpecError, match=says):
        Score(**given)


def test_a_function_of_several_objectives(measured, tmp_path):
    search = nl.Search(RandomSearch(SPACE, seed=1), estimator=measured, budget=40, run=tmp_path / "run")
    events = list(search)
    assert all(event.fitness == -event.values["error"] for event in events)
    assert all(event.figures["latency"] == event.values["latency"] for event in events)
    assert search.objectives == BOTH
    assert search.best == max(events, key=lambda event: event.fitness).architecture

    def beaten(one):
        return any(
            other.values["error"] <= one.values["error"]
            and other.values["latency"] <= one.values["latency"]
            and other.values != one.values
            and (other.values["error"], other.values["latency"]) != (one.values["error"], one.values["latency"])
            for other in events
        )

    expected = sorted((event for event in events if not beaten(event)), key=lambda event: event.values["error"])
    assert search.front == expected
    assert 1 < len(expected) < len(events)
    row = search.table()[0]
    assert (row["values/error"], row["values/latency"]) == (events[0].values["error"], events[0].values["latency"])
    search.close()
    again = nl.Search.open(tmp_path / "run", estimator=measured)
    assert again.front == expected
    reader = nl.runs.read(tmp_path / "run")
    assert front([event for _, _, event in reader.events()], reader.objectives) == expected


def test_the_front_of_one_objective_is_the_best(table):
    search = nl.Search(RandomSearch(SPACE, seed=2), estimator=Table(table, "latency/fpga"), budget=20)
    assert search.front == []
    events = list(search)
    assert search.objectives == (Objective("latency/fpga", "min", "ms"),)
    assert [event.architecture for event in search.front] == [search.best]
    assert search.front[0].values["latency/fpga"] == min(event.values["latency/fpga"] for event in events) > 0
    assert all(event.fitness == -event.values["latency/fpga"] for event in events)


@pytest.mark.parametrize("metric", ["test_accuracy", "latency/fpga"])
def test_a_run_says_direction_and_unit(table, tmp_path, metric):
    nl.Search(RandomSearch(SPACE), estimator=Table(table, metric), budget=2, run=tmp_path / "run").close()
    objective = nl.runs.read(tmp_path / "run").objectives[0]
    assert objective == table.objective_of(metric)
    assert objective.direction == table.direction(metric)
    assert objective.unit == {"test_accuracy": "per cent", "latency/fpga": "ms"}[metric]


def test_a_failed_candidate_has_no_values():
    outcome = evaluate(Function(lambda a: Score(values={"error": float("nan"), "latency": 1.0}, objectives=BOTH)), None)
    assert (outcome.status, outcome.values) == ("failed", {})
    outcome = evaluate(Function(lambda a: Score(values={"error": 1.0, "latency": float("inf")}, objectives=BOTH)), None)
    assert (outcome.status, outcome.values) == ("failed", {})
    assert evaluate(Function(lambda a: (1.0, 2.0)), None).status == "failed"


def test_a_function_with_a_declared_objective():
    loss = Function(lambda architecture: 0.5, objectives=Objective("loss", "min", "nats"))
    outcome = evaluate(loss, None)
    assert (outcome.fitness, outcome.values, outcome.objectives) == (-0.5, {"loss": 0.5}, ())
    two = Function(lambda architecture: {"error": 0.5, "latency": 2.0}, objectives=BOTH)
    assert evaluate(two, None)[1:] == (-0.5, {"latency": 2.0}, "", {"error": 0.5, "latency": 2.0}, ())
    epochs = Function(lambda architecture: None, objectives=[ERROR])
    assert evaluate(epochs, None).status == "failed"
    assert loss.spec()["objectives"] == [["loss", "min", "nats"]]
    assert "objectives" not in Function(len).spec()


def test_a_score_of_other_objectives_than_declared_stops_the_search():
    wrong = Function(lambda a: Score(values={"error": 1.0}, objectives=[ERROR]), objectives=[LATENCY])
    with pytest.raises(WrongSetup, match=r"other objectives than its estimator: \[error: min\] and \[latency: min\]"):
        evaluate(wrong, None)


def test_estimators_around_others(measured, table):
    architecture = SPACE.architecture(("nor_conv_3x3",) * 6)
    inside = Function(measured)
    plain = evaluate(inside, architecture)
    same = evaluate(Constrained(inside, {"latency": 1e9}), architecture)
    assert (same.values, same.objectives) == (plain.values, BOTH)
    penalised = Penalised(Function(measured, objectives=BOTH), {"latency": plain.values["latency"] / 2})
    assert objectives_of(penalised) == (Objective("penalised", "max"),)
    outcome = evaluate(penalised, architecture)
    assert outcome.values == {"penalised": outcome.fitness}
    assert outcome.metrics["fitness"] == plain.fitness
    assert outcome.metrics["latency"] == plain.values["latency"]
    assert objectives_of(Constrained(Table(table, "parameters"), {"latency": 1.0})) == (Objective("parameters", "min"),)


def test_resources_have_the_direction_of_their_first_figure():
    digits = nl.tasks.Digits().subset(64, 16)
    assert objectives_of(Resources(SPACE, digits, ["latency", "flops"])) == (Objective("latency", "min", "s"),)
    assert objectives_of(Resources(SPACE, digits, ["intensity"])) == (Objective("intensity", "max"),)


def test_training_has_the_objective_of_its_task():
    training = nl.estimators.Training(nl.spaces.NASBench201.laptop(), nl.tasks.Digits().subset(128, 16))
    assert objectives_of(training) == (Objective("accuracy", "max", "%"),)


class Curves:
    """Trains, as far as anybody can tell: the error falls with the epochs."""

    space, keeps_weights, objectives = SPACE, True, BOTH

    def __call__(self, architecture):
        return self.train(architecture)

    def train(self, architecture, *, fidelity=None, begin=None, keep=None):
        if keep is not None:
            keep.write_bytes(b"")
        return Score(values={"error": 1 / (fidelity or 4), "latency": 2.0}, objectives=BOTH)

    def check_fidelity(self, fidelity):
        pass

    def spec(self):
        return {"estimator": "curves"}

    def fingerprint(self):
        return ""


def test_a_learning_curve_keeps_the_objectives_when_it_goes_on(tmp_path):
    watched = LearningCurve(Curves(), 4)
    score = watched.train(SPACE.architecture(("none",) * 6), keep=tmp_path / "1.snapshot")
    assert (score.values["error"], score.values["latency"], score.objectives) == (0.25, 2.0, BOTH)
    assert watched.train(SPACE.architecture(("none",) * 6), keep=tmp_path / "1.snapshot") == score
    assert evaluate(watched, SPACE.architecture(("none",) * 6)).values["latency"] == 2.0
