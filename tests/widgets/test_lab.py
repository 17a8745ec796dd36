"""The lab as its user has it: methods, buttons and sliders, without any browser."""

import threading
import time
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

import naslab as nl
from naslab.errors import Diverged, SpecError
from naslab.events import Changed
from naslab_widgets import Lab


def settle(lab):
    lab.wait(10)
    lab._publisher.join(10)


def status(lab, monkeypatch):
    """What the browser would be told now."""
    told = []
    monkeypatch.setattr(lab.view, "publish", lambda status: bool(told.append(status)))
    lab._publish()
    return told[-1]


def test_headless_steps_and_waits(tiny):
    search = tiny.Search(total=50)
    lab = Lab(search)
    assert lab.state == "idle"
    lab.step(20)
    lab.wait(10)
    assert (search.step, lab.state) == (20, "paused")
    lab.run(5)
    assert search.step == 25
    lab.run()
    assert (search.step, lab.state) == (50, "finished")
    assert repr(lab) == "<Lab: finished, step 50 of 50>"
    lab.stop()
    settle(lab)
    names = {thread.name for thread in threading.enumerate()} - {"naslab-ending"}  # the process's own, for SIGTERM
    assert not [name for name in names if name.startswith("naslab")]


def press(lab, name):
    """What the page sends when the button of that name is clicked."""
    lab.deck._receive(lab.deck, {"type": "section", "section": "strip", "do": name}, [])


def turn(lab, name, value):
    lab.deck._receive(lab.deck, {"type": "section", "section": "settings", "set": name, "value": value}, [])


def shown(lab, name):
    section = lab.deck.sections["settings"]
    return section.state()["values"][[one["name"] for one in section.about()["settings"]].index(name)]


def test_buttons_do_what_the_methods_do(tiny):
    search = tiny.Search(before_step=lambda step: time.sleep(0.002))
    lab = Lab(search)
    can = lambda: lab.deck.sections["strip"].state()["can"]  # noqa: E731
    assert can() == ["play", "step"]
    press(lab, "step")
    settle(lab)
    assert search.step == 1
    press(lab, "play")
    while search.step < 5:
        time.sleep(0.001)
    assert can() == ["pause"]
    press(lab, "pause")
    settle(lab)
    reached = search.step
    assert (lab.state, can()) == ("paused", ["play", "step"])
    lab.stop()
    settle(lab)
    assert (search.step, lab.state, can()) == (reached, "stopped", [])
    press(lab, "play")
    assert "was stopped" in lab.view._log.lines[-1]["text"], "nothing is silently without effect"


def test_what_is_refused_stands_right_under_the_buttons_until_something_else_is_asked(tiny, monkeypatch):
    lab = Lab(tiny.Search())
    told = []
    monkeypatch.setattr(lab.deck, "tell", lambda content, tables: told.append(content))
    lab.deck._receive(lab.deck, {"type": "hello"}, [])
    turn(lab, "w_lr", "<b>fast</b>")
    lab.deck._flow._sent_at = float("-inf")
    lab._publish()
    assert "w_lr" in told[-1]["status"]["message"]
    press(lab, "pause")
    lab.deck._flow._sent_at = float("-inf")
    lab._publish()
    assert not told[-1]["status"]["message"]


