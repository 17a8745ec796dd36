"""The lab as a person has it: a notebook in JupyterLab, a browser, a mouse."""

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

REAL = """
import naslab as nl
from naslab_widgets import Lab
task = nl.tasks.Digits()
space = nl.spaces.DartsCell(nodes=2, channels=2, cells=3)
search = nl.Search(nl.searchers.Darts(space, task, batch_size=8, epochs=500, seed=0))
lab = Lab(search)
lab
"""
TINY = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "widgets")!r})
from conftest import OPERATIONS, TinySearch, TinySpace
from naslab_widgets import Lab
"""

VIEWS = ("naslab-alpha", "naslab-cell", "naslab-curves", "naslab-status")


def searching(total, seconds):
    """A cell that shows the lab of a search whose steps take so many seconds."""
    return (
        f"{TINY}search = TinySearch(total={total}, before_step=lambda n: time.sleep({seconds}))\nlab = Lab(search)\nlab"
    )


def ours(complaints):
    """What the page complains of that is ours: JupyterLab itself asks for files that a fresh server has not got."""
    return [line for line in complaints if "Failed to load resource" not in line]


def test_a_search_is_watched_and_steered(notebook):
    book = notebook(REAL, "lab.play()")
    book.run_all()
    book.wait_step("naslab-alpha", 3, timeout=60_000)
    book.wait_state("running")
    seconds = [book.ask("6 * 7") for _ in range(5)]
    assert [answer for answer, _ in seconds] == [42] * 5
    assert sorted(elapsed for _, elapsed in seconds)[2] < 2.0  # the kernel is free, on however busy a machine

    book.button("Pause").click()
    book.wait_state("paused")
    reached, _ = book.ask("search.step")
    for view in VIEWS:
        book.wait_step(view, reached)
    book.page.wait_for_timeout(700)  # nothing goes on from there
    assert {book.step_of(view) for view in VIEWS} == {reached}
    assert book.ask("search.step")[0] == reached

    book.page.get_by_role("button", name="settings").click()
    slider = book.page.get_by_role("slider", name="w_lr", exact=True)
    slider.focus()
    for _ in range(5):
        slider.press("ArrowRight")
    place = slider.input_value()
    told = f"abs(search.settings['w_lr'].value / {float(slider.get_attribute('aria-valuetext'))!r} - 1) < 0.01"
    book.becomes(told, True)
    assert slider.input_value() == place, "no key is lost, and no older answer moves it back"
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    count = book.page.evaluate(cells)
    for key in ("b", "d", "d"):
        slider.press(key)
    assert book.page.evaluate(cells) == count, "keys pressed on the panel are not for the notebook"
    slider.press(".")
    book.wait_step("naslab-status", reached + 1)
    book.wait_state("paused")
    book.screenshot("lab-settings")
    slider.press("Escape")
    book.expect(book.page.locator(".naslab-drawer")).to_be_hidden()
    changed, _ = book.ask("[(e.step, e.name, e.old < e.new) for e in search.events if e.kind == 'changed']")
    assert changed == [[reached + 1, "w_lr", True]]
    assert book.ask("search.step")[0] == reached + 1
    book.expect(book.page.locator(".naslab-log")).to_contain_text("w_lr")
    book.page.get_by_role("button", name="step further").click()
    book.screenshot("lab-step-further")
    book.page.get_by_role("menuitem", name="10 steps").click()
    book.wait_step("naslab-status", reached + 11)
    book.wait_state("paused")
    book.page.get_by_role("button", name="freeze alphas").click()
    book.page.wait_for_selector('.naslab-freeze[aria-pressed="true"]')
    book.page.evaluate("() => document.querySelector('.naslab-parts').closest('.naslab').focus()")
    book.page.keyboard.press("Space")
    book.wait_state("running")
    book.page.keyboard.press("Space")
    book.wait_state("paused")

    kept = book.page.locator('.naslab-edge[data-kept="true"]')
    book.expect(kept).to_have_count(8)
    book.page.locator(".naslab-alpha").first.hover(position={"x": 20, "y": 50})
    for text in ("c", "step"):
        book.expect(book.page.locator(".naslab-tooltip:visible")).to_contain_text(text)

    book.screenshot("lab")
    assert ours(book.complaints) == []


def test_a_reloaded_page_shows_everything_again(notebook):
    book = notebook(searching(400, 0.002))
    book.run_all()
    book.wait_step("naslab-status", 0, timeout=60_000)
    book.button("Play").click()
    book.wait_step("naslab-curves", 30)
    book.command("docmanager:save")
    book.page.reload()
    book.ready()
    book.wait_state("finished", timeout=60_000)
    book.wait_step("naslab-alpha", 400)
    book.expect(book.page.locator(".naslab-status")).to_have_count(1)
    assert ours(book.complaints) == []


def test_the_picture_keeps_moving_while_a_cell_computes(notebook):
    book = notebook(searching(10**6, 0.01))
    book.run_all()
    book.wait_step("naslab-status", 0, timeout=60_000)
    book.button("Play").click()
    book.wait_step("naslab-alpha", 20)
    _, seconds = book.ask("(time.sleep(3), search.step)[1]")
    assert seconds >= 3
    shown, behind = book.step_of("naslab-alpha"), book.ask("search.step")[0]
    assert shown > 100
    assert behind - shown < 300
    book.button("Pause").click()
    book.wait_state("paused")


def test_errors_are_shown_and_hostile_names_do_nothing(notebook):
    evil = "<img src=x onerror='window.__pwned=1'>"
    book = notebook(
        TINY
        + f"evil = {evil!r}\n"
        + "space = TinySpace(nodes=2, operations=('none', evil, '</script>', '${1}'), parts=(evil, '</svg>'))\n"
        + "def before(n):\n    if n == 5: raise ValueError(evil)\n"
        + "search = TinySearch(space=space, before_step=before)\n"
        + "lab = Lab(search)\nlab",
        "lab.play()",
    )
    book.run_all()
    book.wait_state("paused", timeout=60_000)
    book.wait_step("naslab-alpha", 4)
    book.expect(book.page.locator(".naslab-alarm")).to_contain_text(evil)
    book.expect(book.page.locator(".naslab-legend")).to_contain_text(evil)
    book.page.locator(".naslab-edge").first.hover(force=True)
    assert book.page.evaluate("() => window.__pwned === undefined")
    assert book.page.locator(".naslab img, .naslab script").count() == 0
    assert ours(book.complaints) == []


@pytest.mark.parametrize(("theme", "width"), [("dark", 1400), ("light", 760)])
def test_it_fits_the_page_in_every_theme(notebook, theme, width):
    book = notebook(TINY + "lab = Lab(TinySearch())\nlab.run(200)\nlab", theme=theme, width=width, height=1100)
    book.run_all()
    book.wait_step("naslab-alpha", 200, timeout=60_000)
    book.page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
    book.screenshot(f"lab-{theme}-{width}")
    overflow = "() => { const r = document.querySelector('.naslab'); return r.scrollWidth - r.clientWidth; }"
    book.eventually(lambda: book.page.evaluate(overflow), lambda pixels: pixels <= 1)
    ground = book.page.evaluate("() => getComputedStyle(document.querySelector('.naslab')).backgroundColor")
    brightness = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(",")[:3]))
    assert (brightness < 300) == (theme == "dark")


def test_one_looks_back_while_it_goes_on(notebook):
    book = notebook(searching(4000, 0.05), width=1280, height=800)
    book.run_all()
    book.wait_step("naslab-status", 0, timeout=60_000)
    book.button("Play").click()
    book.wait_step("naslab-alpha", 60, timeout=60_000)
    slider = book.page.get_by_role("slider", name="w_lr", exact=True)
    slider.focus()
    slider.press("ArrowRight")
    bar = book.page.get_by_role("slider", name="time of the search")
    book.page.wait_for_selector('.naslab-timebar[data-marks="1"]')
    changed, _ = book.ask("[e.step for e in search.events if e.kind == 'changed']")
    bar.focus()
    bar.press("[")
    book.page.wait_for_selector(f'.naslab-timebar[data-at="{changed[0]}"]')
    for key, step in (("Shift+ArrowLeft", -10), ("ArrowLeft", -11), ("ArrowRight", -10), ("Home", None)):
        bar.press(key)
        book.page.wait_for_selector(f'.naslab-timebar[data-at="{1 if step is None else changed[0] + step}"]')
    for view in ("naslab-alpha", "naslab-cell"):
        book.page.wait_for_selector(f'.{view}[data-step="1"]')
    book.expect(book.page.locator(".naslab-moment-badge")).to_contain_text("step 1 of 4,000")
    book.expect(book.page.locator(".naslab-moment-badge")).to_contain_text("still running at")
    book.expect(book.page.locator(".naslab-looking-back")).to_have_count(1)
    book.expect(book.page.locator(".naslab-log")).not_to_contain_text("w_lr")
    book.expect(bar).to_have_attribute("aria-valuetext", "step 1 of 4,000")
    book.strike(bar, "Shift+ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft")  # as they come, drawn or not
    book.page.wait_for_selector('.naslab-timebar[data-at="12"]')
    bar.press("Home")
    book.page.wait_for_selector('.naslab-timebar[data-at="1"]')
    book.page.locator(".naslab-curves").click(position={"x": 100, "y": 60})
    book.page.wait_for_selector('.naslab-timebar:not([data-at="1"])')
    clicked = int(bar.get_attribute("data-at"))
    assert 1 < clicked < book.step_of("naslab-status")
    book.page.wait_for_selector(f'.naslab-cell[data-step="{clicked}"]')
    book.page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
    book.screenshot("lab-looking-back")
    bar.press("Escape")
    book.page.wait_for_selector('.naslab-timebar[data-at="now"]')
    book.expect(book.page.locator(".naslab-moment")).to_be_hidden()
    shown = book.step_of("naslab-alpha")
    book.wait_step("naslab-alpha", shown + 5)
    assert book.ask("len(search.events)")[0] >= shown
    assert ours(book.complaints) == []


SHEET = """
import naslab as nl
from naslab_widgets import Lab
task = nl.tasks.Digits()
space = nl.spaces.DartsCell(nodes=3, channels=4, cells=3)
search = nl.Search(nl.searchers.Darts(space, task, batch_size=8, epochs=500, seed=0))
lab = Lab(search)
lab.run(12)
lab
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_edge_is_looked_into_and_told_what_to_do(notebook, theme):
    book = notebook(SHEET, theme=theme, width=1280, height=800)
    book.run_all()
    book.wait_step("naslab-alpha", 12, timeout=120_000)
    page = book.page
    page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
    sheet = page.locator(".naslab-sheet")
    assert not sheet.is_visible()
    edge = page.locator(".naslab-cell").first.locator('.naslab-edge[data-row="3"]')
    edge.focus()
    page.keyboard.press("Enter")
    book.expect(sheet.locator("h4")).to_have_text(re.compile("^normal, "))
    strip = page.locator(".naslab-strip").bounding_box()
    assert sheet.bounding_box()["y"] >= strip["y"] + strip["height"], "never over the strip"
    page.keyboard.press("ArrowRight")
    page.wait_for_selector('.naslab-sheet[data-edge="4"]')
    assert edge.page.evaluate("() => document.activeElement.dataset.row") == "4"

    line = sheet.locator(".naslab-op", has_text="skip_connect")
    line.get_by_role("button", name="forbid").click()
    page.wait_for_selector('.naslab-op[data-rule="here"][data-pending="true"]')
    handle = sheet.get_by_role("slider", name="nudge sep_conv_3x3")
    handle.focus()
    for _ in range(4):
        handle.press("Shift+ArrowRight")
    book.screenshot(f"sheet-nudge-{theme}")
    handle.press("Enter")
    sheet.locator('.naslab-op[data-pending="true"]', has_text="sep_conv_3x3").wait_for()
    assert book.ask("[w.name for w in search.wished]")[0] == ["mask/normal", "nudge"]
    page.wait_for_function(
        "() => document.querySelector('.naslab-sheet-shapes').textContent.startsWith('reads')", timeout=90_000
    )
    sheet.get_by_role("button", name="gradients").click()
    page.wait_for_function("() => document.querySelector('.naslab-op-pull').textContent.includes('∇')", timeout=90_000)
    sheet.get_by_role("button", name="maps of image").click()
    sheet.get_by_role("img").wait_for(timeout=90_000)
    page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
    book.screenshot(f"sheet-{theme}")
    if theme == "dark":
        return

    chip = page.locator(".naslab-chip", has_text="none")
    chip.click(modifiers=["Shift"])
    page.wait_for_selector('.naslab-chip[data-forbidden="true"][data-pending="true"]')
    book.button("Step").click()
    book.wait_step("naslab-alpha", 13)
    page.wait_for_selector('.naslab-op[data-rule="here"][data-pending="false"]')
    assert book.ask("float(search.events[-1].probabilities['normal'][4, 3])")[0] == 0
    assert book.ask("float(search.events[-1].probabilities['reduce'][0, 0])")[0] == 0

    line = sheet.locator(".naslab-op", has_text="sep_conv_5x5")
    line.get_by_role("button", name="lock").click()
    page.wait_for_selector('.naslab-op[data-rule=""] .naslab-small[aria-pressed="true"]')
    line.get_by_role("button", name="forbid").click(force=True)
    page.wait_for_function("() => document.querySelector('.naslab-sheet-note').textContent.startsWith('an edge keeps')")
    sheet.get_by_role("button", name="close").focus()
    page.keyboard.press("Escape")
    sheet.wait_for(state="hidden")

    page.locator(".naslab-cell").nth(1).locator(".naslab-name:visible").first.click()
    book.expect(sheet.locator("h4")).to_have_text(re.compile("^reduce, "))
    second = page.locator(".naslab-card").nth(1).bounding_box()
    told = sheet.bounding_box()
    assert told["x"] + told["width"] <= second["x"] + 12 or second["y"] > told["y"] + 40, "the edge stays in view"
    for number in (0, 1):
        drop = sheet.get_by_role("button", name="drop this edge")
        page.locator(".naslab-cell").nth(1).locator(f'.naslab-edge[data-row="{number}"]').press("Enter")
        page.wait_for_selector(f'.naslab-sheet[data-part="reduce"][data-edge="{number}"]')
        drop.click()
    page.wait_for_function(
        "() => document.querySelector('.naslab-sheet-note').textContent.includes('nothing would be left')"
    )
    book.screenshot("sheet-second")
    sheet.get_by_role("button", name="close").click()
    page.locator(".naslab-alpha").first.click(position={"x": 20, "y": 50})
    page.wait_for_selector('.naslab-sheet[data-part="normal"][data-edge="0"]')
    assert ours(book.complaints) == []


README = """
import naslab as nl
from naslab_widgets import Lab

task = nl.tasks.FashionMNIST()
space = nl.spaces.DartsCell.laptop()
search = nl.Search(nl.searchers.Darts(space, task, batch_size=16, alpha_lr=0.02, epochs=1, seed=0))
lab = Lab(search)
lab
"""


def test_the_picture_of_the_readme(notebook):
    """`make picture` puts what this leaves behind into docs/."""
    book = notebook(README.strip(), "lab.play()", width=1400, height=1040)
    book.run_all()
    book.wait_step("naslab-alpha", 30, timeout=120_000)
    book.ask("search.set('w_lr', 0.05)")
    book.wait_step("naslab-alpha", 60, timeout=120_000)
    book.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    book.page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")
    book.page.wait_for_timeout(500)
    book.expect(book.page.locator(".naslab-cell svg, svg.naslab-cell")).to_have_count(2)
    book.screenshot("readme")
    book.button("Pause").click()
    assert ours(book.complaints) == []
