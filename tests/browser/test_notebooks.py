"""The course's notebooks as a class sees them: opened, Run All, and looked at."""

from pathlib import Path

import nbformat
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_darts_runs_from_top_to_bottom_and_leaves_the_kernel_free(notebook):
    book = notebook(document=nbformat.read(NOTEBOOKS / "01_darts.ipynb", as_version=4))
    book.run_all()
    book.wait_step("naslab-alpha", 1, timeout=90_000)
    assert book.ask("search.step > 0")[0], "Run All has not waited for the search"
    book.wait_state("finished", timeout=90_000)
    assert book.ask("search.step == search.total")[0]

    panels = book.page.locator(".naslab-later")
    book.expect(panels).to_have_count(3)
    book.page.wait_for_function(
        "() => [...document.querySelectorAll('.naslab-later')].every(p => !p.querySelector('.naslab-later-state'))",
        timeout=120_000,
    )
    cell, comparison, products = (panels.nth(i) for i in range(3))
    book.expect(cell.locator("svg")).to_have_count(1)
    book.expect(cell).to_contain_text("Genotype(normal=[(")
    book.expect(comparison).to_contain_text("random")
    book.expect(comparison.locator("circle")).to_have_count(3)
    book.eventually(products.inner_text, lambda text: text.count("of the exact product") == 3)

    errors = book.page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")
    assert errors.count() == 0
    comparison.scroll_into_view_if_needed()
    book.screenshot("notebook-01")
