"""The live view of a search with shared weights and a controller: both phases, in the page of a person."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELL = """
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.{space}
sizes = dict(epochs=4, batch_size=128, train_portion=0.7, controller_steps=3, children=8, units=16, controller_lr=0.02)
search = nl.Search(nl.searchers.Enas(space, nl.tasks.Digits(), **sizes))
lab = Lab(search)
lab"""
MACRO, MICRO = "EnasMacro(layers=6, channels=4)", "EnasMicro(nodes=2, channels=2, cells=3)"


@pytest.mark.parametrize(("space", "decisions"), [(MACRO, 6 + 15), (MICRO, 16)], ids=["macro", "micro"])
def test_both_phases_are_seen(notebook, space, decisions):
    book = notebook(CELL.format(space=space), "lab.play()", theme="dark" if space == MICRO else "light")
    book.run_all()
    book.wait_state("finished", timeout=120_000)
    book.wait_step("naslab-fitness", 4 * (7 + 24))
    page = book.page
    assert page.locator(".naslab-fitness").get_attribute("data-trials") == str(4 * 24)
    assert page.locator(".naslab-heat").get_attribute("data-decisions") == str(decisions)
    shown, _ = book.ask("list(lab.view._details.widths)")
    assert {"train/loss", "train/accuracy", "reward", "baseline", "entropy", "skip_divergence"} <= set(shown)
    assert page.locator(".naslab-portrait svg").count() == 1
    assert "failed" not in page.locator(".naslab-status").inner_text()
    assert "step 124 / 124" in page.locator(".naslab-status").inner_text()
    check_the_lit_child(book, page)
    page.locator(".naslab-supernet-card").scroll_into_view_if_needed()
    book.screenshot(f"enas-{'micro' if space == MICRO else 'macro'}")


def check_the_lit_child(book, page):
    """The last child is on the page, once, over the whole supernet, as large as one can read."""
    page.wait_for_selector(".naslab-supernet-card[data-step='124']")
    card = page.locator(".naslab-supernet-card")
    assert "the child of step 124 in the supernet" in card.inner_text()
    assert "judged with shared weights" in card.inner_text()
    assert card.locator("svg .naslab-lit").count() == 1
    ops = card.locator(".naslab-lit [data-op]").evaluate_all("all => all.map(each => each.dataset.op).sort()")
    told, _ = book.ask(
        "sorted(op for _, _, name in [*search.space.graph(search.events[-1].architecture).edges(data='op')] if name "
        "for op in set(name.split(' + '))) or "
        "sorted(op for _, op in search.space.graph(search.events[-1].architecture).nodes(data='op') if op)"
    )
    assert ops == told
    faint = card.locator("svg path").count() - card.locator(".naslab-lit path").count()
    assert faint > card.locator(".naslab-lit path").count()
    box = card.locator("svg").bounding_box()
    bar = page.get_by_role("slider", name="time of the search")
    bar.focus()
    bar.press("Shift+ArrowLeft")
    page.wait_for_selector(".naslab-supernet-card[data-step='114']")
    then, _ = book.ask("next(e.kind for e in search.events if e.step == 114)")
    assert ("judged" in card.inner_text()) == (then == "evaluated")
    bar.press("Escape")
    page.wait_for_selector(".naslab-supernet-card[data-step='124']")
    assert box["width"] > 700
    assert box["height"] > 180
