"""What goes over the wire, and when. Time is an argument, so none passes here."""

import numpy as np
import pytest

from naslab_widgets.live import LiveView
from naslab_widgets.rows import RowFormat
from naslab_widgets.wire import WINDOW

STATUS = {"state": "running", "step": 0}


class Wire:
    """A view whose messages are caught, and the browser's side of the talk."""

    def __init__(self, tiny, hz=10.0):
        self.clock, self.search, self.pokes = tiny.Clock(), tiny.Search(total=10**6), 0
        self.view = LiveView(self.search.space, metrics=tiny.METRICS, poke=self.poke, hz=hz, clock=self.clock)
        self.width = RowFormat(self.search.space, tiny.METRICS).width
        self.sent = []
        self.view.send = lambda content, buffers: self.sent.append((content, buffers[0]))

    def poke(self):
        self.pokes += 1

    def hear(self, **message):
        self.view._receive(self.view, message, [])

    def steps(self, n):
        for _ in range(n):
            self.view.take(next(self.search))

    def publish(self, **status):
        return self.view.publish({**STATUS, **status})

    def rows(self, number=-1):
        return np.frombuffer(self.sent[number][1], "<f8").reshape(-1, self.width)


@pytest.fixture
def wire(tiny):
    return Wire(tiny)


def test_nothing_is_sent_while_nobody_looks(wire):
    wire.steps(50)
    assert wire.publish() is False
    assert wire.sent == []


def test_hello_brings_everything_and_then_only_what_is_new(wire):
    wire.steps(5)
    wire.hear(type="hello")
    assert wire.pokes == 1
    wire.publish()
    assert wire.sent[0][0]["type"] == "snapshot"
    assert wire.rows()[:, 0].tolist() == [1, 2, 3, 4, 5]
    wire.steps(3)
    wire.clock.now += 0.125
    wire.publish()
    assert wire.sent[1][0]["type"] == "rows"
    assert wire.rows()[:, 0].tolist() == [6, 7, 8]
    assert [message["number"] for message, _ in wire.sent] == [1, 2]


@pytest.mark.slow
def test_at_most_ten_messages_a_second_and_no_row_lost(wire):
    wire.hear(type="hello")
    for _ in range(2000):  # two seconds at a thousand steps a second
        wire.steps(1)
        wire.publish()
        wire.clock.now += 0.001
        if wire.sent and wire.sent[-1][0]["number"] % 5 == 0:
            wire.hear(type="ack", number=wire.sent[-1][0]["number"])
    assert 19 <= len(wire.sent) <= 21
    steps = np.concatenate([wire.rows(i)[:, 0] for i in range(len(wire.sent))])
    np.testing.assert_array_equal(steps, np.arange(1, len(steps) + 1))
    assert len(steps) > 1880


def test_too_early_says_so_and_unchanged_sends_nothing(wire):
    wire.hear(type="hello")
    wire.publish()
    wire.steps(1)
    assert wire.publish() is True
    wire.clock.now += 0.2
    assert wire.publish() is False
    wire.clock.now += 0.2
    wire.publish()
    assert len(wire.sent) == 2
    wire.publish(state="paused")
    assert len(wire.sent) == 3
    assert wire.sent[-1][0]["status"]["state"] == "paused"


def test_a_slow_browser_is_waited_for(wire):
    wire.hear(type="hello")
    for _ in range(100):
        wire.steps(1)
        wire.clock.now += 0.125
        wire.publish()
    assert len(wire.sent) == WINDOW
    wire.hear(type="ack", number=WINDOW)
    wire.publish()
    assert wire.rows()[:, 0].tolist() == list(range(WINDOW + 1, 101))


@pytest.mark.slow
def test_a_very_slow_browser_gets_a_thinned_snapshot(wire):
    wire.hear(type="hello")
    for _ in range(WINDOW):
        wire.steps(1)
        wire.clock.now += 0.125
        wire.publish()
    wire.steps(2500)
    wire.hear(type="ack", number=WINDOW)
    wire.clock.now += 1
    wire.publish()
    assert wire.sent[-1][0]["type"] == "snapshot"
    assert wire.rows()[-1, 0] == WINDOW + 2500
    assert len(wire.rows()) <= 2000


def test_a_lost_message_is_mended_by_another_hello(wire):
    wire.hear(type="hello")
    wire.publish()
    wire.steps(4)
    wire.hear(type="hello")
    wire.clock.now += 0.125
    wire.publish()
    assert wire.sent[-1][0]["type"] == "snapshot"
    assert wire.rows()[:, 0].tolist() == [1, 2, 3, 4]


def test_nonsense_from_the_browser_is_ignored(wire):
    for message in ({}, {"type": "ack"}, {"type": "no such thing"}):
        wire.hear(**message)
    wire.view._receive(wire.view, "not even an object", [])
    wire.publish()
    assert wire.sent == []


def test_going_back_clears_the_browser(wire):
    wire.hear(type="hello")
    wire.steps(9)
    wire.publish()
    wire.view.clear()
    wire.view.take(wire.search.event(3))
    wire.clock.now += 1
    wire.publish()
    assert wire.sent[-1][0]["type"] == "snapshot"
    assert wire.rows()[:, 0].tolist() == [3]
    assert wire.sent[-1][0]["number"] == 2


def test_scripts_speak_no_html():
    """Foreign labels reach the page as text only."""
    script = LiveView._esm
    assert "textContent" in str(script)
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way_in not in str(script)
