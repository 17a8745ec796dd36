"""The live view of a one-shot search: training, then evolution, in the page of a person."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

CELL = """
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.NASBench201(channels=4, cells=1)
sizes = dict(epochs=10, batch_size=64, train_portion=0.7, w_lr=0.1, population=12, generations=4, parents=4)
sizes |= dict(crossovers=5, mutations=5, valid_images=300, recalibration_images=128)
search = nl.Search(nl.searchers.SPOS(space, nl.tasks.Digits(), **sizes))
lab = Lab(search)
lab"""


def test_both_phases_are_seen(notebook):
    book = notebook(CELL, "lab.play()")
    book.run_all()
    book.wait_state("finished", timeout=120_000)
    book.wait_step("naslab-fitness", 10 * 15 + 4 * 12)
    page = book.page
    book.expect(page.locator(".naslab-fitness")).to_have_attribute("data-trials", str(4 * 12))
    shown, _ = book.ask("list(lab.view._details.widths)")
    assert {"train/loss", "train/accuracy", "generation", "exhausted"} <= set(shown)
    book.expect(page.locator(".naslab-portrait svg")).to_have_count(1)
    book.expect(page.locator(".naslab-family-card")).to_be_visible()
    book.expect(page.locator(".naslab-status")).to_contain_text("step 198 / 198")
    assert "failed" not in page.locator(".naslab-status").inner_text()
    book.screenshot("one-shot")
