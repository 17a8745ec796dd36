"""The published figures of NAS-Bench-Macro, and that the space builds the very networks that they are of."""

from types import SimpleNamespace

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.networks import cost

CIFAR = SimpleNamespace(input_shape=(3, 32, 32), classes=10)


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBenchMacro()


def test_the_published_optimum(table):
    best = table.best()
    assert table.space.format(best.architecture) == "22212202"
    assert best.test_accuracy == pytest.approx(93.127, abs=5e-4)
    assert len(table) == table.space.size == 6561
    assert table.rank(best.architecture) == 1
    # the identity may as well come last: the network is the same, and so are its runs
    assert table.regret(table.space.parse("22212220")) == 0.0


@pytest.mark.parametrize(
    ("chain", "accuracies"),
    [("00000000", (45.32, 45.33, 45.44)), ("02012100", (89.47, 88.95, 89.17)), ("22222222", (93.06, 92.92, 92.88))],
)
def test_some_rows(table, chain, accuracies):
    record = table.query(table.space.parse(chain))
    assert record.test_accuracies == accuracies
    assert record.test_accuracy == pytest.approx(sum(accuracies) / 3)
    assert record.index == int(chain, 3)
    assert table.space.format(table.at(record.index)) == chain


@pytest.mark.slow
def test_the_space_builds_the_networks_of_the_table(table):
    """Parameters and multiply-adds to the last digit: every kind of layer at every place, and a sample of the rest."""
    places = [3**place * option for place in range(8) for option in range(3)]
    for index in [*places, *range(5, 6561, 1300), 6560]:
        record = table.query(index)
        counted = cost(table.space.build(record.architecture, CIFAR), CIFAR.input_shape)
        assert (counted.parameters, counted.multiply_adds) == (record.parameters, record.flops), index


def test_a_search_on_it(table):
    sampler = nl.searchers.LocalSearch(table.space, seed=0)
    search = nl.Search(sampler, estimator=table, budget=300)
    list(search)
    assert table.regret(search.best) < 0.5


def test_foreign_architectures(table):
    with pytest.raises(SpecError, match="does not belong"):
        table.query(nl.benchmarks.NASBench201().at(0))
    with pytest.raises(SpecError, match="unknown metric"):
        table.best("valid_accuracy")


@pytest.mark.parametrize("text", ["2221220", "222122201", "22212203", "", "abcdefgh", None, "2" * 100_000])
def test_what_is_no_chain(table, text):
    with pytest.raises(SpecError, match="8 digits from 0 to 2"):
        table.space.parse(text)


def test_spec(table):
    again = nl.benchmarks.from_spec(table.spec())
    assert again.fingerprint() == table.fingerprint()
