import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.estimators import CheckpointRef, Function, FunctionOfEpochs, Penalised, Table, UnknownFidelity, as_estimator


@pytest.fixture(scope="module")
def benchmark():
    return nl.benchmarks.NASBench201("cifar100")


def test_a_table_looks_up(benchmark):
    for metric, epochs in ((None, None), ("valid_accuracy", 12), ("test_accuracy", 200)):
        table = Table(benchmark, metric, epochs=epochs)
        for index in (0, 77, 15624):
            expected = benchmark.query_many([index], metric=metric, epochs=epochs)[0]
            assert table(benchmark.at(index)) == expected
            assert type(table(benchmark.at(index))) is float


def test_the_fitness_of_a_cost_is_its_negative(benchmark):
    table = Table(benchmark, "latency/raspi4")
    assert table(benchmark.at(3)) == -benchmark.query(3).latency["raspi4"]


def test_a_table_refuses_what_it_does_not_hold(benchmark):
    table = Table(benchmark)
    with pytest.raises(SpecError, match="does not belong"):
        table(nl.spaces.DartsCell().sample(np.random.default_rng(0)))
    with pytest.raises(SpecError, match="does not belong"):
        table(nl.Architecture("elsewhere", benchmark.at(0).choices))
    with pytest.raises(SpecError, match="unknown option"):
        table(nl.Architecture("nasbench201", ("conv",) * 6))


@pytest.mark.parametrize(
    "make",
    [lambda b: Table(b, "acc"), lambda b: Table(b, epochs=13), lambda b: Table("nasbench201"), lambda b: Table(None)],
)
def test_bad_tables(benchmark, make):
    with pytest.raises(SpecError):
        make(benchmark)


@pytest.mark.parametrize("spec", [None, {}, {"estimator": "tabel"}, {"estimator": "function", "called": "score"}])
def test_bad_specs(spec):
    with pytest.raises(SpecError):
        nl.estimators.from_spec(spec)


def test_what_can_score(benchmark):
    table = Table(benchmark)
    assert as_estimator(table) is table
    assert as_estimator(benchmark).benchmark is benchmark
    function = as_estimator(lambda architecture: len(architecture.choices))
    assert isinstance(function, Function)
    assert function(benchmark.at(0)) == 6
    assert function.space is None
    for wrong in (3, None, "table", nl.estimators.Table):
        with pytest.raises(SpecError, match="an estimator is"):
            as_estimator(wrong)


def test_figures_are_those_of_as_long_a_training(benchmark):
    short = Table(benchmark, "valid_accuracy", epochs=12, metrics=["seconds", "test_accuracy", "parameters"])
    record = benchmark.query(5, epochs=12)
    for found in (short(benchmark.at(5)), short.train(benchmark.at(5))):
        assert found.fitness == record.valid_accuracy
        assert found.metrics["seconds"] == benchmark.column("seconds", epochs=12)[5] < benchmark.query(5).seconds
        assert found.metrics["test_accuracy"] == record.test_accuracy
        assert found.metrics["parameters"] == record.parameters
    with pytest.raises(SpecError, match="unknown metric 'energy'"):
        Table(benchmark, metrics=["energy"])


def test_a_training_that_goes_on_pays_what_is_new(benchmark):
    table = Table(benchmark, "valid_accuracy", metrics=["valid_seconds", "latency/fpga"])
    cell, other = benchmark.at(5), benchmark.at(6)
    begun = CheckpointRef(cell, 12, None)
    whole, part = table.train(cell).metrics, table.train(cell, fidelity=12).metrics
    rest = table.train(cell, fidelity=200, begin=begun).metrics
    for name in ("seconds", "valid_seconds"):
        assert rest[name] == pytest.approx(whole[name] - part[name])
        assert rest[name] > 10 * part[name]
    assert rest["latency/fpga"] == whole["latency/fpga"] == part["latency/fpga"]
    inherited = table.train(other, fidelity=200, begin=begun).metrics
    assert inherited["valid_seconds"] == table.train(other).metrics["valid_seconds"], "of another architecture"


# --- functions that are told how long to train ------------------------------------------------------


def test_a_function_with_epochs_is_trained_as_long_as_the_searcher_says(benchmark):
    def learnt(architecture, epochs):
        return benchmark.query(architecture).test_accuracy * (1 - 0.5**epochs)

    hurdles = nl.searchers.Hurdles(benchmark.space, steps=(2, 3), population=4, sample=2, seed=1)
    search = nl.Search(hurdles, estimator=learnt, budget=40)
    assert {event.fidelity for event in search} == {2, 5}
    assert all(event.fitness == learnt(event.architecture, event.fidelity) for event in search.events)


@pytest.mark.parametrize(
    ("function", "expected"),
    [(lambda architecture, epochs: epochs, None), (lambda architecture, epochs=7: epochs, 7)],
    ids=["asked with None", "left to its default"],
)
def test_where_the_searcher_does_not_care_how_long_it_is_the_function_s_to_say(function, expected):
    estimator = as_estimator(function)
    assert isinstance(estimator, FunctionOfEpochs)
    assert estimator(None) == estimator.train(None).fitness == expected
    assert estimator.train(None, fidelity=3).fitness == 3


def test_a_function_that_is_not_written_in_python_is_one_of_architectures():
    assert type(as_estimator(max)) is Function


def test_a_function_without_epochs_says_before_the_first_candidate_that_it_needs_them(benchmark):
    for estimator in (lambda architecture: 1.0, Penalised(as_estimator(lambda architecture: 1.0), {"parameters": 9})):
        with pytest.raises(UnknownFidelity, match=r"has no choice of it.*a function of \(architecture, epochs\)"):
            nl.Search(nl.searchers.Hyperband(benchmark.space), estimator=estimator, budget=5)
