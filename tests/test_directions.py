"""Whether much or little of a metric is wanted is said, or known by whole words of its name; it is never guessed."""

import json

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import oracle, pareto
from naslab.directions import known_direction
from naslab.errors import SpecError
from naslab_widgets import figures

SPACE = nl.spaces.NASBench201()
NUMBERS = range(0, 300, 10)


@pytest.mark.parametrize(
    ("direction", "names"),
    [
        ("max", "accuracy valid_accuracy accuracy/top1 Accuracy testAccuracy f1 F1-score macro_f1 auc AUC-ROC map mAP"),
        ("max", "test_map bleu BLEU cider_d fitness"),
        ("min", "error test_error word-error-rate WordErrorRate wer WER cer mae mse rmse valid_rmse loss test_loss"),
        (
            "min",
            "nll perplexity ppl test.ppl bpc bits_per_byte BitsPerByte fid latency latency/fpga latency_ms seconds",
        ),
        ("min", "valid_seconds parameters flops FLOPs peak_memory energy total_energy co2"),
        (
            None,
            "score x a,b mapped remap feature1 losses lossy errors wers f10 top1 mIoU glue bits byte accurate fidelity",
        ),
        (None, "neg_loss negative_error -loss 1-error minus_wer accuracy_drop error_reduction accuracy_loss map_error"),
        (None, "generalisation_gap memory_gain seconds_to_accuracy"),
    ],
)
def test_names_that_everybody_knows(direction, names):
    for name in names.split():
        assert known_direction(name) == direction, name


@pytest.fixture
def own(tmp_path):
    """A CSV file with a column of each kind; "wer" and "score" are equal."""
    path = tmp_path / "own.csv"
    lines = ["architecture,accuracy,wer,score,test_loss"]
    for number in NUMBERS:
        choices = json.dumps(list(SPACE.at(number).choices)).replace('"', '""')
        lines.append(f'"{choices}",{number % 70},{(number * 7) % 110 + 1},{(number * 7) % 110 + 1},{number / 100}')
    path.write_text("\n".join(lines))
    return path


def test_a_name_that_nobody_knows_must_be_told_of(own):
    with pytest.raises(SpecError, match=r"much or little of 'score' is wanted.*say direction='max' or direction='min'"):
        nl.benchmarks.from_csv(own, SPACE, "score")
    low, high = (nl.benchmarks.from_csv(own, SPACE, "score", direction=d) for d in ("min", "max"))
    column = low.column()
    assert low.best().figures["score"] == column.min()
    assert high.best().figures["score"] == column.max()
    table = nl.benchmarks.from_csv(own, SPACE, "accuracy")
    with pytest.raises(SpecError, match="'score'"):
        table.best("score")
    with pytest.raises(SpecError, match="'score'"):
        nl.estimators.Table(table, "score")
    several = nl.benchmarks.from_csv(own, SPACE, "accuracy", direction={"score": "min", "accuracy": "max"})
    assert several.best("score").figures["score"] == column.min()
    assert several.direction("test_loss") == "min"


@pytest.mark.parametrize(
    "direction",
    ["minimise", "MIN", "", 1, True, ["min"], {"nowhere": "min"}, {"wer": "most"}, {"wer": None}, {"wer": ["min"]}],
)
def test_what_is_no_direction(own, direction):
    with pytest.raises(SpecError, match="direction"):
        nl.benchmarks.from_csv(own, SPACE, "wer", direction=direction)


@pytest.mark.parametrize(("objective", "options"), [("wer", {}), ("score", {"direction": "min"})])
@pytest.mark.parametrize("searcher", [nl.searchers.RandomSearch, nl.searchers.LocalSearch])
@pytest.mark.slow
def test_a_search_finds_the_minimum(own, objective, options, searcher, tmp_path):
    table = nl.benchmarks.from_csv(own, SPACE, objective, **options)
    search = nl.Search(searcher(table.space, seed=0), estimator=table, budget=150, run=tmp_path / "run")
    list(search)
    assert table.query(search.best).figures[objective] == table.column().min()
    found = oracle(search.events, table)
    best = table.column()[[table.index(architecture) for architecture in found.architectures]]
    np.testing.assert_allclose(found.regret, best - table.column().min())
    assert found.regret.min() == 0
    assert found.rank[found.regret.argmin()] == 1
    assert table.rank(search.best) == 1
    assert table.regret(search.best) == 0
    assert found.worth.tolist() == (-best).tolist()
    assert "regret" in figures.trials(search.events, table)
    search.close()
    with nl.Search.open(tmp_path / "run") as again:  # with nothing passed: the direction stands in the run
        assert again.best == search.best
        assert again.searcher.estimator.benchmark.direction() == "min"


