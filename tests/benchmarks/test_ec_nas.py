"""All small cells of NAS-Bench-101 are held, however they are written, with the networks' true parameters."""

import csv
import gzip
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import SpecError

CIFAR = SimpleNamespace(input_shape=(3, 32, 32), classes=10)


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.ECNAS()


@pytest.fixture(scope="module")
def rows():
    return list(csv.DictReader(io.StringIO(gzip.decompress(nl.data.read("ec_nas.csv.gz")).decode())))


@pytest.mark.parametrize(("vertices", "cells"), [(5, 2532), (4, 91)])
@pytest.mark.slow
def test_every_cell_is_held_in_every_way_to_write_it(vertices, cells):
    table = nl.benchmarks.ECNAS(vertices)
    assert len(table) == cells
    found = [table.index(architecture) for architecture in table.space.enumerate()]
    assert len(found) == table.space.size > cells
    assert set(found) == set(range(cells))


def test_two_ways_to_write_a_cell(table):
    one = table.space.architecture((4, "0", "conv3x3-bn-relu", "0", "maxpool3x3", "1,2"))
    other = table.space.architecture((4, "0", "maxpool3x3", "0", "conv3x3-bn-relu", "1,2"))
    assert table.query(one) == table.query(other)
    assert table.query_many([one, other], metric="energy").tolist() == [table.query(one).energy] * 2


def test_the_figures_of_the_file(table, rows):
    by_key = {row["hash"]: row for row in rows if row["space"] == "5V9E"}
    for index in range(0, 2532, 97):
        row = by_key[table.space.canonical(table.at(index))]
        for epochs in (4, 2):
            record = table.query(index, epochs=epochs)
            assert record.test_accuracy == pytest.approx(100 * float(row[f"e{epochs}_test"]))
            assert record.valid_accuracy == pytest.approx(100 * float(row[f"e{epochs}_valid"]))
            assert record.train_accuracy == pytest.approx(100 * float(row[f"e{epochs}_train"]))
            assert record.seconds == float(row[f"e{epochs}_time_s"])
            assert record.energy == float(row[f"e{epochs}_energy_kWh"])
            assert record.co2 == pytest.approx(475 * record.energy)
        assert table.column("total_energy")[index] == float(row["total_energy_kWh"])


def test_means_of_three_trainings(rows):
    table = nl.benchmarks.ECNAS(4)
    key = table.space.canonical(table.at(7))
    runs = [float(row["e1_energy_kWh"]) for row in rows if row["hash"] == key and row["space"] == "4V9E"]
    assert len(runs) == 3
    assert table.query(7, epochs=1).energy == pytest.approx(sum(runs) / 3)


def test_the_space_builds_the_networks_of_the_table(table):
    with torch.device("meta"):
        for index in range(0, 2532, 120):
            network = table.space.build(table.at(index), CIFAR)
            assert sum(p.numel() for p in network.parameters()) == table.query(index).parameters


@pytest.mark.parametrize("metric", ["energy", "co2", "seconds", "total_energy", "total_co2", "total_seconds"])
def test_little_is_wanted_of_costs(table, metric):
    assert table.best(metric).index == int(table.column(metric).argmin())


def test_other_electricity():
    clean = nl.benchmarks.ECNAS(intensity=29)
    assert clean.query(3).co2 == pytest.approx(29 * clean.query(3).energy)
    assert nl.benchmarks.from_spec(clean.spec()).fingerprint() == clean.fingerprint()
    assert nl.benchmarks.ECNAS().fingerprint() != clean.fingerprint()


def test_a_search_on_it(table):
    sampler = nl.searchers.RegularizedEvolution(table.space, population=10, sample=3, seed=0)
    search = nl.Search(sampler, estimator=table, budget=200)
    events = list(search)
    assert all(event.status == "done" for event in events)
    assert table.rank(search.best) < 100


@pytest.mark.parametrize("vertices", [3, 6, True, "5", None, [5], 5.0])
def test_other_sizes(vertices):
    with pytest.raises(SpecError, match="at most 5 or of at most 4"):
        nl.benchmarks.ECNAS(vertices)


@pytest.mark.parametrize("intensity", [-1.0, float("nan"), float("inf"), "475", True])
def test_bad_intensities(intensity):
    with pytest.raises(SpecError, match="intensity"):
        nl.benchmarks.ECNAS(intensity=intensity)


def test_what_is_not_held(table):
    rng = np.random.default_rng(1)
    large = next(a for a in iter(lambda: nl.spaces.NASBench101().sample(rng), None) if a.choices[0] == 7)
    with pytest.raises(SpecError):
        table.query(large)
    with pytest.raises(SpecError, match="after 4, 2 epochs, not after 1"):
        table.query(0, epochs=1)
    with pytest.raises(SpecError, match="does not belong"):
        table.query(nl.benchmarks.NASBench201().at(0))
