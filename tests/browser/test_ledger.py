"""The interventions of a search on its panel: seen, undone, thought away and written down as a program."""

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(400)]

SEARCH = """
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.DartsCell(nodes=2, channels=2, cells=3)
search = nl.Search(nl.searchers.Darts(space, nl.tasks.Digits(), batch_size=144, epochs=40, seed=0))
lab = Lab(search)
lab.run(3)
lab
"""
EVIL = "<img src=x onerror='window.__pwned=1'>"


def rows(book):
    return book.page.locator(".naslab-ledger-row .naslab-ledger-sentence").all_inner_texts()


def test_what_was_done_is_told_undone_and_written_down(notebook):
    book = notebook(SEARCH, theme="dark", width=1280, height=800)
    book.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    book.run_all()
    book.wait_step("naslab-status", 3, timeout=60_000)
    ledger = book.page.locator(".naslab-deck")
    book.expect(ledger).to_contain_text("no interventions yet")
    undo = ledger.get_by_role("button", name="undo", exact=True)
    book.expect(undo).to_be_disabled()
    height = ledger.bounding_box()["height"]

    book.ask(f"[search.forbid('normal', 2, 'skip_connect'), search.set('w_lr', 0.1, who={EVIL!r})]")
    book.page.get_by_text("no interventions yet, 2 wait for their step").wait_for()
    assert ledger.bounding_box()["height"] == height, "nothing jumps"
    ledger.locator(".naslab-ledger-open").click()
    book.eventually(lambda: rows(book), lambda told: len(told) == 2)
    book.button("Step").click()
    book.wait_step("naslab-status", 4)
    book.page.get_by_text("2 interventions", exact=True).wait_for()
    book.expect(ledger).to_contain_text(EVIL)
    assert book.page.evaluate("() => window.__pwned === undefined")

    ledger.locator('[data-number="1"] .naslab-ledger-back').click()
    book.page.get_by_text("2 interventions, 1 waits for its step").wait_for()
    book.page.get_by_role("button", name="settings").click()
    book.page.locator('.naslab-settings input[aria-label="alpha_lr"]').focus()
    book.page.keyboard.press("Control+z")  # the last that stands: the learning rate
    book.page.get_by_text("2 interventions, 2 wait for their step").wait_for()
    book.page.keyboard.press("Escape")  # closes the drawer
    book.button("Step").click()
    book.wait_step("naslab-status", 5)
    book.page.get_by_text("4 interventions", exact=True).wait_for()
    assert book.ask("search.settings['mask/normal'].value == {}")[0]
    book.expect(book.page.locator('.naslab-ledger-row[data-state="undone"]')).to_have_count(2)
    first = ledger.locator('[data-number="1"] .naslab-ledger-back')
    book.expect(first).to_be_disabled()
    book.expect(first).to_have_attribute("aria-label", re.compile("undone already, by 3"))
    ledger.get_by_role("button", name="redo").click()
    book.page.get_by_text("4 interventions, 1 waits for its step").wait_for()
    book.button("Step").click()
    book.page.get_by_text("5 interventions", exact=True).wait_for()
    book.screenshot("ledger")

    ledger.get_by_role("button", name="copy as script").click()
    book.page.get_by_text("Copied: a Python program").wait_for()
    program = book.page.evaluate("() => navigator.clipboard.readText()")
    assert program == book.ask("search.script()")[0]
    book.screenshot("ledger-program")
    ledger.get_by_role("button", name="close").click()
    book.expect(ledger.locator("textarea")).to_be_hidden()

    ledger.locator('[data-number="2"] .naslab-ledger-without').click()
    book.page.get_by_text("fork-1", exact=True).first.wait_for()
    found = "(lab.forks[0].step, lab.forks[0].settings['mask/normal'].value, lab.forks[0].settings['w_lr'].value < 0.1)"
    book.becomes(f"list({found})", [3, {"2": ["skip_connect"]}, True])
    book.screenshot("ledger-without")
