"""The live view of a search with shared weights and a controller: both phases, in the page of a person."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELL = """
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.EnasMacro(layers=6, channels=4)
sizes = dict(epochs=4, batch_size=128, train_portion=0.7, controller_steps=3, children=8, units=16, controller_lr=0.02)
search = nl.Search(nl.searchers.Enas(space, nl.tasks.Digits(), **sizes))
lab = Lab(search)
lab"""


def test_both_phases_are_seen(notebook):
    book = notebook(CELL, "lab.play()")
    book.run_all()
    book.wait_state("finished", timeout=120_000)
    book.wait_step("naslab-fitness", 4 * (7 + 24))
    page = book.page
    assert page.locator(".naslab-fitness").get_attribute("data-trials") == str(4 * 24)
    assert page.locator(".naslab-heat").get_attribute("data-decisions") == str(6 + 15)
    shown, _ = book.ask("list(lab.view._details.widths)")
    assert {"train_loss", "train_accuracy", "reward", "baseline", "entropy", "skip_divergence"} <= set(shown)
    assert page.locator(".naslab-portrait svg").count() == 1
    assert "failed" not in page.locator(".naslab-status").inner_text()
    book.screenshot("enas")
    assert "step 124 / 124" in page.locator(".naslab-status").inner_text()
