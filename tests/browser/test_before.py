"""Before the run: what an idle panel foretells, and learning rates to click."""

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

IDLE = """
from functools import partial
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.NASBench201(channels=2, cells=1)
search = nl.Search(nl.searchers.Darts(space, nl.tasks.Digits(), batch_size=64, epochs=20, seed=0))
search.finding_rates = partial(search.finding_rates, steps=24)  # fewer, for the test's sake
lab = Lab(search)
lab
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_idle_panel_foretells_and_a_click_takes_a_rate(notebook, theme):
    book = notebook(IDLE, width=1280, height=800, theme=theme)
    book.run_all()
    page = book.page
    line = page.locator(".naslab-forecast")
    line.wait_for(timeout=60_000)
    page.wait_for_function(
        "() => /220 steps, about .+ of .+ thread/.test(document.querySelector('.naslab-forecast').textContent)",
        timeout=60_000,
    )
    if theme == "dark":  # the rest is the same
        page.get_by_role("button", name="Find rates").click()
        page.wait_for_selector(".naslab-rate-picture[data-ended]:not([data-ended=''])", timeout=120_000)
        book.screenshot("before-dark")
        return
    assert book.ask("search.step")[0] == 0
    page.get_by_role("button", name="Find rates").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.naslab-rate-picture')].filter((one) => one.dataset.ended).length === 2",
        timeout=120_000,
    )
    pictures = page.locator(".naslab-rate-picture")
    weights = pictures.first
    weights.hover(position={"x": 150, "y": 60})
    tooltip = page.locator(".naslab-deck .naslab-tooltip")
    book.expect(tooltip.locator(".naslab-strong")).to_have_text(re.compile("^w_lr "))
    book.screenshot("before-light")
    told = float(tooltip.locator(".naslab-strong").inner_text().split()[1])
    weights.click(position={"x": 150, "y": 60})
    page.wait_for_function(
        "told => document.querySelector('.naslab-rate-force').textContent.includes(told)", arg=f"{told:g}"[:4]
    )
    taken = book.ask("search.settings['w_lr'].value")[0]
    assert taken == pytest.approx(told, rel=0.06), "as it was told, to two digits"
    # by keys: the next rate, and Enter
    weights.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    book.eventually(lambda: book.ask("search.settings['w_lr'].value")[0], lambda value: value != taken)
    assert page.locator(".jp-Notebook .jp-Cell").count() == 2, "no key is the notebook's"
    book.button("Play").click()
    page.locator(".naslab-before").wait_for(state="hidden", timeout=20_000)
    book.wait_state("running")
    book.button("Pause").click()
    book.wait_state("paused")
    assert page.locator(".naslab-before").is_hidden()
    assert not [line for line in book.complaints if "Failed to load resource" not in line]
