"""Forks and ways back, as a person makes them in the page."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELL = """
import time
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.DartsCell(nodes=2, channels=2, cells=3)
search = nl.Search(nl.searchers.Darts(space, nl.tasks.Digits(), order=1, batch_size=16, epochs=3, seed=0))
lab = Lab(search)
lab
"""

LOOK = """step => { const panel = [...naslabPanels.values()].find((one) => one.listeners.size);
    panel.at = step; for (const listener of panel.listeners) listener(); }"""


def ours(complaints):
    return [line for line in complaints if "Failed to load resource" not in line]


def test_fork_here_go_back_here_and_side_by_side(notebook):
    book = notebook(CELL, "lab.step(30)")
    page = book.page
    page.set_viewport_size({"width": 1280, "height": 800})
    book.run_all()
    book.wait_step("naslab-status", 30, timeout=90_000)
    book.wait_state("paused")
    back = page.get_by_role("button", name="Go back here…")
    book.expect(back).to_be_disabled()
    assert not page.locator(".naslab-tree").is_visible()

    # Looking back, what going there takes is told; steps are done again only where no state lies in memory.
    book.ask("search._ring.clear()")
    page.evaluate(LOOK, 12)
    told = page.locator(".naslab-branches-told")
    page.wait_for_function("() => /again/.test(document.querySelector('.naslab-branches-told').textContent)")
    assert told.inner_text().startswith("step 12: steps 1 to 12 are done again, in about")

    # A fork with one change, by keyboard: the form has the focus, Escape gives it back.
    form = page.locator("form.naslab-branches-form")
    opener = page.get_by_role("button", name="Fork here…")
    opener.press("Enter")
    book.expect(form.get_by_text("Fork at step 12")).to_be_visible()
    book.expect(form.get_by_label("name")).to_be_focused()
    page.keyboard.press("Escape")
    book.expect(form).to_be_hidden()
    book.expect(opener).to_be_focused()
    opener.press("Enter")
    form.get_by_label("name").fill("<b>hot</b>")
    form.get_by_label("one change").select_option("alpha_lr")
    form.get_by_label("alpha_lr", exact=True).fill("0.2")
    book.screenshot("branches-form")
    form.get_by_label("alpha_lr", exact=True).press("Enter")
    page.wait_for_selector(".naslab-lane >> nth=1", timeout=60_000)
    found, _ = book.ask("[(b.name, b.parted, b.search.settings['alpha_lr'].value) for b in search.lineage]")
    assert [found[1][0], found[1][1]] == ["<b>hot</b>", 12]
    assert found[1][2] == pytest.approx(0.2)
    branches = page.locator(".naslab-branch")
    book.expect(branches).to_have_count(2)
    book.expect(branches.nth(1)).to_have_text("<b>hot</b>")
    assert page.locator(".naslab-branch b").count() == 0

    # In step: the one that is behind catches up.
    for step in (14, 16):
        book.button("Step").click()
        book.becomes("[one.step for one in lab.stage.shown]", [30, step])
    book.screenshot("branches-side-by-side")

    # One alone, by a click; the other added by Control; a third branch by a fork of now.
    branches.nth(1).click()
    page.wait_for_function("() => !document.querySelector('.naslab-lane')", timeout=60_000)
    book.wait_step("naslab-status", 16)
    page.wait_for_selector(".naslab-fork")
    page.get_by_role("button", name="Fork here…").click()
    form.get_by_label("one change").select_option("mask/normal")
    form.get_by_label("mask/normal", exact=True).select_option("skip_connect")
    form.get_by_role("button", name="Fork").click()
    page.wait_for_selector(".naslab-lane >> nth=1", timeout=60_000)
    book.expect(branches).to_have_count(3)
    book.expect(page.locator('.naslab-branch[aria-pressed="true"]')).to_have_text(["<b>hot</b>", "fork-1"])
    branches.nth(0).click(modifiers=["Control"])
    page.wait_for_selector(".naslab-lane >> nth=2", timeout=60_000)
    book.screenshot("branches-three")
    book.becomes("[one.name for one in lab.stage.shown]", ["<b>hot</b>", "fork-1", "search"])
    book.expect(page.locator('.naslab-branch[aria-pressed="true"]')).to_have_count(3)

    # Going back asks, can be cancelled, and leaves the rest as abandoned.
    branches.nth(0).click()
    page.wait_for_function("() => !document.querySelector('.naslab-lane')", timeout=60_000)
    book.ask("search._ring.clear()")
    book.ask(
        "(setattr(type(search.searcher), 'was', type(search.searcher).repeat), "
        "setattr(type(search.searcher), 'repeat', lambda self, logged: (time.sleep(0.3), self.was(logged))[1]))[0]"
    )
    page.evaluate(LOOK, 20)
    page.wait_for_function("() => /^step 20: /.test(document.querySelector('.naslab-branches-told').textContent)")
    back.click()
    book.expect(page.locator(".naslab-branches-form:visible")).to_contain_text(
        "Go back to step 20? Steps 21 to 30 stay in the run as abandoned."
    )
    book.button("Go back").click()
    page.wait_for_function("() => /of 20 steps/.test(document.querySelector('.naslab-branches-told').textContent)")
    book.screenshot("branches-progress")
    book.button("Cancel").click()
    page.wait_for_selector(".naslab-cancel", state="hidden", timeout=30_000)
    book.becomes("search.step", 30)
    book.ask("setattr(type(search.searcher), 'repeat', type(search.searcher).was)")
    page.evaluate(LOOK, 20)
    back.click()
    book.button("Go back").click()
    page.wait_for_function("() => document.querySelectorAll('.naslab-branch').length === 4", timeout=60_000)
    book.becomes("search.step", 20)
    book.expect(page.locator('.naslab-branch[data-kind="left"]')).to_be_disabled()
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_timeout(800)
    page.locator(".naslab-tree").scroll_into_view_if_needed()
    book.screenshot("branches-dark")
    assert ours(book.complaints) == []
