"""The race on the screen, without a browser."""

import asyncio

import numpy as np
import pytest

import naslab as nl
from naslab_widgets import RaceView
from naslab_widgets.race import RaceCanvas

TABLE = nl.benchmarks.NASBench201()


def a_race(budget=10, seeds=4, **options):
    searchers = {"random": nl.searchers.RandomSearch, "<b>": nl.searchers.LocalSearch}
    return nl.runs.Race(searchers, TABLE, seeds=range(seeds), budget=budget, **options)


class Line:
    """A canvas whose messages are caught."""

    def __init__(self, race, clock):
        self.race, self.clock, self.sent = race, clock, []
        self.canvas = RaceCanvas(race, poke=lambda: None, hz=10, clock=clock)
        self.canvas.send = lambda content, buffers: self.sent.append((content, buffers[0]))

    def hear(self, **message):
        self.canvas._receive(self.canvas, message, [])

    def publish(self, kind="regret"):
        return self.canvas.publish({"step": self.race.step, "kind": kind})

    def rows(self):
        return np.frombuffer(self.sent[-1][1], "<f8").reshape(-1, 8)


@pytest.fixture
def line(tiny):
    return Line(a_race(), tiny.Clock())


def test_nothing_is_sent_while_nobody_looks(line):
    line.race.run()
    assert line.publish() is False
    assert line.sent == []


def test_every_message_is_the_whole_picture(line):
    line.hear(type="hello")
    line.publish()
    assert line.sent[-1][0]["points"] == [0, 0], "an empty race"
    line.race.run()
    line.clock.now += 1
    line.publish()
    message, _ = line.sent[-1]
    assert message["points"] == [10, 10]
    assert line.rows()[:10, 0].tolist() == list(range(1, 11))
    assert [each["kind"] for each in message["kinds"]] == ["regret", "best", "rank"], "the page can turn by itself"
    band = line.race.bands("regret", 80)["<b>"]
    np.testing.assert_allclose(line.rows()[10:, 4], band.median, rtol=1e-6)
    np.testing.assert_allclose(line.rows()[10:, 1], band.mean, rtol=1e-6)


def test_ten_messages_a_second_at_most_and_none_twice(line):
    line.hear(type="hello")
    for _ in range(40):
        next(line.race)
        line.publish()
        line.clock.now += 0.025
    assert len(line.sent) in (10, 11)
    next(line.race)
    assert line.publish() in (True, False)
    line.clock.now += 1
    line.publish()
    sent = len(line.sent)
    line.clock.now += 1
    assert line.publish() is False
    assert len(line.sent) == sent
    line.publish("rank")
    assert line.sent[-1][0]["status"]["kind"] == "rank"


def test_a_page_that_does_not_answer_is_waited_for(line):
    line.hear(type="hello")
    for _ in range(40):
        next(line.race)
        line.clock.now += 1
        line.publish()
    assert len(line.sent) == 15
    line.hear(type="ack", number=15)
    line.publish()
    assert len(line.sent) == 16


def test_steps_and_runs_like_its_buttons():
    view = RaceView(a_race())
    assert view.state == "idle"
    view.step()
    view.wait(20)
    assert view.race.step == 8, "one evaluation of every runner"
    assert view.state == "paused"
    view.run()
    assert (view.state, view.race.finished) == ("finished", True)
    view._publisher.join(5)
    assert view.deck.sections["strip"].state()["can"] == []
    assert "&lt;b&gt;" in view._card.value
    assert "finished, 100 %" in repr(view)
    assert "<b>" not in view._card.value.replace("<b>warning</b>", "").replace(f"<b>{view.race.card.what}</b>", "")


def test_where_widgets_do_not_render_there_is_a_picture():
    view = RaceView(a_race(), kind="rank")
    assert "nothing has been evaluated yet" in view._repr_mimebundle_()["image/svg+xml"]
    view.run()
    bundle = view._repr_mimebundle_()
    assert bundle["image/svg+xml"] == view.picture() != ""
    assert bundle["text/plain"] == repr(view)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "true rank of the best so far" in view.picture()
    view._kind.value = "best"
    assert "test accuracy of the best so far (per cent)" in view.picture()


def test_an_error_is_shown_and_raised_by_wait():
    def unpriced(architecture):
        return 1.0

    made = {"random": lambda seed: nl.searchers.RandomSearch(TABLE.space, seed=seed)}
    view = RaceView(nl.runs.Race(made, unpriced, seeds=[0], budget=5.0, cost="seconds"))
    view.play()
    with pytest.raises(nl.errors.SpecError, match="what it cost"):
        view.wait(20)


def test_bad_input():
    with pytest.raises(TypeError, match=r"expects a naslab\.runs\.Race"):
        RaceView("race")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most 10"):
        RaceView(a_race(), hz=100)
    with pytest.raises(ValueError, match="one of regret, best, rank"):
        RaceView(a_race(), kind="speed")


@pytest.mark.parametrize("module", ["race", "composer"])
def test_scripts_speak_no_html(module):
    script = str(
        __import__(f"naslab_widgets.{module}", fromlist=["x"])
        .__dict__[{"race": "RaceCanvas"}.get(module, "Compose")]
        ._esm
    )
    assert "textContent" in script
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way_in not in script


def looked_at(view):
    view.canvas._receive(view.canvas, {"type": "hello"}, [])
    return view


def test_a_pause_lets_no_later_cell_begin():
    view = looked_at(RaceView(a_race()))
    view.step()

    async def cells():
        rest = asyncio.ensure_future(view.rest())
        while view._runner.busy:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert not rest.done(), "paused: the cell waits"
        assert view.state == "paused"
        view.play()
        await asyncio.wait_for(rest, 20)
        assert view.race.finished

    asyncio.run(cells())


def test_rest_ends_with_a_view_that_is_stopped():
    view = looked_at(RaceView(a_race()))
    view.stop()
    asyncio.run(view.rest())
    assert view.race.step == 0


def test_rest_raises_what_the_race_stands_still_for():
    made = {"random": lambda seed: nl.searchers.RandomSearch(TABLE.space, seed=seed)}
    view = looked_at(RaceView(nl.runs.Race(made, lambda architecture: 1.0, seeds=[0], budget=5.0, cost="seconds")))
    view.play()
    with pytest.raises(nl.errors.SpecError, match="what it cost"):
        asyncio.run(view.rest())


def test_rest_says_that_nobody_plays(tiny):
    clock = tiny.Clock()
    view = RaceView(a_race(), clock=lambda: forward(clock, 6))
    with pytest.raises(RuntimeError, match="play"):
        asyncio.run(view.rest())


def forward(clock, seconds):
    clock.now += seconds
    return clock.now


def test_rounds_are_run_one_after_the_other():
    view = RaceView(a_race())
    view.run(2)
    assert view.race.step == 2 * 2 * 4, "two evaluations of each searcher with each seed"
    view.run()
    assert view.race.finished
