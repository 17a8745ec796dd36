"""The ranking panel without a browser: what it is told, what it sends, what its picture says."""

import dataclasses
import struct
from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import GroundTruth
from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.events import ChildTrained, Ranked
from naslab_widgets import Lab, figures
from naslab_widgets.figures.ranked import FIGURES, HEAD, Rankings
from naslab_widgets.ranking_view import RankingView

SKIPS = 1835
FALL = 30
"""The step from which on the cell of skips would be derived."""


@pytest.fixture(scope="module")
def ranking():
    return nl.LiveRanking(nl.benchmarks.NASBench201(), 7, seed=4, top=2)


@pytest.fixture(scope="module")
def events(ranking):
    """Of fifty steps: a good cell is derived, then a better one, then the cell of skips; ranked every ten."""
    table, told = ranking.known.table.benchmark, []
    for step in range(1, 51):
        best = table.at(SKIPS) if step >= FALL else table.best().architecture if step >= 10 else table.at(6)
        if step % 10 == 0:
            told.append(ranked(ranking.known, step, best))
        told.append(
            ChildTrained(
                step=step,
                epoch=0,
                architecture=best,
                metrics={"train/loss": 1.0, "train/accuracy": 0.5},
                best=best,
                settings={"w_lr": 0.1},
            )
        )
    return told


def ranked(known, step, best, **changes):
    scores = np.random.default_rng(step).integers(0, 64, size=len(known)) / 64
    found, place = nl.analysis.Ranking.of(scores, known.truth, top=2, resamples=20), known.place(best)
    fields = dict(
        step=step,
        table=known.name,
        size=known.size,
        batch_norm="kept",
        images=64,
        numbers=tuple(known.numbers.tolist()),
        scores=tuple(scores.tolist()),
        truth=tuple(known.truth.tolist()),
        top=2,
        best=best,
        best_score=0.25,
        best_truth=place and place.truth,
        best_rank=place and place.rank,
        best_regret=place and place.regret,
        **{name: tuple(getattr(found, name)) for name in FIGURES},
    )
    return Ranked(**{**fields, **changes})


class Told:
    """A view whose messages are kept."""

    def __init__(self, ranking, monkeypatch):
        self.now, self.sent = 0.0, []
        self.view = RankingView(ranking, poke=lambda: None, clock=lambda: self.now)
        monkeypatch.setattr(self.view, "send", lambda content, buffers: self.sent.append((content, buffers)))

    def publish(self):
        self.now += 1
        return self.view.publish({"total": 50})

    def floats(self, place):
        buffer = self.sent[-1][1][place]
        return np.array(struct.unpack(f"<{len(buffer) // 8}d", buffer))


@pytest.fixture
def told(ranking, monkeypatch):
    return Told(ranking, monkeypatch)


def test_rows_are_what_the_events_say(told, ranking, events):
    told.view._receive(told.view, {"type": "hello"}, [])
    told.view.take(*events)
    told.publish()
    message, _ = told.sent[0]
    rows = told.floats(1).reshape(5, HEAD + 7)
    event = events[-2]
    assert isinstance(event, Ranked)
    expected = [50.0, *event.kendall, *event.spearman, *event.overlap, *event.regret]
    assert rows[-1, : len(expected)].tolist() == expected
    best = [event.best_score, event.best_truth, event.best_rank, event.best_regret]
    assert rows[-1, HEAD - 4 : HEAD].tolist() == best
    assert rows[-1, HEAD:].tolist() == list(event.scores)
    assert rows[:, 0].tolist() == [10, 20, 30, 40, 50]
    about = told.view.description
    assert [about["columns"][name] for name in FIGURES] == [1, 4, 7, 10]
    assert (about["scores"], about["best"], about["size"]) == (HEAD, HEAD - 4, 15625)
    assert about["truth"] == list(event.truth)
    assert message["status"]["headline"].startswith(f"step 50: Kendall's tau {event.kendall[0]:.2f}")
    assert "batch norm: kept" in message["status"]["headline"]


def test_the_path_of_what_would_be_derived_and_its_turn(told, ranking, events):
    told.view._receive(told.view, {"type": "hello"}, [])
    told.view.take(*events)
    told.publish()
    table = ranking.known.table.benchmark
    path = told.floats(0).reshape(3, 4)
    assert path[:, 0].tolist() == [1, 10, FALL]
    cells = [table.at(6), table.best().architecture, table.at(SKIPS)]
    assert path[:, 1].tolist() == [table.query(cell).test_accuracy for cell in cells]
    assert path[:, 2].tolist() == [table.rank(cell) for cell in cells]
    found = told.sent[0][0]["status"]["turn"]
    assert (found["step"], found["after"]) == (FALL, pytest.approx(54.30, abs=0.01))
    story = told.sent[0][0]["status"]["story"]
    assert "derived now: 54.30" in story
    assert f"before step {FALL}" in story


