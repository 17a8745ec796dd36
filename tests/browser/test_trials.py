"""The view of a search of trials as a person has it: dots, hurdles, families, decisions, and a table to click on."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELL = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "widgets")!r})
import naslab as nl
from naslab_widgets import Lab
from trials import searching
"""


def ours(complaints):
    """What the page complains of that is ours: JupyterLab itself asks for files that a fresh server has not got."""
    return [line for line in complaints if "Failed to load resource" not in line]


def data(book, view, name):
    return book.page.locator(f".{view}").first.get_attribute(f"data-{name}")


def click_trial(book, number):
    """Click on a dot of the fitness panel: where it is, the canvas says by its own scale."""
    canvas = book.page.locator(".naslab-fitness")
    box = canvas.bounding_box()
    step = int(book.ask(f"next(e.step for e in search.events if e.kind == 'evaluated' and e.number == {number})")[0])
    last = int(data(book, "naslab-fitness", "step"))
    x = 52 + (box["width"] - 52 - 12) * (step - 0.5) / last
    for y in range(8, int(box["height"]) - 30, 3):  # down the line of that step, until the pointer is on it
        canvas.hover(position={"x": x, "y": y})
        tooltip = book.page.locator(".naslab-tooltip:visible")
        if tooltip.is_visible() and tooltip.inner_text().startswith(
            (f"evaluation {number}\n", f"evaluation {number}:")
        ):
            canvas.click(position={"x": x, "y": y})
            return
    pytest.fail(f"no dot of evaluation {number} at {x:.0f} pixels")


def test_a_search_is_watched_and_a_click_shows_where_a_candidate_comes_from(notebook):
    book = notebook(CELL + "search = searching(budget=250, seconds=0.004)\nlab = Lab(search)\nlab", "lab.play()")
    book.run_all()
    book.wait_step("naslab-fitness", 3, timeout=90_000)
    book.wait_state("finished", timeout=90_000)
    book.wait_step("naslab-fitness", 250)
    book.wait_step("naslab-family", 250)
    book.expect(book.page.locator(".naslab-fitness")).to_have_attribute("data-trials", "250")
    told, _ = book.ask("[len(search.events[-1].details['hurdles']), lab.view._table.failed]")
    assert int(data(book, "naslab-fitness", "hurdles")) == told[0] == 2
    book.expect(book.page.locator(".naslab-status")).to_contain_text(f"{told[1]} failed")
    assert int(data(book, "naslab-fitness", "stopped")) > 5
    assert int(data(book, "naslab-heat", "decisions")) == 7
    assert book.page.locator(".naslab-fitness-card .naslab-legend").inner_text().split() == [
        *("random", "mutation", "promotion", "hurdle", "×", "failed", "best", "so", "far")
    ]

    # without a click the best is shown
    best, _ = book.ask("int(lab.view._table.rows[lab.view._table.best, 1])")
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{best}"]')
    book.expect(book.page.locator(".naslab-portrait .naslab-picture svg circle")).to_have_count(4)

    line = "[e.number for e in search.events if e.kind == 'evaluated' and e.parents and e.fitness is not None]"
    number = book.ask(f"{line}[-3]")[0]
    click_trial(book, number)
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{number}"]')
    rows, _ = book.ask(f"[int(lab.view._table.rows[p, 1]) for p in lab.view._table.ancestry({number})]")
    assert len(rows) > 3
    book.page.wait_for_function(
        "line => document.querySelector('.naslab-fitness').dataset.ancestry === line", arg=" ".join(map(str, rows))
    )
    parent, _ = book.ask(f"next(e.parents[0] for e in search.events if getattr(e, 'number', 0) == {number})")
    for fact in (f"evaluation {number}", "of 15,625", "parameters"):
        book.expect(book.page.locator(".naslab-portrait")).to_contain_text(fact)
    book.expect(book.page.locator(f'.naslab-trials-table tr[data-number="{number}"].naslab-chosen')).to_have_count(1)
    sheet = book.page.locator(f'.naslab-candidate[data-candidate="{number}"]')
    fate, _ = book.ask(f"nl.analysis.candidate(search.events, {number}).fate")
    book.expect(sheet).to_contain_text(fate)
    assert sheet.get_by_role("button", name="kill").count() == 0, "this searcher has no such act"
    book.screenshot("trials-chosen")
    again = "e.kind == 'evaluated' and e.origin == 'promotion' and e.fitness is not None"
    trained, _ = book.ask(f"next(e.number for e in reversed(search.events) if {again})")
    click_trial(book, trained)
    curve = book.page.locator(".naslab-candidate .naslab-training-line")
    curve.wait_for()
    book.eventually(lambda: curve.get_attribute("points").split(), lambda points: len(points) >= 2)
    curve.scroll_into_view_if_needed()
    book.screenshot("trials-candidate-curve")
    click_trial(book, number)
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{number}"]')

    book.page.locator(".naslab-portrait .naslab-link", has_text=str(parent)).first.click()
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{parent}"]')
    book.page.get_by_role("button", name="back to the best").click()
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{best}"]')

    # one looks back to an evaluation: the best and the table of that moment
    bar = book.page.get_by_role("slider", name="time of the search")
    book.strike(bar, "Home", "Shift+ArrowRight", "Shift+ArrowRight")
    book.page.wait_for_selector('.naslab-trials[data-at="21"]')
    then, _ = book.ask("int(lab.view._table.rows[lab.view._table.best_until(21), 1])")
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{then}"]')
    book.page.wait_for_function("() => document.querySelectorAll('.naslab-trials-table tbody tr').length === 21")
    book.page.locator(".naslab-deck").scroll_into_view_if_needed()
    book.screenshot("trials-looking-back")
    book.page.locator(".naslab-fitness").click(position={"x": 300, "y": 4})
    book.page.wait_for_selector('.naslab-timebar:not([data-at="21"])')
    clicked = int(bar.get_attribute("data-at"))
    assert 21 < clicked < 250
    bar.press("Escape")
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{best}"]')
    assert ours(book.complaints) == []


