import json

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.estimators import Function, Table, as_estimator


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


def test_spec_through_json(benchmark):
    table = Table(benchmark, "valid_accuracy", epochs=12)
    again = nl.estimators.from_spec(json.loads(json.dumps(table.spec())))
    assert again(benchmark.at(5)) == table(benchmark.at(5))
    assert (again.spec(), again.fingerprint()) == (table.spec(), table.fingerprint())
    assert table.fingerprint() != Table(benchmark, "valid_accuracy").fingerprint()


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
