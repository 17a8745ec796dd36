"""The published protocol of NAS-Bench-201: what a search pays, and where it lands (Dong & Yang 2020, Table 5)."""

import bz2
import math
from pathlib import Path

import numpy as np
import pytest

import naslab as nl
from naslab.benchmarks import pickled
from naslab.estimators import Table

RUNS, ROUNDING = 500, 0.01 / math.sqrt(12)
PUBLISHED = {"random": (93.70, 0.36), "evolution": (93.92, 0.30)}
OFFICIAL = Path(__file__).parent / "fixtures" / "nats_bench"
RUN_AND_SHARE = {  # data set -> run that validation accuracies are of, test images timed, images validated
    "cifar10": ("cifar10-valid", "ori-test", 10_000, 25_000),
    "cifar100": ("cifar100", "ori-test", 10_000, 5_000),
    "imagenet16-120": ("ImageNet16-120", "ori-test", 6_000, 3_000),
}


@pytest.mark.parametrize("data_set", RUN_AND_SHARE)
@pytest.mark.parametrize("cell", [0, 11, 284])
def test_what_a_search_pays_against_the_official_files(cell, data_set):
    """`train-all-time + valid-per-time` of the authors' programs; a validation is timed in proportion to its images."""
    run, split, tested, validated = RUN_AND_SHARE[data_set]
    packed = (OFFICIAL / f"{cell:06d}.pickle.pbz2").read_bytes()
    results = pickled.read(bz2.decompress(packed), "the official file")["12"]["all_results"]
    result = next(found for (name, _), found in results.items() if name == run)
    training = sum(result["train_times"].values())
    validation = result["eval_times"][f"{split}@11"] * validated / tested
    paid = nl.benchmarks.NASBench201(data_set).column("valid_seconds", epochs=12)[cell]
    assert paid == pytest.approx(training + validation, rel=0.05)
    assert validation < 0.05 * training


def test_half_of_the_images_are_trained_on_where_half_are_held_out():
    table = nl.benchmarks.NASBench201("cifar10")
    whole, paid = table.column("seconds", epochs=12), table.column("valid_seconds", epochs=12)
    assert np.allclose(paid / whole, 0.5 + 0.35 / 2 / 12)
    longer = table.column("valid_seconds", epochs=200) - table.column("valid_seconds", epochs=12)
    assert np.allclose(longer, table.column("seconds", epochs=200) / 200 * 188 / 2), "one validation, however long"


@pytest.fixture
def race():
    def race(seeds, **given):
        table = nl.benchmarks.NASBench201("cifar10")
        searchers = {
            "random": nl.searchers.RandomSearch,
            "evolution": lambda seed: nl.searchers.RegularizedEvolution(
                table.space, population=10, sample=3, seed=seed
            ),
        }
        estimator = Table(table, "valid_accuracy", epochs=12)
        protocol = dict(budget=12_000, cost="valid_seconds", truth=table)
        return nl.runs.Race(searchers, estimator, seeds=seeds, **{**protocol, **given}).run()

    return race


def test_the_budget_is_kept_and_used(race):
    run = race(range(10))
    ends = np.nanmax(run.spent, axis=2)
    assert ends.max() <= 12_000
    assert ends.min() > 12_000 - 300, "no candidate takes so long"
    table = nl.benchmarks.NASBench201("cifar10")
    paid = table.column("valid_seconds", epochs=12)[run.numbers[0, 0, : run.queries[0, 0]]]
    assert np.allclose(run.spent[0, 0, : run.queries[0, 0]], np.cumsum(paid))


@pytest.mark.slow
def test_the_published_rows(race):
    """500 seeds: the means within three standard errors of the difference."""
    run = race(range(RUNS))
    for name, found in run.final().items():
        mean, spread = PUBLISHED[name]
        error = math.sqrt((np.var(found, ddof=1) + spread**2) / RUNS + ROUNDING**2)
        assert np.mean(found) == pytest.approx(mean, abs=3 * error), name
    random, evolution = run.final().values()
    assert np.mean(evolution) - np.mean(random) > 3 * math.sqrt((np.var(random) + np.var(evolution)) / RUNS)
