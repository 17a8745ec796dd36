"""The base of all live views, alone: a view of numbers, and the page's side of the talk played by the test."""

import json
import threading
import time

import numpy as np
import pytest

from naslab.errors import NaslabDeprecationWarning
from naslab_widgets import stream
from naslab_widgets.sections import Section, Sections
from naslab_widgets.stream import StreamView
from naslab_widgets.wire import WINDOW


class Numbers(StreamView):
    """Shows numbers, one row each."""

    def _forget(self):
        self.kept = []

    def _take(self, events):
        self.kept += events
        self._queue([np.array([float(number)]) for number in events])

    def _message(self, fresh, status):
        if fresh:
            return {"type": "snapshot"}, [np.array(self.kept, dtype=float)]
        return {"type": "rows"}, [np.array(self._queued[0])]

    def _look_back(self, step):
        return {"of": len(self.kept)}, [np.array(self._recall(step - 1, step + 1), dtype=float)]


class Button(Section):
    """A part of the page that counts, and can be broken."""

    name = "button"

    def __init__(self):
        self.pressed, self.held = 0, False

    def about(self):
        return {"label": "Press"}

    def state(self):
        return {"pressed": self.pressed}

    @property
    def due(self):
        return self.held

    def on_message(self, message):
        self.pressed += message["times"]


class Page:
    """A view whose messages are caught, and a page that speaks with it."""

    def __init__(self, clock, view=Numbers, **options):
        self.clock, self.pokes, self.errors, self.sent = clock, 0, [], []
        told = {"poke": self.poke, "complain": self.errors.append, "clock": clock}
        self.view = view({"unit": "apples"}, **told, **options)
        self.view.send = self.catch

    def poke(self):
        self.pokes += 1

    def catch(self, content, buffers):
        json.dumps(content, allow_nan=False)
        self.sent.append((content, [np.frombuffer(buffer, "<f8").tolist() for buffer in buffers]))

    def say(self, content):
        self.view._receive(self.view, content, [])

    def publish(self, later=0.125, **status):
        self.clock.now += later
        return self.view.publish({"state": "running", **status})

    @property
    def last(self):
        content, tables = self.sent[-1]
        return content["type"], tables


@pytest.fixture
def page(tiny):
    return Page(tiny.Clock())


def test_hello_snapshot_increments(page):
    page.view.take(1, 2)
    assert page.publish() is False
    assert page.sent == [], "no page has asked for anything"
    page.say({"type": "hello"})
    assert page.pokes == 1, "somebody should publish now"
    assert page.publish() is False
    assert page.last == ("snapshot", [[1, 2]])
    page.view.take(3)
    page.view.take(4, 5)
    page.publish()
    assert page.last == ("rows", [[3, 4, 5]])
    assert [content["number"] for content, _ in page.sent] == [1, 2]
    assert "sections" not in page.sent[0][0], "this page has no room for any"
    page.say({"type": "hello"})  # a message was lost
    page.publish()
    assert page.last == ("snapshot", [[1, 2, 3, 4, 5]])
    assert page.sent[-1][0]["number"] == 3


def test_the_page_knows_its_description_from_the_beginning(tiny):
    view = Page(tiny.Clock(), panel="p", sections=[Button()]).view
    assert view.description == {"panel": "p", "unit": "apples", "sections": {"button": {"label": "Press"}}}


def test_too_early_is_told_and_nothing_is_lost(page):
    page.say({"type": "hello"})
    page.publish()
    page.view.take(1)
    assert page.publish(later=0.05) is True
    assert len(page.sent) == 1
    assert page.publish(later=0.06) is False
    assert page.last == ("rows", [[1]])


def test_only_what_has_changed_is_sent(page):
    page.say({"type": "hello"})
    page.publish()
    assert page.publish() is False
    assert len(page.sent) == 1
    page.publish(state="paused")
    assert page.last == ("rows", [[]])
    assert page.sent[-1][0]["status"] == {"state": "paused"}


def test_clear_brings_a_snapshot_of_what_is_left(page):
    page.say({"type": "hello"})
    page.view.take(1, 2, 3)
    page.publish()
    page.view.take(4)
    page.view.clear()
    page.view.take(1)
    page.publish()
    assert page.last == ("snapshot", [[1]])


