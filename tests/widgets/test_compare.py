"""Several searches in line with one another, without a browser."""

import asyncio
import itertools
import math
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.events import ChildTrained, Ranked
from naslab_widgets import Compare, Lab
from naslab_widgets.about import objective_of
from naslab_widgets.compare import Together
from naslab_widgets.compare_view import CompareView
from naslab_widgets.tracks import EXTRA, Track, named

TABLE = nl.benchmarks.NASBench201()


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def evolution(budget=12, **options):
    proposer = nl.searchers.RegularizedEvolution(TABLE.space, population=4, sample=2, **options)
    return nl.Search(proposer, estimator=TABLE, budget=budget)


class Line:
    """A comparison whose messages are caught."""

    def __init__(self, tiny, searches=None):
        self.clock = tiny.Clock()
        self.compare = Compare(searches or {"a": tiny.Search(total=40), "b": tiny.Search(total=60)}, clock=self.clock)
        self.sent = []
        self.compare.view.send = lambda content, buffers=(): self.sent.append((content, list(buffers)))

    def hear(self, **message):
        self.compare.view._hear(self.compare.view, message, [])

    def publish(self):
        self.clock.now += 1
        return self.compare._publish()

    def rows(self, place):
        track = self.compare.view.tracks[place]
        return np.frombuffer(self.sent[-1][1][place], "<f8").reshape(-1, track.width)


@pytest.fixture
def line(tiny):
    return Line(tiny)


# --- in turns --------------------------------------------------------------------------------------


def together(*paces, totals=(30, 30), clock=None, epochs=(None, None)):
    """Two searches whose steps take so many seconds of a clock of ours."""
    clock = clock or SimpleNamespace(now=0.0)
    tracks = [SimpleNamespace(epochs=math.nan, step=0, total=total) for total in totals]

    class Slow:
        def __init__(self, place):
            self.step, self.total, self.place = 0, totals[place], place

        def __iter__(self):
            return self

        def __next__(self):
            if self.step == self.total:
                raise StopIteration
            clock.now += paces[self.place]
            self.step += 1
            tracks[self.place].step = self.step
            if epochs[self.place]:
                tracks[self.place].epochs = self.step / epochs[self.place]
            return self

    searches = {str(place): Slow(place) for place in range(2)}
    return Together(searches, tracks, lambda: clock.now)


def test_in_line_by_steps():
    both = together(1.0, 5.0)
    for _ in range(20):
        next(both)
        steps = [search.step for search in both.searches]
        assert max(steps) - min(steps) <= 1


def test_in_line_by_seconds():
    both = together(1.0, 5.0)
    both.axis = "seconds"
    for _ in range(24):
        next(both)
    assert [search.step for search in both.searches] == [20, 4], "the quick one has made five steps for one"
    assert both.spent == [20.0, 20.0]


def test_in_line_by_epochs():
    both = together(1.0, 1.0, epochs=(5, 10))
    both.axis = "epochs"
    for _ in range(30):
        next(both)
    assert [search.step for search in both.searches] == [10, 20]


def test_one_without_epochs_keeps_step_by_its_share():
    both = together(1.0, 1.0, totals=(20, 200), epochs=(5, None))
    both.axis = "epochs"
    for _ in range(110):
        next(both)
    assert both.searches[0].step == pytest.approx(10, abs=1)


def test_in_line_by_share_and_to_the_end():
    both = together(1.0, 1.0, totals=(10, 30))
    both.axis = "share"
    for _ in range(20):
        next(both)
    assert [search.step for search in both.searches] == [5, 15]
    assert len(list(both)) == 20
    with pytest.raises(StopIteration):
        next(both)


def test_one_that_fails_does_not_hold_up_the_others(tiny):
    def breaks(step):
        if step == 5:
            raise ValueError("no more")

    compare = Compare({"broken": tiny.Search(total=20, before_step=breaks), "sound": tiny.Search(total=20)})
    compare.run()
    assert [search.step for search in compare.searches.values()] == [4, 20]
    assert str(compare.errors["broken"]) == "no more"
    assert compare._states()[0] == {"state": "failed", "message": "ValueError: no more"}
    assert compare.state == "failed"
    assert "failed" in repr(compare)
    compare._publisher.join(5)
    assert compare.deck.sections["strip"].state()["can"] == ["play", "step"]
    compare.searches["broken"].before_step = None
    compare.run()
    assert compare.state == "finished"
    assert compare.searches["broken"].step == 20, "played again, it tries again"
    assert not compare.errors


def test_when_all_fail_the_error_comes_out(tiny):
    def breaks(step):
        raise ValueError("no more")

    compare = Compare([tiny.Search(before_step=breaks), tiny.Search(before_step=breaks)])
    with pytest.raises(ValueError, match="no more"):
        compare.run()
    assert compare.state == "failed"


