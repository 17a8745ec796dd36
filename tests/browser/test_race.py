"""The race and the cell that is composed by hand, as a person has them."""

from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_race.ipynb"
RACE = """
import naslab as nl
from naslab_widgets import Compose, RaceView
table = nl.benchmarks.NASBench201()
searchers = {"random search": nl.searchers.RandomSearch, "<b>local</b> search": nl.searchers.LocalSearch}
race = nl.runs.Race(searchers, table, seeds=range(20), budget=200)
view = RaceView(race)
view
"""
COMPOSE = """
you = Compose(table, queries=10, seeds=20)
you
"""


def ours(complaints):
    """What the page complains of that is ours: JupyterLab itself asks for files that a fresh server has not got."""
    return [line for line in complaints if "Failed to load resource" not in line]


def test_a_race_is_stepped_played_and_paused_and_a_cell_composed(notebook):
    book = notebook(RACE, COMPOSE)
    book.run_all()
    book.wait_state("idle", timeout=60_000)
    book.button("Step").click()
    book.wait_step("naslab-race", 40)
    book.wait_state("paused")
    assert book.ask("race.step")[0] == 40, "one evaluation of every runner"
    book.button("Play").click()
    book.wait_step("naslab-race", 8000)
    book.wait_state("finished")
    book.button("rank").click()
    book.page.locator('.naslab-choice button[aria-pressed="true"]', has_text="rank").wait_for()
    book.page.evaluate(
        """() => { const cell = window.jupyterapp.shell.currentWidget.content.widgets.at(-1);
            cell.model.sharedModel.setSource('import time; time.sleep(6)');
            window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2;
            window.jupyterapp.commands.execute('notebook:run-cell'); }"""
    )
    book.page.wait_for_timeout(500)
    book.button("best").click()
    for nudge in range(20):
        book.page.locator(".naslab-race").hover(position={"x": 400 + nudge % 2, "y": 150})
        if "best so far" in " ".join(book.page.locator(".naslab-tooltip").all_inner_texts()):
            break
        book.page.wait_for_timeout(100)
    assert nudge < 19, "the chart turns while a cell keeps the kernel busy"
    book.button("rank").click()
    card = book.page.locator(".naslab-race-card")
    card.get_by_text("(baseline)").wait_for()
    assert "<b>local</b> search" in card.inner_text(), "a name is text"
    for nudge in range(50):  # until the page has heard of the other axis
        book.page.locator(".naslab-race").hover(position={"x": 400 + nudge % 2, "y": 150})
        if "true rank" in book.page.locator(".naslab-tooltip:visible").first.inner_text():
            break
        book.page.wait_for_timeout(100)
    assert "true rank" in book.page.locator(".naslab-tooltip:visible").first.inner_text()
    assert "20 seeds" in book.page.locator(".naslab-tooltip:visible").first.inner_text()

    bar = book.page.get_by_role("slider", name="budget of each runner")
    bar.focus()
    for key in ("Home", "Shift+ArrowRight", "ArrowRight"):
        bar.press(key)
    book.page.wait_for_selector('.naslab-timebar[data-at="12"]')
    assert "at 12 evaluations, of 200" in book.page.locator(".naslab-where").inner_text()
    book.page.locator(".naslab-race").click(position={"x": 700, "y": 150})
    book.page.wait_for_selector('.naslab-timebar:not([data-at="12"])')
    assert 12 < int(bar.get_attribute("data-at")) < 200
    book.screenshot("race-looking-back")
    bar.press("Escape")
    book.page.wait_for_selector('.naslab-timebar[data-at="now"]')

    for edge in range(6):
        book.page.locator(".naslab-compose .naslab-name").nth(edge).click()
        book.button("nor_conv_3x3").click()
    book.page.wait_for_function(
        "() => [...document.querySelectorAll('.naslab-compose .naslab-name text')]"
        ".every(t => t.textContent === 'nor_conv_3x3')"
    )
    book.button("Submit").click()
    rows = book.page.locator(".naslab-scores tbody tr")
    rows.first.wait_for()
    told, _ = book.ask("[you.best.rank, you.best.worth, table.rank(you.architecture)]")
    assert told[0] == told[2]
    assert f"{told[1]:.2f}" in rows.first.inner_text()
    book.button("Submit").click()
    book.page.get_by_text("you know that cell already").wait_for()
    assert rows.count() == 1
    book.page.wait_for_selector('.naslab-duel[data-machine="10"]')
    book.screenshot("race")
    assert ours(book.complaints) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_notebook_runs_from_top_to_bottom(notebook, theme):
    book = notebook(document=nbformat.read(NOTEBOOK, as_version=4), theme=theme)
    book.run_all()
    errors = book.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")
    book.page.wait_for_selector('.naslab-status[data-state="finished"]', timeout=90_000)
    book.page.wait_for_selector(".naslab-study .js-plotly-plot", timeout=90_000)
    book.page.wait_for_selector('.naslab-duel[data-machine="30"]', timeout=90_000)
    assert book.page.locator(".naslab-card-of-honesty").count() == 3, "below the race, and one for each protocol"
    assert errors.count() == 0
    assert book.page.locator(".js-plotly-plot").count() == 3
    study = book.page.locator(".naslab-study")
    study.scroll_into_view_if_needed()
    ground = study.locator(".nsewdrag").first
    ground.hover()
    study.locator(".hoverlayer .hovertext").first.wait_for(state="attached", timeout=20_000)
    ground.click()
    book.page.wait_for_selector(".naslab-study-cell svg", timeout=20_000)
    book.page.locator(".naslab-compose").scroll_into_view_if_needed()
    book.screenshot(f"notebook-04-{theme}")
    assert ours(book.complaints) == []