TENDED = """
table = nl.benchmarks.NASBench201("cifar10")
evolution = nl.searchers.RegularizedEvolution(table.space, seed=1, population=6, sample=3)
search = nl.Search(evolution, estimator=table, budget=60)
lab = Lab(search)
lab.run(25)
lab
"""


def test_a_hand_tends_the_population_and_proposes_a_candidate(notebook):
    book = notebook(CELL + TENDED, theme="dark", width=1280, height=800)
    book.run_all()
    book.wait_step("naslab-fitness", 25, timeout=90_000)
    (number, other), _ = book.ask("[member.number for member in search.searcher.sampler.population[1:3]]")
    book.page.locator(f'.naslab-trials-table tr[data-number="{number}"]').click()
    sheet = book.page.locator(f'.naslab-candidate[data-candidate="{number}"]')
    sheet.get_by_role("button", name="kill").click()
    sheet.locator('[data-pending="true"]', has_text="kill").click()  # taken back
    sheet.locator('[data-pending="false"]', has_text="kill").wait_for()
    assert book.ask("search.wished")[0] == []
    sheet.get_by_role("button", name="kill").click()
    sheet.get_by_role("button", name="propose another").click()
    field = sheet.locator("textarea")
    begun = field.input_value()
    assert '"cell/1/from_0"' in begun
    evil = "<img src=x onerror='window.__pwned=1'>"
    field.fill(f'["{evil}"]')
    sheet.get_by_role("button", name="propose", exact=True).click()
    refused = sheet.locator(".naslab-refused")
    book.expect(refused).to_contain_text(evil)
    assert field.input_value() == f'["{evil}"]', "what was refused can be mended"
    book.page.evaluate("() => document.querySelector('.naslab-portrait').scrollIntoView()")
    book.screenshot("trials-candidate-refused")
    field.fill(begun)
    field.press("Control+Enter")
    field.wait_for(state="hidden")
    book.expect(refused).to_be_hidden()
    book.expect(sheet.locator(".naslab-waits")).to_have_count(1)
    book.page.locator(f'.naslab-trials-table tr[data-number="{other}"]').click()
    sheet = book.page.locator(f'.naslab-candidate[data-candidate="{other}"]')
    sheet.get_by_role("button", name="protect").click()
    sheet.locator('[data-pending="true"]', has_text="protect").wait_for()
    book.screenshot("trials-candidate-pending")
    book.ask("lab.run(1)")
    book.page.wait_for_selector(".naslab-tend >> text=release")
    told, _ = book.ask("[search.events[-1].origin, *(e.name for e in search.events if e.kind == 'acted')]")
    assert told == ["added", "kill", "add", "protect"]
    book.page.locator(f'.naslab-trials-table tr[data-number="{number}"]').click()
    book.page.wait_for_selector(".naslab-tend >> text=bring back")
    assert book.page.evaluate("() => window.__pwned === undefined")
    assert ours(book.complaints) == []


