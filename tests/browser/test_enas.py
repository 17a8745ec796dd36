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
    book.expect(page.locator(".naslab-fitness")).to_have_attribute("data-trials", str(4 * 24))
    book.expect(page.locator(".naslab-heat")).to_have_attribute("data-decisions", str(decisions))
    shown, _ = book.ask("list(lab.view._details.widths)")
    assert {"train/loss", "train/accuracy", "reward", "baseline", "entropy", "skip_divergence"} <= set(shown)
    book.expect(page.locator(".naslab-portrait svg")).to_have_count(1)
    book.expect(page.locator(".naslab-status")).to_contain_text("step 124 / 124")
    assert "failed" not in page.locator(".naslab-status").inner_text()
    check_the_lit_child(book, page)
    check_the_decision(book, page, "chain/4/from_2" if space == MACRO else "normal/1/op_0", space == MACRO)
    page.locator(".naslab-supernet-card").scroll_into_view_if_needed()
    book.screenshot(f"enas-{'micro' if space == MICRO else 'macro'}")


def check_the_decision(book, page, name, macro):
    """A decision is opened by keys and by a click, read, and closed by Esc."""
    page.set_viewport_size({"width": 1280, "height": 800})
    rings = page.locator(".naslab-heat-ring")
    rings.first.wait_for(state="attached")
    assert [ring for ring in rings.evaluate_all("all => all.map(one => one.tabIndex)") if ring == 0] == [0]
    first, ring = rings.first, page.locator(f".naslab-heat-ring[data-decision='{name}']")
    sheet, heat = page.locator(".naslab-decision"), page.locator(".naslab-heat")
    first.focus()
    first.press("ArrowDown")
    second = page.evaluate("document.activeElement.dataset.decision")
    page.keyboard.press("Enter")
    page.wait_for_selector(f".naslab-decision[data-decision='{second}']")
    page.keyboard.press("Escape")
    book.expect(sheet).to_be_hidden()
    assert page.evaluate("document.activeElement.dataset.decision") == second
    ring.scroll_into_view_if_needed()
    (box, on) = (where.bounding_box() for where in (ring, heat))
    heat.click(position={"x": box["x"] - on["x"] + 60, "y": box["y"] - on["y"] + 20})
    page.wait_for_selector(f".naslab-decision[data-decision='{name}'][data-step='124']")
    last, _ = book.ask(f"[float(p) for p in search.events[-1].probabilities['{name}']]")
    shown = sheet.locator("tr").all_inner_texts()
    assert len(shown) == len(last) == sheet.locator(".naslab-plot-line").count() - 1
    assert all(f"{p:.3f}" in text for p, text in zip(last, shown, strict=True))
    assert "% of uniform" in sheet.inner_text()
    if macro:
        assert "layer 4 reads 2" in sheet.inner_text()
        assert [text.split()[0] for text in shown] == ["no", "yes"]
    assert page.locator(".naslab-cursor-at, [data-at]:not([data-at='now'])").count() == 0, (
        "names lead to no other moment"
    )
    sheet.scroll_into_view_if_needed()
    book.screenshot(f"decision-{'macro' if macro else 'micro'}")
    sheet.get_by_role("button", name="close").press("Escape")
    book.expect(sheet).to_be_hidden()
    page.set_viewport_size({"width": 1400, "height": 1000})


def check_the_lit_child(book, page):
    """The last child is on the page, once, over the whole supernet, as large as one can read."""
    page.wait_for_selector(".naslab-supernet-card[data-step='124']")
    card = page.locator(".naslab-supernet-card")
    book.expect(card).to_contain_text("the child of step 124 in the supernet")
    book.expect(card).to_contain_text("judged with shared weights")
    book.expect(card.locator("svg .naslab-lit")).to_have_count(1)
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
    book.eventually(card.inner_text, lambda told: ("judged" in told) == (then == "evaluated"))
    bar.press("Escape")
    page.wait_for_selector(".naslab-supernet-card[data-step='124']")
    assert box["width"] > 700
    assert box["height"] > 180
