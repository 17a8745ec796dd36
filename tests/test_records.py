"""What the house gives away is plain data: it can be copied, pickled and taken apart, and nobody can change it."""

import copy
import dataclasses
import json
import math
import pickle
from collections.abc import Mapping

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import Ranking
from naslab.architecture import Architecture, Choice
from naslab.card import card
from naslab.events import ChildTrained, Evaluated, Raced, Ranked, SupernetStep
from naslab.immutable import FrozenDict, FrozenList, frozen
from naslab.networks.genotype import Genotype
from naslab.trainers.compare import Comparison, Score
from naslab.trainers.report import Epoch, Report

CELL = Architecture("nasbench201", ("none", "skip_connect", "none", "none", "none", "none"))
EVALUATED = Evaluated(
    step=2,
    number=2,
    architecture=CELL,
    origin="mutation",
    parents=(1,),
    status="done",
    fitness=0.5,
    message="",
    best=CELL,
    best_fitness=0.5,
    settings={"sample": 3.0},
    figures={"parameters": 12.0},
    details={"hurdles": [0.25, 0.5], "entropy": 1.5},
    probabilities={"op": np.array([0.25, 0.75])},
)
STEP = SupernetStep(
    step=1,
    epoch=0,
    metrics={"train/loss": 1.0, "valid/loss": 1.0, "valid/accuracy": 0.5, "entropy": 0.6, "discretisation_gap": -0.5},
    probabilities={"normal": np.array([[0.25, 0.75], [0.5, 0.5]])},
    best=CELL,
    settings={"w_lr": 0.025},
)
EPOCH = Epoch(epoch=1, learning_rate=0.1, train_loss=math.nan, train_accuracy=0.5, test_loss=1.0, test_accuracy=0.5)
RECORDS = {
    "architecture": CELL,
    "choice": Choice("op", ("none", 1, 0.5)),
    "genotype": Genotype.parse(
        "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1)], normal_concat=[2], "
        "reduce=[('max_pool_3x3', 0), ('none', 1)], reduce_concat=[2])"
    ),
    "supernet step": STEP,
    "child trained": ChildTrained(
        step=1, epoch=0, architecture=CELL, metrics={"train/loss": 1.0}, best=CELL, settings={"w_lr": 0.1}
    ),
    "evaluated": EVALUATED,
    "raced": Raced(
        step=1,
        searcher="random",
        seed=0,
        number=1,
        architecture=CELL,
        status="done",
        fitness=0.5,
        message="",
        figures={"seconds": 1.0},
        spent=1.0,
    ),
    "card, nothing tested": card({"alone": [1.0], "random": [math.nan]}, what="x"),
    "ranking": Ranking.of([1.0, 2.0, 3.0], [1.0, 3.0, 2.0], top=1, resamples=10),
    "comparison": Comparison((Score(group="a", architecture=CELL, seed=0, test_accuracy=0.5, parameters=7),)),
    "report": Report(history=(EPOCH,), parameters=7, recipe=nl.trainers.Recipe(), seed=0),
    "score": nl.estimators.Score(0.5),
    "score with figures": nl.estimators.Score(0.5, FrozenDict({"parameters": 3})),
    "benchmark record": nl.benchmarks.NASBench201().query(7),
    "table": nl.benchmarks.NASBenchMacro().query(7),
    "curve": nl.benchmarks.NASBench201().curves(11)[0],
    "space": nl.spaces.NASBench201(),
    "hyperparameters": nl.searchers.RegularizedEvolution(nl.spaces.NASBench201(), seed=0).hyperparameters,
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=list(RECORDS))
def test_a_record_equals_its_copies(record):
    for again in (copy.copy(record), copy.deepcopy(record), *(pickle.loads(pickle.dumps(record, p)) for p in (2, 5))):
        assert type(again) is type(record)
        assert again == record
        if not isinstance(record, tuple):
            assert hash(again) == hash(record)


@pytest.mark.parametrize("record", [r for r in RECORDS.values() if dataclasses.is_dataclass(r)])
def test_a_record_can_be_taken_apart(record):
    told = dataclasses.asdict(record)
    assert list(told) == [field.name for field in dataclasses.fields(record)]
    assert json.dumps(told, default=np.ndarray.tolist)


@pytest.mark.parametrize("copied", [lambda r: r, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_copies_cannot_be_changed_either(copied):
    event, step = copied(EVALUATED), copied(STEP)
    for mapping in (
        event.figures,
        event.settings,
        event.details,
        event.probabilities,
        step.probabilities,
        step.metrics,
    ):
        assert isinstance(mapping, Mapping)
        name = next(iter(mapping))
        for change in (
            lambda m, name=name: m.__setitem__(name, 1),
            lambda m, name=name: m.__delitem__(name),
            lambda m: m.update(a=1),
            lambda m: m.setdefault("a", 1),
            lambda m, name=name: m.pop(name),
            lambda m: m.popitem(),
            lambda m: m.clear(),
            lambda m: m.__ior__({"a": 1}),
        ):
            with pytest.raises(TypeError, match="cannot be changed"):
                change(mapping)
    for change in (
        lambda row: row.append(1),
        lambda row: row.extend([1]),
        lambda row: row.__setitem__(0, 1),
        lambda row: row.sort(),
        lambda row: row.__iadd__([1]),
        lambda row: row.clear(),
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change(event.details["hurdles"])
    for array in (event.probabilities["op"], step.probabilities["normal"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert event == EVALUATED
    assert step == STEP


def test_what_is_frozen_reads_as_what_it_was():
    given = {"a": [1, [2.0]], "b": {"c": np.arange(3)}, "d": (1, 2), "e": math.nan}
    kept = frozen(given)
    assert kept == given == copy.deepcopy(kept)
    assert isinstance(kept["a"][1], FrozenList)
    assert isinstance(kept["b"], FrozenDict)
    assert json.dumps(frozen({"a": [1, {"b": 2}]})) == '{"a": [1, {"b": 2}]}'
    assert dict(kept) | {"a": 1} == {**given, "a": 1}
    given["b"]["c"][0] = 9  # the array of others stays theirs
    with pytest.raises(ValueError, match="read-only"):
        kept["b"]["c"][0] = 8
    assert frozen({"a": np.zeros(2)}) != frozen({"a": np.zeros(3)})
    assert frozen({"a": np.zeros(2)}) != frozen({"a": np.ones(2)})
    assert frozen({"a": 1}) != {"b": 1}


def test_records_with_other_numbers_are_other_records():
    (score,) = RECORDS["comparison"].scores
    for changes in ({"test_accuracy": 0.6}, {"group": "b"}, {"test_accuracy": math.nan}):
        assert dataclasses.replace(score, **changes) != score
    report = RECORDS["report"]
    assert dataclasses.replace(report, seconds=9.0) == report  # the time is no part of it
    assert dataclasses.replace(report, seed=1) != report
    assert report != RECORDS["comparison"]


def test_a_ranked_event_too():
    told = dict.fromkeys([f.name for f in dataclasses.fields(Ranked)])
    event = Ranked(**{**told, "step": 1, "numbers": [1], "scores": [0.5], "truth": [1.0], "kendall": [0.5, 0.0, 1.0]})
    assert pickle.loads(pickle.dumps(event)) == event == copy.deepcopy(event)
