"""The line that says whether a search collapses, as a person has it."""

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

NUDGED = """
import naslab as nl
from naslab_widgets import Lab
space = nl.spaces.NASBench201(channels=4, cells=1)
searcher = nl.searchers.Darts(space, nl.tasks.Digits(), epochs=3, batch_size=32, w_lr=0.1, seed=0)
search = nl.Search(searcher)
lab = Lab(search)
lab
"""
PUSH = (
    '[search.act("nudge", part="cell", row=row, operation="skip_connect", by=1.5) for row in range(6)] and lab.step(2)'
)


def test_a_collapse_is_seen_explained_measured_and_forked(notebook):
    book = notebook(NUDGED, "lab.step(20)")
    book.run_all()
    book.wait_step("naslab-status", 20, timeout=90_000)
    line = book.page.locator(".naslab-watch")
    why, measure, cures = (line.locator(f".naslab-watch-{name}") for name in ("why", "measure", "cures"))
    book.expect(line).to_have_attribute("data-level", "grey")
    book.expect(line).to_contain_text("nothing unusual")
    book.expect(cures).to_be_disabled()

    def below_the_buttons():
        return line.bounding_box()["y"] - book.page.locator(".naslab-deck").bounding_box()["y"]

    before = below_the_buttons()

    book.ask(PUSH.strip())
    book.page.wait_for_selector('.naslab-watch[data-level="red"]', timeout=60_000)
    book.wait_step("naslab-status", 22, timeout=60_000)
    assert below_the_buttons() == before  # nothing jumps
    book.expect(line.locator(".naslab-watch-sentence")).to_have_attribute("title", re.compile("since step 21"))

    why.click()
    line.locator(".naslab-watch-sheet p").first.wait_for()
    sheet = line.locator(".naslab-watch-sheet")
    book.expect(sheet.locator("p")).to_have_count(3)
    assert sheet.locator("a").first.get_attribute("href").startswith("https://arxiv.org/abs/")
    book.screenshot("collapse-why")
    book.page.keyboard.press("Escape")
    sheet.wait_for(state="hidden")
    measure.click()
    book.page.wait_for_function("() => document.querySelectorAll('.naslab-watch-sheet p').length === 4", timeout=60_000)

    cures.focus()
    book.page.keyboard.press("Enter")
    remedies = sheet.locator(".naslab-remedy button")
    remedies.first.wait_for()
    book.eventually(remedies.all_inner_texts, {"stop early", "fewer skips", "weight decay × 3"}.issubset)
    book.screenshot("collapse-remedies")
    assert sheet.bounding_box()["width"] <= book.page.locator(".naslab-deck").bounding_box()["width"]
    sheet.get_by_role("button", name="fewer skips").click()
    sheet.wait_for(state="hidden")
    book.page.wait_for_selector(".naslab-lane >> nth=1", timeout=60_000)
    book.screenshot("collapse-forked")
    book.becomes("[(fork.name, fork.step, fork.run) for fork in lab.forks]", [["fewer skips", 20, None]])
    assert not [text for text in book.complaints if "Failed to load resource" not in text]