def column(book, name):
    """The texts of a column of the table, from top to bottom."""
    return book.page.evaluate(
        """name => { const table = document.querySelector('.naslab-trials-table');
            const at = [...table.querySelectorAll('th')].findIndex(th => th.innerText.replace(/ [▾▴]/, '') === name);
            return [...table.querySelectorAll('tbody tr')].map(tr => tr.children[at].innerText); }""",
        name,
    )


def test_the_table_sorts_and_a_reloaded_page_shows_everything_again(notebook):
    book = notebook(CELL + "search = searching(budget=300)\nlab = Lab(search)\nlab.run()\nlab")
    book.run_all()
    book.wait_step("naslab-fitness", 300, timeout=90_000)
    book.page.wait_for_selector(".naslab-trials-table tbody tr")
    header = book.page.locator(".naslab-trials-table th button")
    numbers = book.eventually(lambda: [int(text) for text in column(book, "evaluation")], len)
    assert numbers == sorted(numbers, reverse=True)
    header.get_by_text("fitness").click()
    shown = [float(text) for text in column(book, "fitness") if text != "–"]
    assert shown == sorted(shown, reverse=True)
    best, _ = book.ask(
        "[round(float(f), 2) for f in sorted((e.fitness or 0 for e in search.events), reverse=True)[:100]]"
    )
    assert [round(value, 2) for value in shown[:100]] == pytest.approx(best, abs=0.011)
    assert column(book, "fitness")[-1] == "–", "what has none stands at the end"
    header.get_by_text("fitness").click()
    assert float(column(book, "fitness")[0]) == min(shown)
    header.get_by_text("true rank").click()
    ranks = [int(text.replace(",", "")) for text in column(book, "true rank")]
    assert ranks == sorted(ranks)

    line = book.page.locator(".naslab-trials-table tbody tr").nth(4)
    number = line.get_attribute("data-number")
    line.click()
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{number}"]')
    book.command("docmanager:save")
    book.page.reload()
    book.ready()
    book.wait_state("finished", timeout=60_000)
    book.wait_step("naslab-fitness", 300)
    book.page.wait_for_selector(f'.naslab-portrait[data-number="{number}"]')
    book.expect(book.page.locator(".naslab-trials")).to_have_attribute("data-chosen", number)
    book.expect(book.page.locator(".naslab-fitness")).to_have_attribute("data-trials", "300")
    book.expect(book.page.locator(".naslab-status")).to_have_count(1)
    assert ours(book.complaints) == []


def test_a_row_can_be_clicked_and_a_header_keeps_the_focus_while_trials_come(notebook):
    book = notebook(CELL + "search = searching(budget=5000, seconds=0.02)\nlab = Lab(search)\nlab", "lab.play()")
    book.run_all()
    book.wait_step("naslab-fitness", 5, timeout=90_000)
    page = book.page
    header = page.locator(".naslab-trials-table th button", has_text="fitness")
    header.focus()
    page.keyboard.press("Enter")
    book.expect(page.locator(".naslab-trials-table th", has_text="fitness")).to_have_attribute(
        "aria-sort", "descending"
    )
    book.expect(header).to_be_focused()

    line = page.locator(".naslab-trials-table tbody tr").first
    line.scroll_into_view_if_needed()
    line.hover()
    page.mouse.down()
    number = page.locator(".naslab-trials-table tr:hover").get_attribute("data-number")
    book.wait_step("naslab-fitness", book.step_of("naslab-fitness") + 100)  # longer than from one table to the next
    row = page.locator(f'.naslab-trials-table tr[data-number="{number}"]')
    row.hover()  # the pictures above it may have grown meanwhile
    page.mouse.up()
    page.wait_for_selector(f'.naslab-portrait[data-number="{number}"]')
    page.wait_for_selector(f'.naslab-trials[data-chosen="{number}"]')
    book.expect(header).not_to_be_focused()  # a press elsewhere takes it
    header.focus()
    book.wait_step("naslab-fitness", book.step_of("naslab-fitness") + 100)
    book.expect(header).to_be_focused()
    assert ours(book.complaints) == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1600), ("dark", 900)])
