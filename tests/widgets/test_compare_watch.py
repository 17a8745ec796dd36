"""Run folders side by side: finished ones, and such that are still written."""

import math
import threading

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab_widgets import Compare

TABLE = nl.benchmarks.NASBench201()


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def evolution_run(path):
    sampler = nl.searchers.RegularizedEvolution(TABLE.space, population=4, sample=2)
    return nl.Search(sampler, run=path, estimator=TABLE, budget=9)


@pytest.mark.slow
def test_finished_runs_and_one_under_way_are_watched(tmp_path, digits):
    space = nl.spaces.NASBench201(channels=4, cells=1)
    hyper = {"batch_size": 256, "epochs": 2}
    done = nl.Search(nl.searchers.Darts(space, digits, **hyper), run=tmp_path / "darts")
    assert len(list(done)) == done.total
    done.close()
    going = evolution_run(tmp_path / "evolution")
    next(going)
    watch = Compare.watch([tmp_path / "darts", tmp_path / "evolution"], period=30)
    first, second = watch.view.tracks
    assert (first.step, first.total, second.step, second.total) == (done.total, done.total, 1, 9)
    assert first.epochs == pytest.approx(2.0)
    assert watch.state == "running"
    assert first.kin == second.kin
    next(going)
    assert watch.look()
    assert second.step == 2
    assert not watch.look()
    going.rewind(1)
    next(going)
    assert watch.look()
    assert second.step == 2
    assert [row[0] for row in second.history.rows()] == [1, 2], "told anew, since it went back"
    assert first.seconds > 0
    assert "darts" in str(watch.picture())
    watch.stop()
    assert watch.state == "stopped"


def test_folders_of_the_same_name_are_told_apart(tmp_path):
    folders = [tmp_path / "1" / "x", tmp_path / "2" / "x", tmp_path / "3" / "y"]
    for folder in folders:
        evolution_run(folder).close()
    watch = Compare.watch(folders, period=30)
    assert [track.name for track in watch.view.tracks] == ["1/x", "2/x", "3/y"]
    watch.stop()
    watch = Compare.watch(folders[1:], period=30)
    assert [track.name for track in watch.view.tracks] == ["x", "y"]
    watch.stop()
    with pytest.raises(SpecError, match="different run folders"):
        Compare.watch([folders[0], folders[0]])


def test_bad_input_to_watch(tiny, tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        evolution_run(folder).close()
    threads = threading.active_count()
    for given, options, said in (
        ([tiny.Search(), tiny.Search()], {}, "by their paths, not <"),
        (tiny.Search(), {}, "needs a list or mapping of run folders"),
        ("runs/a", {}, "not 'runs/a'; write"),
        (None, {}, "not None"),
        (folders[:1], {}, r"two or more run folders.*Lab.watch\(path\)"),
        (folders, {"hz": 0}, "hz, .*, must be above 0 and at most 10, not 0"),
        (folders, {"hz": "5"}, "hz must be a number"),
        (folders, {"period": 0}, "period must be .*, not 0"),
        (folders, {"period": -1}, "not -1"),
        (folders, {"period": math.inf}, "not inf"),
        (folders, {"period": "1"}, "period must be a number"),
        (folders, {"axis": "epoch"}, "unknown axis"),
    ):
        with pytest.raises(SpecError, match=said):
            Compare.watch(given, **options)
    assert threading.active_count() == threads


def test_a_pause_is_not_counted(monkeypatch):
    from naslab_widgets.compare_watch import FollowedRun

    followed = FollowedRun.__new__(FollowedRun)
    followed._gaps, followed._when, followed.seconds = [], None, 0.0
    moments = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 3612.0, 3614.0]
    assert sum(followed._gap(when) for when in moments) == pytest.approx(16.0)
