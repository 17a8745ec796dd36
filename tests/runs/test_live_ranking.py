"""A supernet's ranking beside its search: it looks and does not touch, it is right, and it is a part of the run."""

import dataclasses
import json

import pytest

import naslab as nl
from naslab import snapshot
from naslab.errors import RunPaused, SpecError
from naslab.events import Ranked

SPACE = nl.spaces.NASBench201(channels=2, cells=1)


@pytest.fixture
def begin(digits, table, monkeypatch):
    monkeypatch.setattr(nl.tasks, "from_spec", lambda spec, task=None: task or digits)

    def make(run=None, *, ranked=True, **options):
        searcher = nl.searchers.Darts(SPACE, digits, order=1, epochs=1, batch_size=64, alpha_lr=0.1, seed=3)
        if ranked:
            options["ranking"] = nl.LiveRanking(
                table, 8, every=5, images=64, top=3, resamples=20, batch_norm="recalibrated"
            )
        return nl.Search(searcher, run=run, snapshot_every=4, **options)

    return make


def to(search, step):
    while search.step < step:
        next(search)
    return search


def rankings(search):
    return [event for event in search.events if isinstance(event, Ranked)]


def other(events):
    return [event for event in events if not isinstance(event, Ranked) and event.kind != "recovered"]


@pytest.mark.slow
def test_the_search_is_the_same_with_it_and_without(begin):
    plain, ranked = to(begin(ranked=False), 11), to(begin(), 11)
    assert other(ranked.events) == list(plain.events)
    assert snapshot.digest(ranked.searcher.state_dict()) == snapshot.digest(plain.searcher.state_dict())
    assert len(rankings(ranked)) == 4


@pytest.mark.slow
def test_it_comes_after_the_first_step_every_so_many_and_the_last(begin):
    search = begin()
    total = search.total
    assert total % 5
    steps = [event.step for event in rankings(to(search, total))]
    assert steps == [1, *range(5, total, 5), total]


@pytest.mark.slow
def test_what_it_says_is_so(begin, table):
    """The scores are the searcher's, the truth is the table's, the figures are those of `analysis.Ranking`."""
    search = to(begin(), 5)
    event, known = rankings(search)[-1], search.ranking.known
    for number, score, truth in zip(event.numbers, event.scores, event.truth, strict=True):
        assert score == search.searcher.accuracy(table.at(number), batch_norm="recalibrated", images=64)
        assert truth == table.query(number).test_accuracy
    figures = nl.analysis.Ranking.of(event.scores, event.truth, top=3, resamples=20, seed=0)
    for name in ("kendall", "spearman", "overlap", "regret"):
        assert getattr(event, name) == tuple(getattr(figures, name)), name
    assert (event.batch_norm, event.images, event.top, event.size) == ("recalibrated", 64, 3, 15625)
    assert event.table == "nasbench201 cifar10 test_accuracy"
    assert event.best == search.best
    assert event.best_score == search.searcher.accuracy(search.best, batch_norm="recalibrated", images=64)
    assert (event.best_truth, event.best_rank) == (table.query(search.best).test_accuracy, table.rank(search.best))
    assert event.best_regret == known.optimum - event.best_truth


def test_scores_that_are_all_equal_have_no_correlation(begin, monkeypatch):
    search = begin()
    monkeypatch.setattr(type(search.searcher), "accuracy", lambda self, child, **options: 0.5)
    next(search)
    (event,) = rankings(search)
    assert (event.kendall, event.spearman, event.overlap, event.regret) == (None,) * 4
    assert "NaN" not in event.to_record()[0]


@pytest.mark.slow
def test_a_run_that_is_opened_rewound_and_forked_has_the_same_rankings(begin, tmp_path):
    whole = to(begin(), 11)
    with to(begin(tmp_path / "run"), 6):
        pass
    search = to(nl.Search.open(tmp_path / "run"), 11)
    assert rankings(search) == rankings(whole)
    assert search.spec == whole.spec == json.loads(json.dumps(search.spec))
    search.rewind(7)
    assert [event.step for event in rankings(search)] == [1, 5]
    fork = search.fork(tmp_path / "fork", step=3)
    assert [event.step for event in rankings(fork)] == [1]
    for again in (search, fork):
        assert list(to(again, 11).events) == list(whole.events)
    assert nl.runs.read(tmp_path / "fork").ranking.spec() == whole.ranking.spec()
    found = [event for _, _, event in nl.runs.read(tmp_path / "run").events() if isinstance(event, Ranked)]
    assert found == rankings(whole)


@pytest.mark.slow
def test_a_disk_that_is_full_once_does_not_rank_twice(begin, tmp_path, monkeypatch):
    search = to(begin(tmp_path / "run"), 4)
    append, full = search._store.append, [True]

    def fails_once(events):
        append(events)
        if full.pop() if full else False:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(search._store, "append", fails_once)
    with pytest.raises(RunPaused):
        next(search)
    assert next(search).step == 5
    assert [event.step for event in rankings(search)] == [1, 5]
    search.close()
    assert list(nl.Search.open(tmp_path / "run").events) == list(to(begin(), 5).events)


@pytest.mark.slow
def test_kills(harness, tmp_path):
    found = harness("kills", folder=tmp_path, kind="ranked", runs=1, each=4, seed=0)
    assert found == {"kills": 4, "mismatches": []}


def test_another_table_is_noticed(begin, table, tmp_path):
    ranking = nl.LiveRanking(table, 4)
    assert nl.LiveRanking.from_spec(ranking.spec()).spec() == ranking.spec()
    with pytest.raises(SpecError, match="not the one that the run began with"):
        nl.LiveRanking.from_spec({**ranking.spec(), "fingerprint": "0" * 64})
    early = nl.LiveRanking(nl.estimators.Table(table, "valid_accuracy", epochs=12), [7, 3])
    again = nl.LiveRanking.from_spec(json.loads(json.dumps(early.spec())))
    assert again.known.truth.tolist() == early.known.truth.tolist()
    assert again.known.numbers.tolist() == [7, 3]


def test_what_cannot_be_ranked_is_refused_before_the_run(digits, table, tmp_path):
    ranking = nl.LiveRanking(table, 4)
    sampler = nl.searchers.RandomSearch(table.space)
    with pytest.raises(SpecError, match="a sampler has none"):
        nl.Search(sampler, estimator=table, budget=5, ranking=ranking)
    cell = nl.searchers.Darts(nl.spaces.DartsCell(nodes=2, channels=2, cells=1), digits, order=1, batch_size=16)
    with pytest.raises(SpecError, match="darts_cell"):
        nl.Search(cell, run=tmp_path / "run", ranking=ranking)
    many = nl.searchers.Darts(SPACE, digits, order=1, batch_size=16)
    with pytest.raises(SpecError, match="images=9999 is more than"):
        nl.Search(many, run=tmp_path / "run", ranking=nl.LiveRanking(table, 4, images=9999))
    with pytest.raises(SpecError, match="LiveRanking"):
        nl.Search(many, run=tmp_path / "run", ranking=table)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "bad", [{"every": 0}, {"images": 0}, {"batch_norm": "none"}, {"top": 0}, {"resamples": 0}, {"seed": -1}]
)
def test_nonsense_is_refused(table, bad):
    with pytest.raises(SpecError, match=next(iter(bad))):
        nl.LiveRanking(table, 4, **bad)


def test_an_event_keeps_tuples(begin):
    search = to(begin(), 1)
    (event,) = rankings(search)
    assert dataclasses.replace(event, scores=list(event.scores), overlap=list(event.overlap)) == event
    assert isinstance(event.scores, tuple)
