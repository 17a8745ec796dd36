"""What a comparison knows of a search: its rows, and what it lacks."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import naslab as nl
from naslab.events import ChildTrained, Ranked
from naslab_widgets.about import objective_of
from naslab_widgets.tracks import EXTRA, Track, named

TABLE = nl.benchmarks.NASBench201()


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def evolution(budget=12, **options):
    sampler = nl.searchers.RegularizedEvolution(TABLE.space, population=4, sample=2, **options)
    return nl.Search(sampler, estimator=TABLE, budget=budget)


def test_the_row_of_a_supernet_step_is_that_of_the_live_view(tiny):
    search = tiny.Search(total=100)
    track = Track("a", search.space, total=100, trials=False)
    track.expect(2)
    for _ in range(50):
        next(search)
    rows, back = track.follow(search.events, seconds=3.0)
    assert (len(rows), back) == (50, False)
    np.testing.assert_array_equal(rows[-1][: -len(EXTRA)], track.format.row(search.events[-1]))
    found = dict(zip(EXTRA, rows[-1][-len(EXTRA) :].tolist(), strict=True))
    assert math.isnan(found["best"])
    assert (found["seconds"], found["share"]) == (3.0, 50.0)
    assert found["epochs"] == pytest.approx(1 + 1 / 49), "step 50 is the first of epoch 1; epoch 0 had 49"
    assert track.cells[search.events[-1].best] == found["cell"]
    assert track.lacks == []
    assert track.follow(search.events, seconds=3.0) == ([], False)


def test_epochs_are_told_in_parts(tiny):
    search = tiny.Search(total=150)
    track = Track("a", search.space, total=150, trials=False)
    track.expect(3)
    seen = []
    for _ in range(148):
        next(search)
        track.follow(search.events, 0.0)
        seen.append(track.epochs)
    assert seen == sorted(seen)
    assert seen[24] == pytest.approx(25 / 50)
    assert seen[-1] == pytest.approx(2 + 48 / 50, abs=0.03)


def test_a_search_that_goes_back_is_told_anew(tiny):
    search = tiny.Search()
    track = Track("a", search.space, total=100, trials=False)
    for _ in range(9):
        next(search)
    track.follow(search.events, 1.0)
    search.events = search.events[:4]
    search.step = 4
    next(search)
    rows, back = track.follow(search.events, 2.0)
    assert back
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]


def test_trials_have_a_fitness_and_say_what_they_lack():
    search = evolution()
    for _ in range(6):
        next(search)
    track = Track("evolution", search.space, total=12, trials=True)
    rows, _ = track.follow(search.events, 1.0)
    assert not track.metrics, "93 % on the benchmark is not an accuracy of shared weights"
    assert rows[-1][-len(EXTRA)] == pytest.approx(search.events[-1].best_fitness)
    assert math.isnan(track.at("epochs"))
    assert any("one by one" in why for why in track.lacks)
    assert any("no losses" in why for why in track.lacks)
    part = track.description()["parts"][0]
    kept = rows[-1][part["kept"] : part["kept"] + 6].astype(int)
    assert tuple(TABLE.space.operations[column] for column in kept) == search.best.choices


@pytest.mark.slow
def test_enas_has_accuracies_and_a_portrait(digits):
    space = nl.spaces.EnasMacro(layers=2, channels=4)
    hyper = {"epochs": 2, "batch_size": 64, "children": 2, "controller_steps": 1}
    search = nl.Search(nl.searchers.Enas(space, digits, **hyper))
    told = {"metrics": search.metrics, "objective": objective_of(search)}
    track = Track("enas", space, total=search.total, trials=False, **told)
    track.expect(2)
    events = list(search)
    rows, _ = track.follow(search.events, 1.0)
    accuracy = track.description()["columns"]["valid/accuracy"]
    for event, row in zip(events, rows, strict=True):
        expected = math.nan if isinstance(event, ChildTrained) else event.fitness
        np.testing.assert_allclose(row[accuracy], expected, rtol=1e-6)
    assert track.epochs == pytest.approx(2.0)
    assert any("not operations on edges" in why for why in track.lacks)
    told = track.portrait(int(rows[-1][-1]))
    assert told["picture"].startswith("<svg")
    assert dict(told["choices"])["chain/1/op"] == search.best.choices[0]
    assert track.portrait(999) is None


def test_rankings_are_told_beside_the_rows(tiny):
    search = tiny.Search()
    track = Track("a", search.space, total=100, trials=False)
    event = next(search)
    track.follow(search.events, 2.0)
    ranked = Ranked(
        step=1,
        table="t",
        size=9,
        batch_norm="batch",
        images=8,
        numbers=(0, 1),
        scores=(0.1, 0.2),
        truth=(1.0, 2.0),
        top=1,
        kendall=(0.5, 0.1, 0.8),
        spearman=None,
        overlap=(1.0, 1.0, 1.0),
        regret=None,
        best=event.best,
        best_score=0.3,
        best_truth=None,
        best_rank=None,
        best_regret=None,
    )
    assert track.take(ranked, 2.0) is None
    step, epochs, seconds, share, kendall, spearman, overlap = track.ranked[0]
    assert (step, seconds, share, kendall, spearman, overlap) == (1, 2.0, 1.0, 0.5, None, 1.0)
    assert epochs == pytest.approx(track.epochs)


def test_cells_are_compared_where_they_can_be(tiny):
    def kin(space):
        return Track("x", space, total=1, trials=False).kin

    assert kin(nl.spaces.NASBench201.laptop()) == kin(TABLE.space), "the sizes do not matter"
    assert kin(nl.spaces.DartsCell(nodes=2)) != kin(nl.spaces.DartsCell(nodes=3))
    assert kin(nl.spaces.EnasMacro(layers=2)) != kin(nl.spaces.EnasMacro(layers=3))


def test_names():
    a, b = SimpleNamespace(spec={"searcher": "darts"}), SimpleNamespace(spec={"searcher": "darts"})
    c = SimpleNamespace(spec={"searcher": "gdas"})
    assert named([a, c, b]) == {"darts 1": a, "gdas": c, "darts 2": b}
    assert named({"mine": a}) == {"mine": a}
