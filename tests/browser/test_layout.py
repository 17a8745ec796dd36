"""What a person needs of a panel: one screen, nothing cut or covered, nothing that jumps, and the keyboard."""

from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

DARTS = """
import naslab as nl
from naslab_widgets import Lab
task = nl.tasks.FashionMNIST().subset(320, 100)
search = nl.Search(nl.searchers.Darts(nl.spaces.DartsCell.laptop(), task, batch_size=16, epochs=2, seed=0))
lab = Lab(search)
lab.run(5)
lab
"""
FAILING = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "widgets")!r})
from conftest import TinySearch
from naslab_widgets import Lab
def before(n):
    if n == 9: raise ValueError("the disk is full, " * 12)
search = TinySearch(total=40, before_step=before)
lab = Lab(search)
lab.run(6)
lab
"""

# What reaches out of the panel, texts that are cut and whose whole is nowhere told, controls that lie on one another.
FAULTS = """() => {
  const frame = document.querySelector(".naslab-frame"), whole = frame.getBoundingClientRect(), faults = [];
  const name = (el) => `${el.tagName}.${el.className.baseVal ?? el.className} ${el.textContent.slice(0, 40)}`;
  const inside = (a, b) => a.contains(b) || b.contains(a);
  const controls = [];
  for (const el of frame.querySelectorAll("*")) {
    const r = el.getBoundingClientRect();
    if (r.width <= 1 || r.height <= 1 || (el.closest("svg") && el.tagName !== "svg")) continue;
    if (r.right > whole.right + 1 || r.left < whole.left - 1) faults.push(`reaches out: ${name(el)}`);
    const wide = el.scrollWidth > el.clientWidth + 1 && getComputedStyle(el).overflowX !== "visible";
    const told = el.childElementCount || el.title === el.textContent;
    if (wide && !told) faults.push(`is cut: ${name(el)}`);
    if (el.matches("button, input, select, [role=slider]")) controls.push([el, r]);
  }
  controls.forEach(([a, ra], i) => controls.slice(i + 1).forEach(([b, rb]) => {
    const across = Math.min(ra.right, rb.right) - Math.max(ra.left, rb.left);
    const down = Math.min(ra.bottom, rb.bottom) - Math.max(ra.top, rb.top);
    if (across > 1.5 && down > 1.5 && !inside(a, b)) faults.push(`lie on one another: ${name(a)} and ${name(b)}`);
  }));
  return faults;
}"""
# Everything that Tab must reach, in order.
STOPS = """() => [...document.querySelector(".naslab-frame")
  .querySelectorAll("button, input, select, textarea, summary, a[href], [tabindex]")]
  .filter((el) => el.tabIndex >= 0 && !el.disabled && el.getBoundingClientRect().width > 1)
  .map((el, i) => (el.dataset.stop = i))"""
# What has the focus: its number, its name, and whether that it has the focus can be seen.
FOCUSED = """() => {
  const el = document.activeElement;
  const rings = [...document.querySelectorAll(".naslab-focus-ring")];
  const ring = rings.some((one) => one.getBoundingClientRect().width > 1);
  const css = getComputedStyle(el);
  const name = el.getAttribute("aria-label") || el.labels?.[0]?.innerText || el.innerText || "";
  return [+(el.dataset.stop ?? -1), name.trim(),
    (css.outlineStyle !== "none" && parseFloat(css.outlineWidth) > 0) || ring];
}"""
CELLS = """() => {
  const top = document.querySelector(".naslab-frame").getBoundingClientRect();
  const boxes = [...document.querySelectorAll(".naslab-cell")].map((el) => el.getBoundingClientRect());
  return boxes.map((box) => [box.left - top.left, box.top - top.top, box.width, box.height].map(Math.round));
}"""
INSIDE = """tip => {
  const box = tip.getBoundingClientRect(), frame = tip.closest(".naslab-frame").getBoundingClientRect();
  return box.left >= frame.left - 1 && box.right <= frame.right + 1 && tip.scrollWidth <= tip.clientWidth + 1;
}"""
HEIGHT = "() => document.querySelector('.naslab-frame').getBoundingClientRect().height"


def show(book):
    """Brings the panel into view, and waits until it is laid out and stands still."""
    before = None

    def stands_still():
        nonlocal before
        book.page.wait_for_timeout(400)
        before, last = (book.page.evaluate(CELLS), book.page.evaluate(HEIGHT)), before
        return before == last

    book.page.evaluate("() => document.querySelector('.naslab-frame').scrollIntoView()")
    book.eventually(stands_still, bool)


def theme(book, name):
    book.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", f"JupyterLab {name}"
    )
    book.page.wait_for_selector(f"body[data-jp-theme-light={'true' if name == 'Light' else 'false'}]", state="attached")


def test_the_lab_of_darts_is_one_screen_and_works_by_keyboard(notebook):
    book = notebook(DARTS, width=1280, height=800)
    book.run_all()
    book.wait_step("naslab-cell", 5, timeout=90_000)
    page = book.page
    for look in ("Light", "Dark"):
        theme(book, look)
        show(book)
        # all of it is seen in a window of 1280 x 800 beside the file browser
        book.eventually(lambda: page.evaluate(HEIGHT), lambda height: height <= 680)
        first, second = page.evaluate(CELLS)
        assert first[1] == second[1], "the two cells stand side by side"
        book.eventually(lambda: page.evaluate(FAULTS), lambda faults: faults == [])
        book.screenshot(f"layout-1280-{look.lower()}")

    stops = page.evaluate(STOPS)
    page.locator('[data-stop="0"]').focus()
    reached = {}
    for _ in stops[1:]:
        page.keyboard.press("Tab")
        number, name, seen = page.evaluate(FOCUSED)
        reached[number] = name, seen
    assert sorted(reached) == stops[1:], "Tab goes through all of them"
    assert [number for number, (name, _) in reached.items() if not name] == [], "each says what it is"
    assert [name for name, seen in reached.values() if not seen] == [], "it is seen where the focus is"
    assert len(stops) > 30

    page.get_by_role("button", name="settings").click()
    names = page.locator(".naslab-drawer .naslab-setting-name")
    book.eventually(names.all_inner_texts, {"alpha_weight_decay", "skip_dropout"}.issubset)
    assert names.evaluate_all("all => all.every((one) => one.scrollWidth <= one.clientWidth + 1)"), "in full"
    page.get_by_role("button", name="settings").click()

    canvas = page.locator(".naslab-alpha").last
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 8, "y": 60})
    tip = page.locator(".naslab-tooltip:visible")
    assert tip.evaluate(INSIDE)

    page.set_viewport_size({"width": 960, "height": 540})  # what is left of a window at 200 %
    for look in ("Dark", "Light"):
        theme(book, look)
        show(book)
        book.eventually(lambda: page.evaluate(FAULTS), lambda faults: faults == [])
        book.screenshot(f"layout-960-{look.lower()}")
        bottom = page.locator(".naslab-cell").first.bounding_box()
        play = book.button("Play").bounding_box()
        window = page.locator(".jp-WindowedPanel-outer").first.bounding_box()
        assert play["y"] >= window["y"] - 1
        assert bottom["y"] + bottom["height"] <= window["y"] + window["height"], "the strip and a cell are in view"


def test_nothing_jumps(notebook):
    book = notebook(FAILING, width=1280, height=800)
    book.run_all()
    book.wait_step("naslab-cell", 6, timeout=60_000)
    show(book)
    page = book.page
    before = page.evaluate(CELLS), page.evaluate(HEIGHT)

    def still(what):
        page.wait_for_timeout(400)
        assert (page.evaluate(CELLS), page.evaluate(HEIGHT)) == before, what

    book.ask("search.set('lr', 0.2) if 'lr' in search.settings else search.set(next(iter(search.settings)), 0.2)")
    book.button("Step").click()
    book.wait_step("naslab-cell", 7)
    page.wait_for_function("() => document.querySelector('.naslab-log').childElementCount > 0")
    still("the first line of the log")
    page.locator(".naslab-timebar").press("Home")
    page.wait_for_selector(".naslab-looking-back")
    still("looking back")
    page.locator(".naslab-timebar").press("Escape")
    page.wait_for_selector(".naslab-looking-back", state="detached")
    still("now again")
    book.button("Play").click()
    page.locator(".naslab-alarm", has_text="the disk is full").wait_for()
    book.wait_state("paused")
    book.screenshot("layout-alarm")
    still("an alarm")
    page.get_by_role("button", name="put the alarm away").click()
    page.locator(".naslab-alarm").wait_for(state="hidden")
    still("no alarm any more")
    page.locator(".naslab-facts").evaluate("el => (el.textContent = 'a rate 0.1   ·   '.repeat(30))")
    assert (page.evaluate(CELLS), page.evaluate(HEIGHT)) == before, "a long line of figures"