def test_a_job_does_not_follow_a_failure(tiny):
    def breaks(step):
        if step == 3:
            raise ValueError("no more")

    done, clock = [], itertools.count(0, 3).__next__
    compare = Compare({"broken": tiny.Search(total=4, before_step=breaks), "sound": tiny.Search(total=4)}, clock=clock)
    compare.run()
    with pytest.raises(RuntimeError, match=r"step 6 of 6, broken failed \(ValueError: no more\): play\(\) it first"):
        asyncio.run(compare.then(lambda: done.append(1)))
    time.sleep(0.1)
    assert not done
    compare.view._hear(compare.view, {"type": "hello"}, [])
    later = asyncio.run(compare.then(lambda: compare.searches["broken"].step))
    assert not later.done, "with somebody looking it waits for the next play"
    compare.searches["broken"].before_step = None
    compare.run()
    assert later.result(10) == 4


def test_a_rewind_is_seen_while_they_stand_still(tmp_path):
    searches = [evolution_run(tmp_path / "first"), evolution_run(tmp_path / "second")]
    compare = Compare(searches)
    compare.run(4)
    searches[0].rewind(1)
    compare.picture()
    assert [track.step for track in compare.view.tracks] == [1, 4]
    compare.stop()


@pytest.mark.parametrize("show", [lambda search: Compare([search, evolution()]), Lab])
@pytest.mark.slow
def test_what_is_done_by_hand_is_shown_at_once(show, tmp_path):
    """Nothing but the search is touched: the open view hears of it by itself."""
    search = evolution_run(tmp_path / "run")
    view, sent = show(search), []
    view.view.send = lambda content, buffers=(): sent.append(content["status"])
    view.run(1)
    search.set("sample", 1)
    view.run(3)
    view.view._hear(view.view, {"type": "hello"}, [])
    view._publisher.join(10)
    settings = view.deck.sections["settings"]
    place = [one["name"] for one in settings.about()["settings"]].index("sample")
    shown = lambda: settings.state()["values"][place]  # noqa: E731
    assert shown() == 1

    def steps():
        view._publisher.join(10)
        if isinstance(view, Compare):
            return sent[-1]["tracks"][0]["step"], view.view.tracks[0].history.rows()[:, 0].tolist()
        return sent[-1]["step"], view.view._ledger.column("step").tolist()

    assert steps() == (4, [1, 2, 3, 4])
    search.rewind(1)
    assert steps() == (1, [1])
    assert shown() == 2, "the knob has gone back, too"
    assert search.knobs["sample"].value == 2, "and nobody has turned it"
    next(search)
    assert steps() == (2, [1, 2])
    view.stop()
    view._publisher.join(10)
    told = len(sent)
    next(search)
    view._publisher.join(10)
    assert len(sent) == told, "one that was stopped tells no more"


def test_nobody_is_told_while_nobody_looks(tmp_path, monkeypatch):
    search = evolution_run(tmp_path / "run")
    lab = Lab(search)
    lab._publisher.join(10)
    with monkeypatch.context() as patch:
        patch.setattr(lab._publisher, "poke", lambda: pytest.fail("for whom?"))
        next(search)
        search.rewind(0)


# --- what a row holds ------------------------------------------------------------------------------


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


# --- to the browser --------------------------------------------------------------------------------


def test_nothing_is_sent_while_nobody_looks(line):
    line.compare.run(3)
    assert line.publish() is False
    assert line.sent == []


def test_a_snapshot_then_only_what_is_new(line):
    line.compare.run(3)
    line.hear(type="hello")
    line.publish()
    assert line.sent[-1][0]["type"] == "snapshot"
    assert [row[0] for row in line.rows(0)] == [1, 2, 3]
    assert len(line.rows(1)) == 3
    line.compare.run(2)
    line.publish()
    assert line.sent[-1][0]["type"] == "rows"
    assert [row[0] for row in line.rows(1)] == [4, 5]
    sent = len(line.sent)
    line.publish()
    assert len(line.sent) == sent, "nothing new"
    told = line.sent[-1][0]["status"]
    assert (told["state"], told["axis"], told["step"], told["total"]) == ("paused", "steps", 10, 100)
    assert [one["step"] for one in told["tracks"]] == [5, 5]


def test_a_portrait_is_answered_once_without_a_number(tiny):
    line = Line(tiny, {"a": evolution(), "b": evolution(seed=1)})
    line.compare.run(2)
    line.hear(type="hello")
    line.hear(type="portrait", track=1, cell=0)
    line.hear(type="portrait", track=7, cell=0)
    line.publish()
    answers = [content for content, _ in line.sent if content["type"] == "portrait"]
    assert len(answers) == 1
    assert "number" not in answers[0]
    assert answers[0]["told"]["picture"].startswith("<svg")


def test_too_many_rows_become_a_snapshot(tiny, monkeypatch):
    monkeypatch.setattr("naslab_widgets.stream.MOST_QUEUED", 5)
    line = Line(tiny)
    line.hear(type="hello")
    line.publish()
    line.compare.run(9)
    line.publish()
    assert line.sent[-1][0]["type"] == "snapshot"