def test_it_fits_the_page_in_every_theme(notebook, theme, width):
    book = notebook(
        CELL + "search = searching()\nlab = Lab(search)\nlab.run()\nlab", theme=theme, width=width, height=2000
    )
    book.run_all()
    book.wait_step("naslab-heat", 390, timeout=90_000)
    book.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    book.page.locator(".naslab-trials-table tbody tr").nth(3).click()
    book.page.wait_for_timeout(800)
    book.page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
    book.screenshot(f"trials-{theme}-{width}")
    overflow = "() => { const r = document.querySelector('.naslab'); return r.scrollWidth - r.clientWidth; }"
    book.eventually(lambda: book.page.evaluate(overflow), lambda pixels: pixels <= 1)
    ground = book.page.evaluate("() => getComputedStyle(document.querySelector('.naslab')).backgroundColor")
    brightness = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(",")[:3]))
    assert (brightness < 300) == (theme == "dark")
    book.page.locator(".naslab-fitness-card select").select_option("regret")
    book.page.wait_for_timeout(300)
    book.screenshot(f"trials-regret-{theme}")
    cards = book.page.evaluate(
        "() => [...document.querySelectorAll('.naslab-card')].filter(c => c.offsetHeight).map(c => "
        "{ const r = c.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"
    )
    assert len(cards) == 6
    for i, (left, top, right, bottom) in enumerate(cards):
        for other in cards[i + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top, "cards overlap"


PLAIN = """
table = nl.benchmarks.NASBench201("cifar10")
search = nl.Search(nl.searchers.RegularizedEvolution(table.space, seed=0), estimator=table, budget=100_000)
lab = Lab(search)
lab
"""


def test_a_hundred_thousand_candidates_stay_smooth(notebook):
    book = notebook(CELL + PLAIN, "lab.play()")
    book.run_all()
    book.wait_step("naslab-fitness", 1000, timeout=90_000)
    book.page.evaluate(
        """() => { window.__gaps = []; let last = performance.now();
            const tick = () => {
                const now = performance.now();
                window.__gaps.push(now - last);
                last = now;
                requestAnimationFrame(tick);
            };
            requestAnimationFrame(tick); }"""
    )
    book.wait_state("finished", timeout=180_000)
    book.wait_step("naslab-fitness", 100_000)
    gaps = sorted(book.page.evaluate("() => window.__gaps"))
    print(json.dumps({"frames": len(gaps), "median": gaps[len(gaps) // 2], "p99": gaps[int(len(gaps) * 0.99)]}))
    assert gaps[int(len(gaps) * 0.95)] < 1000
    assert int(data(book, "naslab-fitness", "trials")) < 4500
    hidden = [card.is_visible() for card in book.page.locator(".naslab-figures-card, .naslab-decisions-card").all()]
    assert hidden == [False, False]
    book.screenshot("trials-long")
    assert ours(book.complaints) == []


def test_hostile_names_do_nothing(notebook):
    evil = "<img src=x onerror='window.__pwned=1'>"
    book = notebook(
        CELL
        + f"evil = {evil!r}\n"
        + "import trials\n"
        + "from naslab.searchers import Suggestion\n"
        + "class Hostile(trials.EveryDetail):\n"
        + "    def propose(self):\n        return super().propose()._replace(origin=evil)\n"
        + "    @property\n    def diagnostics(self):\n        return {evil: 1.0, 'q/' + evil: [1.0, 2.0]}\n"
        + "class Failing(trials.Curves):\n"
        + "    def train(self, a, **more):\n        raise ValueError(evil)\n"
        + "table = nl.benchmarks.NASBench201('cifar10')\n"
        + "search = nl.Search(Hostile(table.space), estimator=Failing(table), budget=5)\n"
        + "lab = Lab(search)\nlab.run()\nlab"
    )
    book.run_all()
    book.wait_step("naslab-fitness", 5, timeout=90_000)
    book.page.locator(".naslab-trials-table tbody tr").nth(2).click()
    book.page.wait_for_selector('.naslab-portrait[data-number="3"]')
    book.expect(book.page.locator(".naslab-portrait")).to_contain_text(evil)
    book.expect(book.page.locator(".naslab-legend")).to_contain_text(evil)
    assert book.page.evaluate("() => window.__pwned === undefined")
    assert book.page.locator(".naslab img, .naslab script").count() == 0
    assert ours(book.complaints) == []
