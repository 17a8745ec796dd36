"""Several searches in line with one another, without a browser."""

import asyncio
import itertools
import math
import threading
import time

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab_widgets import Compare, Lab
from naslab_widgets.compare_view import CompareView

TABLE = nl.benchmarks.NASBench201()


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def evolution(budget=12, **options):
    sampler = nl.searchers.RegularizedEvolution(TABLE.space, population=4, sample=2, **options)
    return nl.Search(sampler, estimator=TABLE, budget=budget)


def evolution_run(path):
    sampler = nl.searchers.RegularizedEvolution(TABLE.space, population=4, sample=2)
    return nl.Search(sampler, run=path, estimator=TABLE, budget=9)


class Line:
    """A comparison whose messages are caught."""

    def __init__(self, tiny, searches=None):
        self.clock = tiny.Clock()
        self.compare = Compare(searches or {"a": tiny.Search(total=40), "b": tiny.Search(total=60)}, clock=self.clock)
        self.sent = []
        self.compare.view.send = lambda content, buffers=(): self.sent.append((content, list(buffers)))

    def hear(self, **message):
        self.compare.view._receive(self.compare.view, message, [])

    def publish(self):
        self.clock.now += 1
        return self.compare._publish()

    def rows(self, place):
        track = self.compare.view.tracks[place]
        return np.frombuffer(self.sent[-1][1][place], "<f8").reshape(-1, track.width)


@pytest.fixture
def line(tiny):
    return Line(tiny)


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
    with pytest.raises(RuntimeError, match=r"step 6 of 6, broken failed \(ValueError: no more\): call play\(\) first"):
        asyncio.run(compare.on_finish(lambda: done.append(1)))
    time.sleep(0.1)
    assert not done
    compare.view._receive(compare.view, {"type": "hello"}, [])
    later = asyncio.run(compare.on_finish(lambda: compare.searches["broken"].step))
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
    view.view._receive(view.view, {"type": "hello"}, [])
    view._publisher.join(10)
    settings = view.deck.sections["settings"]
    place = [one["name"] for one in settings.about()["settings"]].index("sample")
    shown = lambda: settings.state()["values"][place]  # noqa: E731
    assert shown() == 1

    def steps():
        view._publisher.join(10)
        if isinstance(view, Compare):
            return sent[-1]["tracks"][0]["step"], view.view.tracks[0].history.rows()[:, 0].tolist()
        return sent[-1]["step"], view.view._table.column("step").tolist()

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


# --- to the browser --------------------------------------------------------------------------------


def test_nothing_is_sent_while_nobody_looks(line):
    line.compare.run(3)
    line.compare._publisher.join(10)  # it publishes once more when all is at rest
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
    compare.deck._receive(compare.deck, {"type": "section", "section": "strip", "do": "step"}, [])
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
    compare.deck._receive(compare.deck, turned, [])
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