def test_a_page_that_lags_is_waited_for(page):
    page.say({"type": "hello"})
    for number in range(WINDOW + 3):
        page.view.take(number)
        page.publish()
    assert len(page.sent) == WINDOW
    page.say({"type": "ack", "number": WINDOW})
    page.publish()
    assert page.last == ("rows", [[WINDOW, WINDOW + 1, WINDOW + 2]])


def test_more_rows_than_a_snapshot_has_become_one(page, monkeypatch):
    monkeypatch.setattr(stream, "MOST_QUEUED", 5)
    page.say({"type": "hello"})
    page.publish()
    page.view.take(*range(5))
    page.publish()
    assert page.last == ("rows", [[0, 1, 2, 3, 4]])
    page.view.take(*range(5, 11))
    assert not page.view._queued, "the memory is free again"
    page.view.take(11)
    page.publish()
    assert page.last == ("snapshot", [list(range(12))])
    page.view.take(12)
    page.publish()
    assert page.last == ("rows", [[12]])


def test_nothing_is_kept_for_a_page_that_is_not_there(page):
    page.view.take(*range(100))
    assert not page.view._queued


@pytest.mark.parametrize(
    "content",
    [
        None,
        "hello",
        ["hello"],
        {},
        {"type": None},
        {"type": ["hello"]},
        {"type": "no such thing", "number": 1},
        {"type": "ack"},
        {"type": "ack", "number": "1"},
        {"type": "ack", "number": 10**9},
        {"type": "moment"},
        {"type": "moment", "step": "3"},
        {"type": "moment", "step": True},
        {"type": "section"},
        {"type": "section", "section": ["button"]},
        {"type": "section", "section": "no such section"},
    ],
)
def test_nonsense_from_the_page_changes_nothing(tiny, content):
    page = Page(tiny.Clock(), sections=[Button()])
    page.say(content)
    page.view.take(1)
    assert page.publish() is False
    assert (page.sent, page.errors) == ([], [])
    page.say({"type": "hello"})
    for number in range(WINDOW + 1):
        page.say(content)
        page.view.take(number)
        page.publish()
    assert len(page.sent) == WINDOW, "and no acknowledgement that was never due opens the window"


def test_a_look_back_is_answered_at_once_and_without_a_number(tiny):
    page = Page(tiny.Clock(), recall=lambda first, last: range(first, last + 1))
    page.view.take(1, 2)
    page.say({"type": "moment", "step": 40})
    assert page.sent == [({"type": "moment", "step": 40, "of": 2}, [[39, 40, 41]])]


def test_a_view_need_not_look_back(tiny):
    class Blind(Numbers):
        def _look_back(self, step):
            return StreamView._look_back(self, step)

    page = Page(tiny.Clock(), Blind)
    page.say({"type": "moment", "step": 4})
    assert page.sent == []


def test_sections_travel_when_they_change(tiny):
    button = Button()
    page = Page(tiny.Clock(), sections=[button])
    page.say({"type": "hello"})
    page.publish()
    assert page.sent[-1][0]["sections"] == {"button": {"pressed": 0}}
    page.view.take(1)
    page.publish()
    assert page.sent[-1][0]["sections"] == {}
    page.say({"type": "section", "section": "button", "times": 2})
    page.publish()
    assert page.sent[-1][0]["sections"] == {"button": {"pressed": 2}}
    page.say({"type": "hello"})
    page.publish()
    assert page.sent[-1][0]["sections"] == {"button": {"pressed": 2}}, "a new page knows none"
    button.held = True
    assert page.publish() is True, "the section will say more by itself"
    button.pressed = 5
    assert page.publish() is True, "also after a message"
    assert page.sent[-1][0]["sections"] == {"button": {"pressed": 5}}


def test_the_error_of_a_section_is_shown_and_goes_no_further(tiny):
    page = Page(tiny.Clock(), sections=[Button()])
    page.say({"type": "hello"})
    page.say({"type": "section", "section": "button"})
    assert [repr(error) for error in page.errors] == ["KeyError('times')"]
    assert page.pokes == 2, "so that the page hears of it"
    page.publish()
    assert page.sent[-1][0]["sections"] == {"button": {"pressed": 0}}


