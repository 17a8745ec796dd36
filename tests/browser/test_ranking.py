"""The ranking panel in the page of a person: the collapse of a search, seen while it happens."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELL = """
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.NASBench201(channels=2, cells=1)
darts = nl.searchers.Darts(space, nl.tasks.Digits(), order=1, epochs=6, batch_size=64, alpha_lr=0.2, w_lr=0.1)
ranking = nl.LiveRanking(nl.benchmarks.NASBench201(), 30, every=8, images=64, batch_norm="kept", resamples=50)
search = nl.Search(darts, ranking=ranking)
lab = Lab(search)
lab"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_panel_follows_the_search(notebook, theme):
    book = notebook(CELL, "lab.play()", theme=theme, height=1250)
    book.run_all()
    book.wait_state("finished", timeout=150_000)
    steps = book.ask("search.total")[0]
    for view in ("naslab-ranking-figures", "naslab-ranking-derived"):
        book.wait_step(view, steps)
    page = book.page
    tau, found, truth = book.ask(
        "(lab.views[1]._rankings.latest.kendall, lab.views[1]._rankings.change_point, "
        "ranking.known.place(search.best).truth)"
    )[0]
    panel = page.locator(".naslab-ranking")
    book.expect(panel).to_contain_text(f"Kendall's tau {tau[0]:.2f}")
    book.expect(panel).to_contain_text("batch norm: kept")
    derived = page.locator(".naslab-ranking-derived")
    book.eventually(lambda: float(derived.get_attribute("data-truth")), pytest.approx(truth, abs=0.01).__eq__)
    book.expect(derived).to_have_attribute("data-turn", "" if found is None else str(found[0]))
    book.expect(page.locator(".naslab-ranking-scatter")).to_have_attribute("data-dots", "31")

    book.screenshot(f"ranking-{theme}")
    figures = page.locator(".naslab-ranking-figures")
    figures.hover(position={"x": 45, "y": 80})
    tooltip = page.locator(".naslab-ranking .naslab-tooltip")
    book.expect(tooltip).to_contain_text("step 1")
    book.expect(tooltip).to_contain_text("Kendall's tau")
    derived.hover(position={"x": 100, "y": 80})
    book.expect(tooltip).to_contain_text("rank")
    figures.click(position={"x": 130, "y": 80})
    page.wait_for_selector('.naslab-timebar:not([data-at="now"])')
    at = int(page.locator(".naslab-timebar").get_attribute("data-at"))
    assert 1 < at < steps
    for view in (f'.naslab-ranking[data-at="{at}"]', f'.naslab-cell[data-step="{at}"]'):
        page.wait_for_selector(view)
    page.mouse.move(1, 1)
    page.wait_for_function("at => +document.querySelector('.naslab-ranking-figures').dataset.shown <= at", arg=at)
    assert at - 8 < int(figures.get_attribute("data-shown")) <= at, "the last ranking until then"
    book.screenshot(f"ranking-looking-back-{theme}")
    complaints = [line for line in book.complaints if "Failed to load resource" not in line]
    assert complaints == []
