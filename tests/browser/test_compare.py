"""Several searches side by side, as a person has them."""

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

COMMON = """
import naslab as nl
from naslab_widgets import Compare, Lab
S, task = nl.searchers, nl.tasks.Digits()
cells = nl.spaces.DartsCell(nodes=3, channels=4, cells=3)
tiny = nl.spaces.NASBench201(channels=4, cells=1)
fast = {"batch_size": 16, "epochs": 2, "alpha_lr": 0.05, "w_lr": 0.05, "seed": 0}
"""
TWO = """
names = {"<b>DARTS</b>": S.Darts, "GDAS": S.GDAS}
compare = Compare({name: nl.Search(make(cells, task, **fast)) for name, make in names.items()})
compare
"""
FOUR = """
table = nl.benchmarks.NASBench201()
enas = S.Enas(nl.spaces.EnasMacro(layers=3, channels=4), task, epochs=2, batch_size=16, children=4, controller_steps=2)
compare = Compare({
    "DARTS": nl.Search(S.Darts(tiny, task, **fast)),
    "SNAS": nl.Search(S.SNAS(tiny, task, **fast)),
    "ENAS": nl.Search(enas),
    "evolution": nl.Search(S.RegularizedEvolution(table.space, population=10, sample=3), estimator=table, budget=120),
}, axis="share")
compare
"""


def ours(complaints):
    return [line for line in complaints if "Failed to load resource" not in line]


def lane_steps(book):
    return [int(lane.get_attribute("data-step")) for lane in book.page.locator(".naslab-lane").all()]


def lane_steps_of(book):
    """The steps of the lanes when they show the last step of each search, as they do soon after a pause."""
    done = book.ask("[search.step for search in compare.searches.values()]")[0]
    return book.eventually(lambda: lane_steps(book), lambda steps: steps == done)


def await_steps(book, least):
    book.page.wait_for_function(
        "least => [...document.querySelectorAll('.naslab-lane')].every(lane => +lane.dataset.step >= least)",
        arg=least,
        timeout=150_000,
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_two_are_stepped_played_looked_back_at_and_told_apart(notebook, theme):
    book = notebook(COMMON, TWO, theme=theme, height=1250)
    book.run_all()
    book.wait_state("idle", timeout=60_000)
    book.button("Step").click()
    await_steps(book, 1)
    book.wait_state("paused")
    assert book.ask("[search.step for search in compare.searches.values()]")[0] == [1, 1]
    book.button("Play").click()
    await_steps(book, 40)
    book.button("Pause").click()
    book.wait_state("paused")
    steps = lane_steps_of(book)
    assert max(steps) - min(steps) <= 1, "in line"
    differs = book.page.locator(".naslab-lane").first
    counted = int(differs.get_attribute("data-differs"))
    assert counted > 0
    book.expect(differs.locator('.naslab-halo[data-differs="true"]')).to_have_count(counted)
    book.expect(differs.locator(".naslab-differs")).to_contain_text("edges differ from GDAS")
    assert differs.locator("h4").inner_text() == "<b>DARTS</b>", "a name is text"
    charts = book.page.locator(".naslab-overlay").get_attribute("data-charts")
    assert charts.startswith("validation accuracy (%); validation loss (nats); training loss (nats); entropy (nats)")
    book.page.locator(".naslab-compare-view").scroll_into_view_if_needed()
    book.screenshot(f"compare-two-{theme}")

    bar = book.page.get_by_role("slider", name="time of the searches")
    book.strike(bar, "Home", "Shift+ArrowRight", "ArrowRight")  # each goes on from the one before, drawn or not
    book.page.wait_for_selector('.naslab-compare-view[data-at="12"]')
    book.page.wait_for_function("() => +document.querySelector('.naslab-lane').dataset.step <= 12")
    book.screenshot(f"compare-looking-back-{theme}")
    back = lane_steps(book)
    assert all(0 < step <= max(steps) / 2 for step in back)
    assert max(back) - min(back) <= 1, "both are looked back at together"
    book.button("epochs").click()
    book.page.wait_for_selector('.naslab-compare-view[data-axis="epochs"]')
    book.page.wait_for_selector('.naslab-compare-view:not([data-at="now"])')
    assert max(lane_steps(book)) <= 13, "the same moment along another axis"
    before = bar.get_attribute("data-at")
    book.page.locator(".naslab-overlay").click(position={"x": 150, "y": 60})
    place = float(book.eventually(lambda: bar.get_attribute("data-at"), lambda at: at != before))
    assert 0 < place < float(bar.get_attribute("aria-valuemax"))
    book.button("Now").click()
    await_steps(book, min(steps))
    assert ours(book.complaints) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_four_of_different_kinds(notebook, theme):
    book = notebook(COMMON, FOUR, theme=theme, height=1900)
    book.run_all()
    book.wait_state("idle", timeout=60_000)
    book.button("Play").click()
    await_steps(book, 20)
    book.button("Pause").click()
    book.wait_state("paused")
    lanes = book.page.locator(".naslab-lane")
    for place, told in (
        (0, "edges differ from SNAS"),
        (2, "no alphas: the decisions of its space are not operations on edges"),
        (2, "no other search here has cells of this kind"),
        (3, "no alphas: it evaluates candidates one by one"),
        (3, "edges differ from DARTS"),  # its cells are compared all the same
    ):
        book.expect(lanes.nth(place)).to_contain_text(told)
    book.page.locator(".naslab-lane .naslab-picture svg").wait_for()
    book.page.locator(".naslab-compare-view").scroll_into_view_if_needed()
    book.screenshot(f"compare-four-{theme}")
    assert ours(book.complaints) == []