# --- the panel ------------------------------------------------------------------------------------


def test_buttons_and_axis(line):
    compare = line.compare
    compare.deck._hear(compare.deck, {"type": "section", "section": "strip", "do": "step"}, [])
    compare.wait(20)
    assert [search.step for search in compare.searches.values()] == [1, 1]
    compare.axis = "share"
    assert compare._axis.value == "share"
    compare.run()
    assert compare.state == "finished"
    assert "a 40/40, b 60/60" in repr(compare)
    compare._publisher.join(5)
    assert compare.deck.sections["strip"].state()["can"] == []
    with pytest.raises(SpecError, match="unknown axis 'hours'"):
        compare.axis = "hours"


def test_a_slider_turns_the_knob_of_its_search_alone(line):
    compare = line.compare
    first, second = compare.searches.values()
    settings = compare.deck.sections["settings"]
    turned = {"type": "section", "section": "settings", "group": "a", "set": "w_lr", "value": 0.5}
    compare.deck._hear(compare.deck, turned, [])
    assert first.queued == {"w_lr": 0.5}
    assert second.queued == {}
    compare.run(1)
    assert compare.view.tracks[0].log.lines[-1]["text"].startswith("w_lr: 0.025")
    first.set("w_lr", 0.25)
    compare.run(1)
    assert settings.state()["values"][0] == pytest.approx(0.25), "the slider follows the search"


@pytest.mark.slow
def test_a_search_has_one_driver(tiny):
    searches = {"a": tiny.Search(), "b": tiny.Search()}
    lab = Lab(searches["a"])
    compare = Compare(searches)
    assert lab.state == "stopped"
    Lab(searches["b"])
    assert compare.state == "stopped"
    assert threading.active_count() < 50


def test_the_picture_holds_every_search(line):
    assert "no cell yet" in str(line.compare.picture())
    line.compare.run(2)
    picture = str(line.compare.picture())
    assert ">a</text>" in picture
    assert "normal cell" in picture


def test_bad_input(tiny):
    one, two = tiny.Search(), tiny.Search()
    lab = Lab(one)
    bad = [
        ({"a": one}, r"two or more searches, not \['a'\]; Lab"),
        ({"a": one, "b": one}, "'a' and 'b' are one object: make another"),
        ({"a": one, "b": "search"}, "not 'search'; naslab.Search"),
        ({1: one, "1": two}, "a name of its own"),
        ([one, tiny.Search], "naslab.Search objects, not <class"),
        (one, r"not <.*TinySearch.*; write Compare\(\[first, second\]\)"),
        (None, "not None; write"),
        ("runs", "not 'runs'; write"),
    ]
    for searches, said in bad:
        with pytest.raises(SpecError, match=said):
            Compare(searches)
    for options, said in (
        ({"axis": "time"}, "unknown axis 'time'"),
        ({"axis": ["steps"]}, "unknown axis"),
        ({"hz": 100}, "at most 10, not 100"),
        ({"hz": "5"}, "hz must be a number, not '5'"),
        ({"hz": math.nan}, "not nan"),
    ):
        with pytest.raises(SpecError, match=said):
            Compare([one, two], **options)
    assert one.step == 0, "nothing has moved"
    lab.run(1)
    assert one.step == 1, "the lab of before has not been stopped"


def test_a_searcher_is_no_search(digits):
    searcher = nl.searchers.Darts(nl.spaces.NASBench201(channels=4, cells=1), digits)
    search = nl.Search(nl.searchers.Darts(nl.spaces.NASBench201(channels=4, cells=1), digits))
    with pytest.raises(SpecError, match=r"naslab.Search\(searcher\) makes one"):
        Compare([search, searcher])
    with pytest.raises(SpecError, match="not <Search"):
        Compare(search)
    assert search.step == 0


def test_rounds_are_checked_as_they_were_given(line):
    for rounds, said in ((-1, "from 1 up, not -1"), (1.5, "not 1.5"), ("2", "not '2'"), (True, "not True")):
        with pytest.raises(SpecError, match=f"number of rounds .*{said}$"):
            line.compare.run(rounds)
    line.compare.stop()
    with pytest.raises(RuntimeError, match="new Compare"):
        line.compare.run(1)


def test_scripts_speak_no_html():
    script = str(CompareView._esm)
    assert "textContent" in script
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way_in not in script


# --- from folders ---------------------------------------------------------------------------------


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


def evolution_run(path):
    proposer = nl.searchers.RegularizedEvolution(TABLE.space, population=4, sample=2)
    return nl.Search(proposer, run=path, estimator=TABLE, budget=9)


def test_a_pause_is_not_counted(monkeypatch):
    from naslab_widgets.compare_watch import Followed

    followed = Followed.__new__(Followed)
    followed._gaps, followed._when, followed.seconds = [], None, 0.0
    moments = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 3612.0, 3614.0]
    assert sum(followed._gap(when) for when in moments) == pytest.approx(16.0)
