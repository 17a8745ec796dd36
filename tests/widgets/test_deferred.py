import asyncio
import itertools
import threading
import time

import pytest

from naslab_widgets import Lab
from naslab_widgets.deferred import Deferred
from naslab_widgets.figures import Drawing


def test_waits_works_and_shows_each_value():
    ready, more = threading.Event(), threading.Event()

    def job():
        yield "<first>"
        more.wait(10)
        yield "second"

    later = Deferred(job, lambda: ready.wait(10))
    assert "waiting for the search" in later.panel.value
    assert not later.done
    ready.set()
    while "first" not in later.panel.value:
        pass
    assert "&lt;first&gt;" in later.panel.value, "text is text, never markup"
    more.set()
    assert later.result(10) == "second"
    assert later.panel.value.endswith(">second</pre>")
    assert "first" not in later.panel.value
    assert repr(later) == "second"


def test_an_error_is_shown_and_raised():
    def job():
        yield "half"
        raise ValueError("<b>broken</b>")

    later = Deferred(job, lambda: None)
    with pytest.raises(ValueError, match="broken"):
        later.result(10)
    assert "ValueError: &lt;b&gt;broken&lt;/b&gt;" in later.panel.value
    assert "half" in later.panel.value, "what was reached stays in sight"


def test_a_picture_is_shown_as_one_and_stays_without_widgets():
    picture = Drawing("<svg xmlns='http://www.w3.org/2000/svg'/>")
    later = Deferred(lambda: (picture, "a line"), lambda: None)
    later.result(10)
    bundle = later._repr_mimebundle_()
    assert bundle["image/svg+xml"] == str(picture)
    assert later.panel.value.startswith(str(picture))
    assert repr(later).splitlines() == [repr(picture), "a line"]


def test_then_waits_without_a_front_end(tiny):
    lab = Lab(tiny.Search(total=5))
    lab.play()
    later = asyncio.run(lab.on_finish(lambda: lab.search.step))
    assert later.done
    assert later.result() == 5


def test_then_leaves_the_kernel_free_when_somebody_looks(tiny):
    lab = Lab(tiny.Search(total=5))
    lab.view._receive(lab.view, {"type": "hello"}, [])
    later = asyncio.run(lab.on_finish(lambda: lab.search.step))
    assert not later.done, "the search has not even begun"
    lab.step(2)
    lab.wait(10)
    assert not later.done, "a pause is not the end"
    lab.stop()
    assert later.result(10) == 2, "stopping is"


def test_jobs_come_one_after_the_other(tiny):
    lab, order = Lab(tiny.Search(total=1)), []
    lab.view._receive(lab.view, {"type": "hello"}, [])

    def first():
        time.sleep(0.2)
        order.append("first")

    laters = [asyncio.run(lab.on_finish(job)) for job in (first, lambda: order.append("second"))]
    lab.run()
    for later in laters:
        later.result(10)
    assert order == ["first", "second"]


def test_then_says_that_nobody_plays(tiny, clock):
    lab = Lab(tiny.Search(total=5), clock=clock)
    with pytest.raises(RuntimeError, match="paused at step 0 of 5: call play"):
        asyncio.run(lab.on_finish(lambda: 1))
    lab.stop()


def test_an_error_of_the_job_fails_the_cell(tiny):
    lab = Lab(tiny.Search(total=1))
    lab.play()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(lab.on_finish(lambda: 1 / 0))


@pytest.fixture
def clock():
    return itertools.count(0, 3).__next__
