import base64
import re
from types import SimpleNamespace

import pytest

from naslab.markup import Markup
from naslab_widgets import Compare, Lab
from naslab_widgets import display as module
from naslab_widgets.display import needs_views, restore_hint, still
from naslab_widgets.figures import Drawing

VIEW = "application/vnd.jupyter.widget-view+json"
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def outputs(monkeypatch):
    """What cells show: a list of (bundle, the name under which it is replaced, whether it replaces)."""
    shown = []

    def display(bundle, *, raw, display_id=None, update=False):
        assert raw
        shown.append((bundle, display_id, update))

    monkeypatch.setattr(module, "display", display)
    return shown


def images(bundle):
    """The SVG documents within the HTML of an output."""
    return [base64.b64decode(data).decode() for data in re.findall(r'base64,([^"]+)"', bundle["text/html"])]


def test_a_cell_holds_a_place_and_a_picture_and_no_view(outputs, tiny):
    lab = Lab(tiny.Search(total=20))
    lab._ipython_display_()
    (place, name, _), (picture, handle, update) = outputs
    assert set(place) == {"text/html"}
    assert (name, update) == (None, False)
    assert handle
    assert VIEW not in picture
    assert picture["text/plain"] == "<Lab: idle, step 0 of 20>"
    assert images(picture) == [str(lab.picture())] == [picture["image/svg+xml"]]


def test_at_rest_the_picture_is_that_of_now_and_only_then_is_one_drawn(outputs, tiny):
    lab = Lab(tiny.Search(total=20))
    lab._ipython_display_()
    handle = outputs[1][1]
    lab.run(7)
    lab._publisher.join(5)
    assert [(name, update) for _, name, update in outputs[2:]] == [(handle, True)]
    assert outputs[-1][0]["text/plain"] == "<Lab: paused, step 7 of 20>"
    assert images(outputs[-1][0]) == [str(lab.picture())]
    lab.wait()
    lab._publish()
    assert len(outputs) == 3, "nothing has happened"
    lab.run()
    lab._publisher.join(5)
    assert outputs[-1][0]["text/plain"] == "<Lab: finished, step 20 of 20>"


def test_an_error_is_a_rest_too(outputs, tiny):
    def before(step):
        if step == 3:
            raise ValueError(EVIL)

    lab = Lab(tiny.Search(total=20, before_step=before))
    lab._ipython_display_()
    with pytest.raises(ValueError, match="onerror"):
        lab.run()
    assert "paused" in outputs[-1][0]["text/plain"]
    assert EVIL not in outputs[-1][0]["text/html"]


def test_what_is_shown_in_no_notebook_is_never_drawn(outputs, tiny, monkeypatch):
    monkeypatch.setattr(Lab, "picture", lambda self: pytest.fail("drawn"))
    Lab(tiny.Search(total=5)).run()
    assert outputs == []


def test_on_the_way_it_is_drawn_from_time_to_time_for_somebody_who_looks(outputs, tiny, monkeypatch):
    lab = Lab(tiny.Search(total=20))
    lab._ipython_display_()
    next(lab.search)
    lab._display.update_still(rests=False)
    assert len(outputs) == 2, "nobody looks, and it is too early"
    monkeypatch.setattr(module.PULSE, "reaches", lambda listener: True)
    lab._display.update_still(rests=False)
    assert len(outputs) == 2, "it is too early"
    lab._display._at -= module.EVERY
    lab._display.update_still(rests=False)
    assert len(outputs) == 3


@pytest.mark.parametrize("show", [Lab, lambda search: Compare([search, search.twin])])
def test_a_loop_of_ones_own_is_no_rest_until_it_stands_still(outputs, tiny, show):
    """Each look between two steps would draw a picture, which takes longer than many a step."""
    search = tiny.Search(total=40)
    search.twin = tiny.Search(total=40)
    view = show(search)
    view._ipython_display_()
    before = len(outputs)
    for _ in range(10):
        next(search)
        assert view._publish(), "it is to be looked at once more"
    assert len(outputs) == before
    view._publish()
    assert len(outputs) == before + 1, "now it stands still"
    view._publish()
    assert len(outputs) == before + 1


def test_a_page_that_comes_later_gets_the_picture_by_word_of_mouth(outputs, tiny, monkeypatch):
    lab = Lab(tiny.Search(total=20))
    lab._ipython_display_()
    heard, told = [], []
    monkeypatch.setattr(module.PULSE, "heard", heard.append)
    monkeypatch.setattr(lab._display, "tell", told.append)
    next(lab.search)  # by hand
    lab._display._receive(None, {"type": "mounted"}, [])
    assert heard == [lab._display]
    assert told[-1] == {"type": "still", "number": 2}
    lab._display._receive(None, {"type": "missing"}, [])
    assert told[-1]["bundle"]["text/plain"] == repr(lab)
    assert len(told[-1]["bundle"]["image/svg+xml"]) > 2000
    for rubbish in (None, "here", {}, {"type": ["mounted"]}):
        lab._display._receive(None, rubbish, [])


def test_where_only_a_view_makes_widgets_there_is_one(outputs, tiny, monkeypatch):
    monkeypatch.setattr(module, "get_ipython", lambda: SimpleNamespace(user_ns={"__vsc_ipynb_file__": ""}, events=None))
    monkeypatch.setattr(module.PULSE, "follow_cells", lambda shell: None)
    assert not needs_views(None)
    lab = Lab(tiny.Search(total=20))
    lab._ipython_display_()
    assert [VIEW in bundle for bundle, _, _ in outputs] == [True]
    lab.run()
    assert len(outputs) == 1, "replacing it would take the panel away"


def test_the_words_for_a_kernel_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = SimpleNamespace(run=tmp_path / "runs" / 'a"b')
    other = SimpleNamespace(run=tmp_path.parent / "far")
    assert restore_hint([kept], "Lab(search)").line == 'search = nl.Search.open("runs/a\\"b"); Lab(search)'
    assert restore_hint([kept, other], "Compare([{}])").line == (
        f'Compare([nl.Search.open("runs/a\\"b"), nl.Search.open("{other.run}")])'
    )
    lost = restore_hint([kept, SimpleNamespace(run=None)], "Lab(search)")
    assert lost.line == ""
    assert "lost" in lost.words


def test_everything_that_can_be_driven_is_shown_again(outputs, tiny):
    gone, alive = Lab(tiny.Search(total=5)), Lab(tiny.Search(total=6))
    pair = Compare([tiny.Search(total=5), tiny.Search(total=7)])
    gone.stop()
    found = Lab.all()
    assert alive in found
    assert pair in found
    assert gone not in found
    assert len(set(map(id, found))) == len(found)
    module.Gallery([alive, pair])._ipython_display_()
    assert len(outputs) == 4
    module.Gallery()._ipython_display_()
    assert "no panel is active" in outputs[-1][0]["text/plain"]


def test_a_still_is_text_but_for_what_was_made_here():
    bundle = still([EVIL, Markup("<b>own</b>"), Drawing("<svg xmlns='http://www.w3.org/2000/svg'/>")], "text", EVIL)
    assert "<b>own</b>" in bundle["text/html"]
    assert "<img src=x" not in bundle["text/html"]
    assert bundle["text/html"].count("<img") == 1
    assert bundle["image/svg+xml"].startswith("<svg")