def test_only_news_are_sent(told, events):
    told.view.take(*events[:12])
    assert told.publish() is False
    assert told.sent == []  # nobody looks
    told.view._receive(told.view, {"type": "hello"}, [])
    for fresh, news in ((True, []), (None, []), (False, events[12:15]), (True, events[15:25])):
        told.view.take(*news)
        before = len(told.sent)
        told.publish()
        assert [message["rows"] for message, _ in told.sent[before:]] == ([] if fresh is None else [fresh])
    told.view.clear()
    told.publish()
    assert told.sent[-1][0]["status"]["headline"].startswith("no ranking yet")
    assert len(told.floats(0)) == len(told.floats(1)) == 0


def test_what_is_not_known_is_said(ranking, events):
    rankings = Rankings(ranking.known)
    rankings.take([ranked(ranking.known, 10, Architecture("own", ("a",)), kendall=None, spearman=None)])
    assert np.isnan(rankings.rows[0, 1:7]).all()
    assert "none: all scores are equal" in rankings.headline()
    stranger = events[1]
    rankings.take([dataclasses.replace(stranger, best=Architecture("own", ("a",)))])
    assert rankings.story() == "derived now: not in the table"
    assert rankings.change_point is None


def test_other_architectures_than_were_ranked_are_refused(ranking, events):
    other = GroundTruth.of(ranking.known.table, len(ranking.known), seed=123)
    with pytest.raises(SpecError, match=r"rank \d+ other architectures"):
        figures.ranked(events, other)


def test_a_long_search_stays_small(ranking, events):
    rankings = Rankings(ranking.known)
    for step in range(1, 2001):
        rankings.take([dataclasses.replace(events[-2], step=step)])
    assert 200 <= len(rankings.rows) <= 401
    assert rankings.rows[-1, 0] == rankings.taken == 2000


def test_the_picture_says_the_same(ranking, events):
    drawing = figures.ranked(events, ranking.known)
    root = ElementTree.fromstring(str(drawing))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert f"worse from step {FALL}" in texts
    assert any(text.startswith("step 50: Kendall's tau") for text in texts)
    assert len([element for element in root.iter() if element.tag.endswith("circle")]) == 7
    assert "no ranking yet" in str(figures.ranked([], ranking.known))


@pytest.mark.slow
def test_the_lab_has_the_panel_and_a_stored_run_too(tmp_path):
    space, table = nl.spaces.NASBench201(channels=2, cells=1), nl.benchmarks.NASBench201()
    searcher = nl.searchers.Darts(space, nl.tasks.Digits(), order=1, epochs=1, batch_size=64)
    ranking = nl.LiveRanking(table, 5, every=3, images=64, resamples=10)
    search = nl.Search(searcher, run=tmp_path / "run", ranking=ranking)
    lab = Lab(search)
    lab.run(7)
    assert lab.panel.children[1:] == tuple(lab.views)
    live = lab.views[1]._rankings
    assert live.rows[:, 0].tolist() == [1, 3, 6]
    assert live.headline() in str(lab.picture())
    search.rewind(4)
    lab._observe()
    assert lab.views[1]._rankings.rows[:, 0].tolist() == [1, 3]
    lab.run(3)
    watch = Lab.watch(tmp_path / "run")
    assert str(watch.picture()) == str(lab.picture())
    np.testing.assert_array_equal(watch.views[1]._rankings.rows, lab.views[1]._rankings.rows)
    watch.stop()
    lab.stop()


def test_a_run_whose_table_is_gone_is_shown_without(tmp_path, monkeypatch):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    searcher = nl.searchers.Darts(space, nl.tasks.Digits(), order=1, epochs=1, batch_size=64)
    ranking = nl.LiveRanking(nl.benchmarks.NASBench201(), 2, images=64, resamples=10)
    with nl.Search(searcher, run=tmp_path / "run", ranking=ranking):
        pass
    monkeypatch.setattr(nl.estimators.Table, "fingerprint", lambda self: "another")
    watch = Lab.watch(tmp_path / "run")
    assert watch.views == [watch.view]
    assert "no ranking: the table of the ranking is not the one" in watch.view._log.lines[-1]["text"]
    watch.stop()
