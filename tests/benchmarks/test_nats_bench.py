"""The official files of three cells: every figure is that of the package `nats_bench` and of the bundled table."""

import bz2
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import naslab as nl
from naslab.benchmarks import nats_bench
from naslab.errors import DataError, SpecError

FOLDER = Path(__file__).parent / "fixtures" / "nats_bench"
OFFICIAL = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}
data_sets = pytest.mark.parametrize("data_set", OFFICIAL)


@pytest.fixture(scope="module")
def oracle():
    return json.loads((FOLDER / "nats_bench_1.8.json").read_text())["figures"]


@pytest.fixture(scope="module")
def tables():
    return {data_set: nl.benchmarks.NATSBench(FOLDER, data_set) for data_set in OFFICIAL}


@data_sets
@pytest.mark.parametrize("epochs", [12, 200])
@pytest.mark.slow
def test_the_figures_of_the_package(oracle, tables, data_set, epochs):
    table = tables[data_set]
    assert table.numbers == (0, 11, 284)
    for index, number in enumerate(table.numbers):
        expected = oracle[f"{number}/{OFFICIAL[data_set]}/{epochs}"]
        held_out = oracle[f"{number}/cifar10-valid/{epochs}"] if data_set == "cifar10" else expected
        record = table.query(index, epochs=epochs)
        assert record.number == number
        assert record.test_accuracy == pytest.approx(expected["test-accuracy"], rel=1e-12)
        assert record.valid_accuracy == pytest.approx(held_out["valid-accuracy"], rel=1e-12)
        assert record.train_accuracy == pytest.approx(expected["train-accuracy"], rel=1e-12)
        assert record.seconds == pytest.approx(expected["train-all-time"], rel=1e-12)


@data_sets
@pytest.mark.parametrize("epochs", [12, 200])
def test_the_figures_of_the_bundled_table(tables, data_set, epochs):
    bundled = nl.benchmarks.NASBench201(data_set)
    for index, number in enumerate(tables[data_set].numbers):
        one, other = tables[data_set].query(index, epochs=epochs), bundled.query(number, epochs=epochs)
        assert one.architecture == other.architecture
        assert one.test_accuracy == pytest.approx(other.test_accuracy, abs=5e-4)
        assert one.valid_accuracy == pytest.approx(other.valid_accuracy, abs=5e-4)
        if data_set == "cifar10":
            assert (one.parameters, one.flops) == (other.parameters, other.flops)


@data_sets
def test_costs_are_the_bundled_ones(tables, data_set):
    bundled = nl.benchmarks.NASBench201(data_set)
    for number in tables[data_set].numbers:
        cell = bundled.at(number)
        for metric in ("parameters", "flops"):
            ours = tables[data_set].column(metric)[tables[data_set].index(cell)]
            assert bundled.column(metric)[number] == pytest.approx(ours, rel=1e-5)


@data_sets
def test_the_curves_are_the_bundled_ones(tables, data_set):
    bundled = nl.benchmarks.NASBench201(data_set)
    for index, number in enumerate(tables[data_set].numbers):
        for epochs in (12, 200):
            ours = {(c.run, c.seed): c for c in tables[data_set].curves(index, epochs=epochs)}
            theirs = {(c.run, c.seed): c for c in bundled.curves(number, epochs=epochs)}
            assert ours.keys() == theirs.keys()
            for key, curve in ours.items():
                assert curve.seconds == pytest.approx(theirs[key].seconds)
                for split, values in curve.accuracy.items():
                    np.testing.assert_allclose(values, theirs[key].accuracy[split], atol=1e-3)
                for split, values in curve.loss.items():
                    np.testing.assert_allclose(values, theirs[key].loss[split], atol=1e-4)


def test_a_search_stays_among_the_cells_that_are_there(tables):
    table = tables["cifar10"]
    events = list(nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=20))
    assert {table.index(event.architecture) for event in events} == {0, 1, 2}
    assert nl.benchmarks.from_spec(table.spec()).fingerprint() == table.fingerprint()


def test_the_fingerprint_is_of_the_data(tables, tmp_path):
    shutil.copy(FOLDER / "000011.pickle.pbz2", tmp_path)
    few = nl.benchmarks.NATSBench(tmp_path)
    assert len(few) == 1
    assert few.fingerprint() != tables["cifar10"].fingerprint() != tables["cifar100"].fingerprint()


# --- bad input -------------------------------------------------------------------------------------


def put(folder, data, name="000011.pickle.pbz2"):
    (folder / name).write_bytes(data)
    return folder


def test_a_hostile_file(tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            import os

            return os.system, (f"touch {canary}",)

    folder = tmp_path / "files"
    folder.mkdir()
    with pytest.raises(DataError, match=r"000011\.pickle\.pbz2 is not read: it holds .*system"):
        nl.benchmarks.NATSBench(put(folder, bz2.compress(pickle.dumps({"12": Evil()}))))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not one of the official files"),
        ({}, "not one of the official files"),
        ({"200": [1]}, "not one of the official files"),
        ({"200": {"arch_index": 11, "arch_str": "x", "all_results": {}}, "12": {}}, "not one of the official files"),
        ({"200": {"arch_index": 12}}, "holds the cell 12; was it renamed"),
    ],
)
def test_foreign_content(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        nl.benchmarks.NATSBench(put(tmp_path, bz2.compress(pickle.dumps(content))))


def test_damaged_files(tmp_path, monkeypatch):
    whole = (FOLDER / "000011.pickle.pbz2").read_bytes()
    with pytest.raises(DataError, match=r"cut short|damaged"):
        nl.benchmarks.NATSBench(put(tmp_path, whole[: len(whole) // 2]))
    with pytest.raises(DataError, match="not packed with bz2"):
        nl.benchmarks.NATSBench(put(tmp_path, b"no bz2"))
    with pytest.raises(DataError, match="was it renamed"):
        nl.benchmarks.NATSBench(
            put(tmp_path, whole, "000011.pickle.pbz2") and put(tmp_path, whole, "000012.pickle.pbz2")
        )
    (tmp_path / "000012.pickle.pbz2").unlink()
    monkeypatch.setattr(nats_bench, "MAX_BYTES", 2**16)
    with pytest.raises(DataError, match="more than"):
        nats_bench.unpacked(bz2.compress(bytes(2**20)), "a bomb", 2**16)


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        nl.benchmarks.NATSBench(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no files such as"):
        nl.benchmarks.NATSBench(tmp_path)
    with pytest.raises(SpecError, match="unknown data set"):
        nl.benchmarks.NATSBench(FOLDER, "svhn")
    with pytest.raises(SpecError, match="200 or for 12"):
        nl.benchmarks.NATSBench(FOLDER).curves(0, epochs=90)
