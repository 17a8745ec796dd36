"""What a notebook shows is true: without its kernel, with a dead one, in a file that nobody opened a page for."""

import os
import shutil
import signal
import time
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbconvert.preprocessors import ExecutePreprocessor

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(240)]

TINY = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parents[1] / "widgets")!r})
from conftest import TinySearch
from naslab_widgets import Compare, Lab
"""
LAB = f"{TINY}search = TinySearch(total=40)\nlab = Lab(search)\nlab"
THEN = "await lab.on_finish(lambda: (lab.picture(), 'a line of words'))"
RUN = """
import naslab as nl
from naslab_widgets import Lab
table = nl.benchmarks.NASBench201()
evolution = nl.searchers.RegularizedEvolution(table.space, population=10, sample=3, seed=0)
search = nl.Search(evolution, estimator=table, budget=10**6, run=nl.runs.fresh("runs/truth"))
lab = Lab(search)
lab
"""
VIEW = "application/vnd.jupyter.widget-view+json"


def ours(complaints):
    """What the page complains of that is ours: JupyterLab itself asks for files that a fresh server has not got."""
    return [line for line in complaints if "Failed to load resource" not in line]


DRAWN = "[...document.querySelectorAll('.naslab-still img')].filter(i => i.naturalWidth && i.offsetHeight).length"


def drawn(page, count):
    """Waits until so many pictures stand in the outputs, and are there to be seen."""
    page.wait_for_function(f"count => {DRAWN} === count", arg=count, timeout=30_000)


def gives_way(page):
    """The pictures of what is there live are taken out of the page, soon after each is renewed."""
    drawn(page, 0)


def stored(path):
    return [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]


def open_again(book, address, token, name):
    book.page.goto(f"{address}/lab/tree/{name}?token={token}&reset")
    book.ready()


def test_a_notebook_that_is_opened_without_its_kernel_shows_its_last_moment(notebook, jupyter, chromium):
    address, token, folder = jupyter
    book = notebook(LAB, "lab.play()", THEN)
    page = book.page
    book.run_all()
    book.wait_state("finished", timeout=60_000)
    page.locator(".naslab-later", has_text="a line of words").wait_for()
    page.get_by_text("not saved yet").wait_for()
    gives_way(page)

    page.reload()  # before it was saved: the outputs are lost, and what to type was said
    book.ready()
    assert page.locator(".naslab-status").count() == 0
    book.ask("0")
    page.evaluate(
        """async () => {
            const panel = window.jupyterapp.shell.currentWidget, last = panel.content.widgets.length - 1;
            panel.content.widgets[last].model.sharedModel.setSource('Lab.all()');
            panel.content.activeCellIndex = last;
            await window.jupyterapp.commands.execute('notebook:run-cell');
        }"""
    )
    book.wait_state("finished")
    page.get_by_role("button", name="save the notebook").click()
    page.get_by_text("not saved yet").wait_for(state="hidden")
    name = page.url.split("?")[0].rpartition("/")[2]
    saved = stored(folder / name)
    assert not any(VIEW in output.get("data", {}) for output in saved)
    assert any("<Lab: finished, step 40 of 40>" in output.get("data", {}).get("text/plain", "") for output in saved)

    page.reload()  # and now it is there by itself
    book.ready()
    book.wait_state("finished")
    gives_way(page)
    assert ours(book.complaints) == []

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.locator(".naslab-news", has_text="the kernel was shut down").wait_for()
    page.wait_for_selector('.naslab-status[data-state="gone"]')
    copy = f"copy-{name}"
    shutil.copy(folder / name, folder / copy)  # from nobody that this JupyterLab trusts
    for again in (name, copy):
        open_again(book, address, token, again)
        drawn(page, 1)
        book.expect(page.locator(".naslab-still")).to_contain_text("step 40 of 40")
        assert page.get_by_text("model not found").count() == 0
        book.screenshot("reopened")
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    open_again(book, address, token, name)


def test_what_no_page_has_seen_holds_the_final_pictures(chromium, tmp_path):
    document = nbformat.v4.new_notebook()
    pair = "pair = Compare([TinySearch(total=9), TinySearch(total=7)])\npair"
    cells = (LAB, pair, "lab.play()", THEN, "pair.play()\nawait pair.on_finish(lambda: 'both')")
    document.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    ExecutePreprocessor(timeout=120, kernel_name="python3").preprocess(document, {"metadata": {"path": str(tmp_path)}})
    texts = [
        output["data"]["text/plain"]
        for cell in document.cells
        for output in cell.outputs
        if "text/plain" in output["data"]
    ]
    assert texts[0] == "<Lab: finished, step 40 of 40>"
    assert texts[1].startswith("<Compare: finished")
    assert "a line of words" in texts[2]
    assert not any(VIEW in output["data"] for cell in document.cells for output in cell.outputs)
    page_file = tmp_path / "page.html"
    page_file.write_text(HTMLExporter().from_notebook_node(document)[0], encoding="utf-8")
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto(page_file.as_uri())
    drawn(page, 3)
    context.close()


def test_a_kernel_that_is_not_heard_is_told_and_one_that_is_slow_is_not(notebook):
    book = notebook(RUN, "lab.play()", "import time; time.sleep(8)")
    page = book.page
    book.run_all()
    book.wait_step("naslab-status", 10, timeout=90_000)
    news = page.locator(".naslab-news")
    process, _ = book.ask("__import__('os').getpid()")
    page.wait_for_timeout(2500)
    assert news.inner_text() == "", "a cell that sleeps is no silence"

    os.kill(process, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        page.locator(".naslab-news", has_text="no news for").wait_for(timeout=10_000)
        assert time.monotonic() - stopped < 8
        page.wait_for_selector('.naslab-status[data-state="quiet"]')
    finally:
        os.kill(process, signal.SIGCONT)
    book.wait_state("running")
    book.expect(news).to_have_text("")

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.locator(".naslab-news", has_text="restarted").wait_for()
    page.wait_for_selector('.naslab-status[data-state="gone"]')
    code = page.locator(".naslab-truth code")
    book.expect(code).to_have_text('search = nl.Search.open("runs/truth-1"); Lab(search)')
    book.expect(page.get_by_role("button", name="copy", exact=True)).to_be_visible()
    book.screenshot("kernel-gone")
