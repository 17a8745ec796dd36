"""The race and the cell that is composed by hand, as a person has them."""

import itertools
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


def point_until(book, text):
    """Points at the chart until the tooltip has a text; the whole tooltip then."""
    moves = itertools.count()

    def tooltip():
        book.page.locator(".naslab-race").hover(position={"x": 400 + next(moves) % 2, "y": 150})
        return " ".join(book.page.locator(".naslab-tooltip:visible").all_inner_texts())

    return book.eventually(tooltip, lambda told: text in told)


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
            cell.model.sharedModel.setSource('import time; time.sleep(8)');
            window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2;
            window.jupyterapp.commands.execute('notebook:run-cell'); }"""
    )
    book.page.wait_for_timeout(500)
    book.button("best").click()
    point_until(book, "best so far")
    busy = book.page.locator(".jp-InputPrompt", has_text="[*]")
    assert busy.count() == 1, "the chart turns while a cell keeps the kernel busy"
    book.button("rank").click()
    card = book.page.locator(".naslab-race-card")
    card.get_by_text("(baseline)").wait_for()
    book.expect(card).to_contain_text("<b>local</b> search")  # a name is text
    assert "20 seeds" in point_until(book, "true rank")

    bar = book.page.get_by_role("slider", name="budget of each runner")
    book.strike(bar, "Home", "Shift+ArrowRight", "ArrowRight")
    book.page.wait_for_selector('.naslab-timebar[data-at="12"]')
    book.expect(book.page.locator(".naslab-where")).to_contain_text("at 12 evaluations, of 200")
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
    book.expect(rows.first).to_contain_text(f"{told[1]:.2f}")
    book.button("Submit").click()
    book.page.get_by_text("this cell was submitted before").wait_for()
    book.expect(rows).to_have_count(1)
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
    book.expect(book.page.locator(".naslab-card-of-honesty")).to_have_count(3)  # below the race, and for each protocol
    book.expect(book.page.locator(".js-plotly-plot")).to_have_count(3)
    assert errors.count() == 0
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
