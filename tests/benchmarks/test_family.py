"""The comparison of the family at equal budget: what it counts, keeps and prints, on a budget of nothing."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

import naslab as nl
from naslab.statistics import mann_whitney

_spec = importlib.util.spec_from_file_location("family", Path(__file__).parents[2] / "benchmarks" / "family.py")
family = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(family)
TASK = nl.tasks.Digits().subset(160, 40)


def rows(part, accuracies):
    return [
        {"part": part, "method": method, "seed": seed, "accuracy": accuracy, "steps": 1, "search_seconds": 2.0}
        for method, values in accuracies.items()
        for seed, accuracy in enumerate(values)
    ]


def test_a_budget_is_counted_in_mini_batches():
    images = family.images()
    for method, batches in {"darts": 2, "gdas": 2, "snas": 1}.items():
        search, steps = family.searcher("nasbench201", method, 0, images, 240)
        assert steps * batches == 240
        assert search.total >= steps, "no search ends before its budget"
        assert search.total < steps + search.total / search.hyperparameters.epochs, "nor is it planned far beyond"


def test_a_row_holds_what_the_table_says_of_the_cell(monkeypatch):
    monkeypatch.setattr(family, "BATCH", 16)
    monkeypatch.setattr(family, "IMAGES", 128)
    monkeypatch.setitem(family.COMMON, "batch_size", 16)
    monkeypatch.setitem(family.SPACES, "nasbench201", nl.spaces.NASBench201(channels=4, cells=1))
    found = family.row("nasbench201", "gdas", 1, task=TASK, budget=4)
    table = nl.benchmarks.NASBench201("cifar10")
    assert found["accuracy"] == pytest.approx(
        table.query(table.space.architecture(found["choices"])).test_accuracy, abs=1e-3
    )
    assert found["steps"] == 2


def test_every_sample_is_done_once_and_kept_at_once(tmp_path, monkeypatch):
    path, asked = tmp_path / "rows.jsonl", []

    def instead(part, method, seed, task):
        asked.append((part, method, seed))
        return {"part": part, "method": method, "seed": seed}

    monkeypatch.setattr(family, "row", instead)
    ticks = iter(range(10**6))
    left = family.run(["enas"], 0.1, path, clock=lambda: next(ticks))
    assert 0 < left < 11
    assert [json.loads(line)["seed"] for line in path.read_text().splitlines()] == [seed for *_, seed in asked]
    assert family.run(["enas"], 10, path, clock=lambda: 0.0) == 0
    assert len(asked) == len(set(asked)) == family.SEEDS + family.RANDOM
    assert family.run(["enas"], 10, path, clock=lambda: 0.0) == 0
    assert len(asked) == family.SEEDS + family.RANDOM


def test_the_table_tests_against_random_and_says_when_it_cannot_tell():
    text = family.tables(rows("enas", {"random": [70.0, 71.0, 72.0, 73.0], "enas": [80.0, 81.0, 82.0]}))
    line = next(line for line in text.splitlines() if line.startswith("enas  "))
    assert "81.00  78.52 .. 83.48" in line, "mean, and the interval of three by Student's t: 4.303 s / sqrt(3)"
    assert "1.00" in line
    p = mann_whitney([80.0, 81.0, 82.0], [70.0, 71.0, 72.0, 73.0]).p
    assert f"{p:.3f}" in line
    alone = family.tables(rows("enas", {"random": [70.0, 71.0], "enas": [80.0]}))
    assert " - " in alone
    assert not math.isnan(float(alone.splitlines()[2].split()[2]))