def test_a_message_that_cannot_be_made_is_tried_again(tiny):
    class Fragile(Numbers):
        breaks = True

        def _message(self, fresh, status):
            if self.breaks:
                raise ValueError("not now")
            return super()._message(fresh, status)

    page = Page(tiny.Clock(), Fragile)
    page.view.take(1)
    page.say({"type": "hello"})
    with pytest.raises(ValueError, match="not now"):
        page.publish()
    page.view.breaks = False
    page.publish()
    assert page.last == ("snapshot", [[1]])
    assert page.sent[-1][0]["number"] == 1


def test_without_a_message_there_is_no_view():
    view = StreamView({}, poke=lambda: None)
    view._receive(view, {"type": "hello"}, [])
    with pytest.raises(NotImplementedError):
        view.publish({})


@pytest.mark.parametrize("what", ["take", "publish", "hear"])
def test_the_lock_keeps_threads_apart(tiny, what):
    """While a message is put together, nobody else takes, publishes or hears."""

    class Slow(Numbers):
        def __init__(self, *args, **options):
            self.inside, self.go = threading.Event(), threading.Event()
            super().__init__(*args, **options)

        def _message(self, fresh, status):
            self.inside.set()
            self.go.wait(10)
            return super()._message(fresh, status)

    page = Page(tiny.Clock(), Slow)
    page.view.take(1)
    page.say({"type": "hello"})
    first = threading.Thread(target=page.publish)
    first.start()
    assert page.view.inside.wait(10)
    acts = {"take": lambda: page.view.take(2), "publish": page.publish, "hear": lambda: page.say({"type": "hello"})}
    other = threading.Thread(target=acts[what])
    other.start()
    other.join(0.05)
    assert other.is_alive(), f"{what} has to wait"
    page.view.go.set()
    first.join(10)
    other.join(10)
    assert page.sent[0][1] == [[1]]


def test_no_number_is_lost_or_sent_twice_between_threads(tiny):
    """One thread takes, two publish and one says hello again and again; what each page got adds up to everything."""
    page = Page(tiny.Clock(), hz=1e9)
    count, ended = 3000, threading.Event()

    def take():
        for number in range(count):
            while len(page.sent) < number // 30:
                time.sleep(0)
            page.view.take(number)
        ended.set()

    def publish():
        while not ended.is_set():
            page.publish(later=0.001)
            page.say({"type": "ack", "number": len(page.sent)})

    def reload():
        while not ended.is_set():
            page.say({"type": "hello"})
            ended.wait(0.001)

    page.say({"type": "hello"})
    threads = [threading.Thread(target=each) for each in (take, publish, publish, reload)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    page.say({"type": "ack", "number": len(page.sent)})
    page.publish()
    seen = []
    for number, (content, (rows,)) in enumerate(page.sent, 1):
        assert content["number"] == number
        seen = rows if content["type"] == "snapshot" else seen + rows
    assert seen == list(range(count))


def test_a_section_written_for_the_old_name_of_its_method_still_works(monkeypatch):
    monkeypatch.setattr("naslab.lazy._warned", set())
    seen = []

    class Base(Section):
        name = "base"

        def state(self):
            return None

        def on_message(self, message):
            seen.append(("base", message["value"]))

    with pytest.warns(NaslabDeprecationWarning, match=r"hear is now called on_message"):

        class Old(Base):
            name = "old"

            def hear(self, message):
                seen.append(("old", message["value"]))
                super().hear(message)

    class Newer(Old):
        def on_message(self, message):
            seen.append(("newer", message["value"]))
            super().on_message(message)

    with pytest.warns(NaslabDeprecationWarning, match="Base.hear is now called on_message"):
        Base().hear({"value": 2})
    assert seen == [("base", 2)]
    for section, expected in ((Base(), ["base"]), (Old(), ["old", "base"]), (Newer(), ["newer", "old", "base"])):
        seen.clear()
        Sections([section]).on_message(
            {"section": section.name, "value": 1}, complain=lambda error: pytest.fail(str(error))
        )
        assert [who for who, _ in seen] == expected