def test_the_strip_steps_further_and_freezes():
    space = nl.spaces.DartsCell(nodes=2, channels=2, cells=3)
    search = nl.Search(nl.searchers.Darts(space, nl.tasks.Digits(), batch_size=300, epochs=3, seed=0))
    lab = Lab(search)
    strip = lab.deck.sections["strip"]

    def ask(**message):
        lab.deck._receive(lab.deck, {"type": "section", "section": "strip", **message}, [])
        lab.wait(60)
        return search.step

    about = strip.about()
    assert about["frozen"] == ["alphas", "weights"]
    assert {"epoch", "entropy", "skips", "derived", "kept"} <= {one["name"] for one in about["until"]}
    assert ask(do="until", condition="epoch") == search.total // 3
    assert ask(do="step", steps=1) == search.total // 3 + 1
    ask(do="freeze", what="alphas", value=True)
    assert strip.state()["frozen"] == [True, False]
    before = search.searcher.alphas["normal"].detach().clone()
    assert ask(do="until", condition="entropy", number=99.0) == search.total // 3 + 2, "it is below at once"
    assert (search.searcher.alphas["normal"] == before).all()
    for message in (
        {"do": "step", "steps": 0},
        {"do": "step", "steps": "10"},
        {"do": "until", "condition": "__init__"},
        {"do": "until", "condition": ["epoch"]},
        {"do": "until", "condition": "entropy"},
        {"do": "freeze", "what": "alphas", "value": "yes"},
    ):
        said = len(lab.view._log.lines), lab.view._log.lines[-1:]
        ask(**message)
        assert (len(lab.view._log.lines), lab.view._log.lines[-1:]) != said or lab._runner.error, message
    ask(do="freeze", what="everything", value=True)
    ask(do="stop")
    assert (search.step, lab.state) == (search.total // 3 + 2, "paused")
    lab.stop()


def test_a_slider_turns_the_knob_on_the_next_step(tiny):
    search = tiny.Search()
    lab = Lab(search)
    lab.run(3)
    about = lab.deck.sections["settings"].about()["settings"][0]
    assert (about["name"], about["description"], about["log"]) == ("w_lr", "what w_lr does", True)
    assert shown(lab, "w_lr") == pytest.approx(0.025)
    turn(lab, "w_lr", 0.1)
    lab.run(2)
    changes = [event for event in search.events if isinstance(event, Changed)]
    assert [(change.step, change.name, change.old) for change in changes] == [(4, "w_lr", 0.025)]
    assert changes[0].new == pytest.approx(0.1)
    assert search.events[-1].rates["w_lr"] == changes[0].new


def test_a_slider_follows_the_search_and_does_not_answer_back(tiny):
    search = tiny.Search()
    lab = Lab(search)
    lab.set("alpha_lr", 0.003)
    lab.run(4)
    assert shown(lab, "alpha_lr") == pytest.approx(0.003)
    assert sum(isinstance(event, Changed) for event in search.events) == 1
    turn(lab, "w_lr", 1e9)  # beyond the end: the slider's own end counts
    lab.run(1)
    assert search.rates["w_lr"] == 1.0


def test_a_wrong_knob_is_refused_at_once(tiny):
    lab = Lab(tiny.Search())
    with pytest.raises(SpecError, match="unknown setting"):
        lab.set("w_ir", 0.1)
    with pytest.raises(SpecError, match=r"0\.0001 to 1"):
        lab.set("w_lr", 7.0)
    lab.run(1)


def test_an_error_is_shown_and_playing_goes_on(tiny, monkeypatch):
    faults = [Diverged("loss is NaN; lower w_lr")]

    def before(step):
        if step == 3 and faults:
            raise faults.pop()

    search = tiny.Search(total=6, before_step=before)
    lab = Lab(search)
    with pytest.raises(Diverged, match="lower w_lr"):
        lab.run()
    assert lab.state == "paused"
    assert status(lab, monkeypatch)["message"] == "Diverged: loss is NaN; lower w_lr"
    assert lab.view._log.lines[-1] == {"step": 2, "text": "Diverged: loss is NaN; lower w_lr", "error": True}
    lab.run()
    assert lab.state == "finished"
    assert status(lab, monkeypatch)["message"] == ""


def test_status_tells_rate_and_time_left(tiny, monkeypatch):
    clock = tiny.Clock()

    def before(step):
        clock.now += 0.5

    gate = threading.Event()
    search = tiny.Search(total=100, before_step=lambda step: (before(step), gate.wait(10) if step == 41 else None))
    lab = Lab(search, clock=clock)
    lab.play()
    while search.step < 40:
        time.sleep(0.001)
    time.sleep(0.02)
    lab._publisher._publish = lambda: False
    told = status(lab, monkeypatch)
    gate.set()
    lab.pause()
    lab.wait(10)
    assert (told["state"], told["step"], told["total"]) == ("running", 40, 100)
    assert told["rate"] == pytest.approx(2)
    assert told["left"] == pytest.approx(30)


def test_a_new_lab_stops_the_older_one(tiny):
    search = tiny.Search(before_step=lambda step: time.sleep(0.002))
    older = Lab(search)
    older.play()
    newer = Lab(search)
    assert older.state == "stopped"
    reached = search.step
    time.sleep(0.02)
    assert search.step == reached
    with pytest.raises(RuntimeError, match=r"another Lab drives this search now.*new Lab"):
        older.play()
    told = []
    older.views = [SimpleNamespace(publish=lambda status: told.append(status["message"]))]
    older._publish()
    assert told == ["another Lab drives this search now"], "on its face"
    newer.run(2)
    assert search.step == reached + 2


@pytest.mark.slow
def test_the_panel_falls_back_to_a_picture(tiny):
    lab = Lab(tiny.Search())
    before = lab._repr_mimebundle_()
    assert set(before) == {"text/plain", "application/vnd.jupyter.widget-view+json", "image/svg+xml"}
    ElementTree.fromstring(before["image/svg+xml"])
    lab.run(150)
    after = lab._repr_mimebundle_()["image/svg+xml"]
    root = ElementTree.fromstring(after)
    assert sum(element.tag.endswith("polyline") for element in root.iter()) == 2 * 14 * 8
    assert len(after) < 250_000
    assert lab.picture() == after
    assert "ns0:" not in after


def test_hostile_names_stay_text(tiny):
    evil = "<img src=x onerror=alert(1)>"
    space = tiny.Space(nodes=1, operations=("none", evil, "&amp;"), parts=("</svg><b>",))
    lab = Lab(tiny.Search(space=space))
    lab.run(30)
    root = ElementTree.fromstring(lab.picture())
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "g", "rect", "path", "circle", "text", "polyline"}
    assert evil in [element.text for element in root.iter()]


def test_earlier_steps_are_shown_too_and_going_back_is_followed(tiny):
    search = tiny.Search()
    for _ in range(10):
        next(search)
    lab = Lab(search)
    assert len(lab.view._history.rows()) == 10
    search.step, search.events = 6, search.events[:6]  # as search.rewind(6) leaves it
    lab.run(2)
    assert lab.view._history.rows()[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_what_is_not_a_search_is_refused(tiny):
    with pytest.raises(TypeError, match=r"Lab.watch\(path\) follows"):
        Lab("runs/darts-1")
    for wrong in (tiny.Search().searcher, tiny.Search):
        with pytest.raises(TypeError, match=r"as nl.Search\(searcher\) makes it"):
            Lab(wrong)
    assert "moved" not in vars(tiny.Search), "what was refused is left as it was"
    with pytest.raises(ValueError, match="hz must be positive"):
        Lab(tiny.Search(), hz=0)
    lab = Lab(tiny.Search())
    for steps in (0, 2.5, "3", True):
        with pytest.raises(SpecError, match="whole number from 1 up"):
            lab.step(steps)
    assert lab.state == "idle"


def test_stop_all_reaches_a_lab_that_nobody_holds(tiny):
    search = tiny.Search(total=10**6, before_step=lambda step: time.sleep(0.001))
    Lab(search).play()
    Lab.stop_all()
    reached = search.step
    time.sleep(0.05)
    assert search.step <= reached + 1