def test_a_race_on_what_is_to_be_small(own):
    table = nl.benchmarks.from_csv(own, SPACE, "score", direction="min")
    race = nl.Race({"random": nl.searchers.RandomSearch}, table, seeds=[0], budget=120)
    for _ in race:
        pass
    assert race.final("regret")["random"] == [0.0]
    assert race.final("rank")["random"] == [1]
    assert race.card.what == "score of the architecture found"
    assert race.card.entries[0].mean == table.column().min()
    assert "score of the architecture found; less is better" in str(race.card)
    assert race.rows()[-1]["best_value"] == table.column().min()
    assert race.rows()[0]["value"] == -race.rows()[0]["fitness"] > 0
    assert race.final("best")["random"] == [-table.column().min()]


def test_the_direction_survives_a_spec_and_a_mark_is_left_only_where_it_counts(own):
    for options in ({"objective": "wer"}, {"objective": "score", "direction": "min"}, {"objective": "accuracy"}):
        table = nl.benchmarks.from_csv(own, SPACE, **options)
        again = nl.benchmarks.from_spec(json.loads(json.dumps(table.spec())))
        assert (again.spec(), again.fingerprint()) == (table.spec(), table.fingerprint())
        assert (again.utility() == table.utility()).all()
    prints = {
        nl.benchmarks.from_csv(own, SPACE, "score", metrics=["score"], direction=d).fingerprint()
        for d in ("min", "max")
    }
    assert len(prints) == 2


def test_a_run_from_before_directions_were_said_goes_on_as_it_began(own):
    """Then the last word of a name decided, and what it did not know was maximised."""
    table = nl.benchmarks.from_csv(own, SPACE, "score", direction={"score": "max", "wer": "max"})
    spec = table.spec()
    del spec["direction"]
    before = nl.benchmarks.from_spec(spec)
    assert [before.direction(name) for name in ("score", "wer", "test_loss", "accuracy")] == [
        "max",
        "max",
        "min",
        "max",
    ]
    assert before.fingerprint() == table.fingerprint()
    assert nl.benchmarks.from_spec(before.spec()).direction("wer") == "max"


@pytest.mark.slow
def test_known_tables_keep_their_meaning():
    bundled = [benchmark() for benchmark in nl.benchmarks.BUNDLED.values()]
    little = {"seconds", "parameters", "flops", "energy", "co2", "loss", "perplexity", "latency"}
    for table in bundled:
        for metric in table.metrics:
            last = metric.partition("/")[0].rpartition("_")[2]
            assert table.direction(metric) == ("min" if last in little else "max"), (table.name, metric)
    hardware = nl.benchmarks.HWNASBench.directions
    assert dict(hardware) == {"average_hw_metric": "min", "arithmetic_intensity": "max"}


def test_a_front_of_what_nobody_knows():
    points = {"accuracy": [1.0, 2.0, 3.0], "score": [1.0, 2.0, 1.0]}
    with pytest.raises(SpecError, match=r"'score'.*objectives=\{'score': 'max'\}"):
        pareto(points)
    for few, many in (("min", "max"), ("least", "most")):
        assert pareto(points, objectives={"accuracy": many, "score": few}).front.tolist() == [2]
        assert sorted(pareto(points, objectives={"accuracy": many, "score": many}).front.tolist()) == [1, 2]
    assert pareto(points, objectives=["accuracy"]).front.tolist() == [2]
    found = pareto(points, objectives={"score": "min", "accuracy": "max"})
    assert figures.pareto(found, x="score").data[-1].line.shape == "hv"
