"""The tables that hold a part of their space: their figures are those of the files, and a search stays in them."""

import csv
import gzip
import io
import json
import math

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError


def records(name):
    return json.loads(gzip.decompress(nl.data.read(name)))


TABLES = [nl.benchmarks.NASBenchMR, nl.benchmarks.NASBenchNLP, nl.benchmarks.NASBenchBERT]


@pytest.fixture(scope="module", params=TABLES, ids=lambda table: table.name)
def table(request):
    return request.param()


@pytest.mark.slow
def test_what_is_drawn_changed_and_crossed_is_held(table):
    rng = np.random.default_rng(0)
    first, second = table.space.sample(rng), table.space.sample(rng)
    for _ in range(50):
        first, second = table.space.mutate(second, rng), table.space.crossover(first, second, rng)
        assert table.at(table.index(first)) == first
        assert table.at(table.index(second)) == second
    assert table.space.size == len(table)


@pytest.mark.parametrize("searcher", ["random_search", "regularized_evolution", "local_search"])
def test_a_search_stays_in_the_table(table, searcher):
    given = dict(population=10, sample=3) if searcher == "regularized_evolution" else {}
    sampler = nl.searchers.SEARCHERS[searcher](table.space, seed=0, **given)
    events = list(nl.Search(sampler, estimator=table, budget=100))
    assert len(events) == 100
    assert all(math.isfinite(event.fitness) for event in events if event.status == "done")
    failed = [event for event in events if event.status == "failed"]
    assert all("inf" in event.message for event in failed)  # diverged trainings, and nothing else
    assert len(failed) < 10


def test_an_architecture_that_is_not_held(table):
    whole = table.space.of
    stranger = whole.sample(np.random.default_rng(3))
    assert stranger.choices not in table.space.rows
    with pytest.raises(SpecError, match="that are listed"):
        table.query(stranger)
    with pytest.raises(SpecError, match="does not belong"):
        table.query(nl.benchmarks.NASBench201().at(0))


def test_spec(table):
    again = nl.benchmarks.from_spec(json.loads(json.dumps(table.spec())))
    assert again.fingerprint() == table.fingerprint()


# --- NAS-Bench-MR ----------------------------------------------------------------------------------


def test_mr_has_the_figures_of_the_file():
    table = nl.benchmarks.NASBenchMR("seg")
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(nl.data.read("nasbench_mr.csv.gz")).decode())))
    assert len(table) == len(rows) == 2507
    for row in rows[::250]:
        record = table.query(table.space.of.parse(row["embedding"]))
        assert record.scores == {name: float(row[name]) for name in row if "." in name}
        assert record.parameters == pytest.approx(1e6 * float(row["params_M"]))
        assert record.flops == pytest.approx(1e9 * float(row["flops_G"]))
    assert table.best().scores["seg.mIoU"] == max(float(row["seg.mIoU"]) for row in rows) == 79.1
    assert nl.benchmarks.NASBenchMR().best().scores["cls-50-1000.top1"] == 86.16


def test_mr_neighbours_are_alike():
    """That is what a local change is for: accuracies of neighbours are correlated, those of strangers are not."""
    table = nl.benchmarks.NASBenchMR()
    pairs = [(i, table.index(n)) for i in range(0, 2507, 10) for n in table.space.neighbours(table.at(i))]
    column = table.column()[np.array(pairs).T]
    assert np.corrcoef(column)[0, 1] > 0.6


@pytest.mark.parametrize("task", ["cls", "seg.mIoU", None, 3])
def test_mr_knows_no_other_task(task):
    with pytest.raises(SpecError, match="unknown task"):
        nl.benchmarks.NASBenchMR(task)


# --- NAS-Bench-NLP ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nlp():
    return nl.benchmarks.NASBenchNLP()


def test_nlp_means_and_curves(nlp):
    by_cell = {}
    for record in records("nasbench_nlp.json.gz"):
        by_cell.setdefault(nlp.index(nlp.space.of.from_recipe(record["recipe"])), []).append(record)
    assert sorted(by_cell) == list(range(265))
    assert sum(len(runs) for runs in by_cell.values()) == 345
    for index, runs in by_cell.items():
        if any(run["status"] != "OK" for run in runs):
            continue
        for epochs in (1, 12, 50):
            record = nlp.query(index, epochs=epochs)
            assert record.valid_loss == pytest.approx(np.mean([run["val_loss"][epochs - 1] for run in runs]))
            assert record.test_perplexity == pytest.approx(math.exp(record.test_loss))
            assert record.seconds == pytest.approx(epochs / 50 * np.mean([run["wall_s"] for run in runs]))
        assert nlp.curve(index, "train_loss")[-1] == nlp.query(index).train_loss
        assert {run["num_params"] for run in runs} == {nlp.query(index).parameters}


def test_nlp_lstm_beats_rnn(nlp):
    by_number = {training.number: index for index in range(265) for training in nlp.query(index).trainings}
    rnn, lstm = by_number[1000000], by_number[1000001]
    assert nlp.query(lstm).test_perplexity == pytest.approx(math.exp(4.5208))
    assert nlp.best().index == lstm
    assert nlp.rank(rnn) > 1
    assert nlp.best("test_perplexity").index == lstm


def test_nlp_divergence_is_the_worst(nlp):
    diverged = [i for i in range(265) if any(t.diverged for t in nlp.query(i).trainings)]
    assert 1 <= len(diverged) <= 4
    for index in diverged:
        assert nlp.query(index).test_loss == math.inf
        assert nlp.rank(index) > 265 - 4
        with pytest.raises(SpecError):
            nlp.query(index, epochs=51)
    finite = nlp.curve(next(i for i in diverged if math.isfinite(nlp.curve(i)[0])))
    assert (np.isinf(finite).nonzero()[0] == np.arange(np.isinf(finite).argmax(), 50)).all()


# --- NAS-Bench-BERT --------------------------------------------------------------------------------


def test_bert_has_the_figures_of_the_file():
    table = nl.benchmarks.NASBenchBERT()
    by_encoder = {}
    for record in records("nasbench_bert.json.gz"):
        architecture = table.space.of.from_config(record["hparams"]["model_hparam_overrides"])
        by_encoder.setdefault(architecture, []).append(record)
    assert len(by_encoder) == len(table) == 491
    for architecture, runs in by_encoder.items():
        record = table.query(architecture)
        assert record.glue == pytest.approx(np.mean([run["scores"]["glue"] for run in runs]))
        assert record.scores["rte"] == pytest.approx(np.mean([run["scores"]["rte"] for run in runs]))
        assert record.glue == pytest.approx(np.mean(list(record.scores.values())), abs=1e-4)
        assert record.seconds == pytest.approx(np.mean([run["time_to_train"] for run in runs]))


# --- what is wanted --------------------------------------------------------------------------------
