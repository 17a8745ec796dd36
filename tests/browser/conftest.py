"""A real JupyterLab and a real headless Chromium, for the tests of this folder."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
from pathlib import Path

import nbformat
import pytest

_spec = importlib.util.spec_from_file_location("naslab_tests_jupyterlab", Path(__file__).parent / "jupyterlab.py")
lab = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lab)


def _missing(what: str):
    """A test that cannot run is red in CI and skipped, with the reason, elsewhere."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what}; the browser tests need it")


def _chromium() -> str:
    named = os.environ.get("NASLAB_CHROMIUM")
    found = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found or not Path(found).exists():
        _missing(f"there is no Chromium ({named or 'looked in PATH'}); install it or set NASLAB_CHROMIUM")
    return str(found)


@pytest.fixture(scope="session")
def chromium():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed (pip install playwright)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), headless=True, args=list(lab.FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """(address, token, folder of notebooks)"""
    with lab.jupyterlab(tmp_path_factory.mktemp("jupyter")) as server:
        yield server


@pytest.fixture
def notebook(jupyter, chromium):
    """Opens a notebook with the given cells, or a given document, plus an empty last cell for `ask`."""
    address, token, folder = jupyter
    opened: list[lab.Notebook] = []

    def open_(*cells, document=None, width=1400, height=1000, theme="light"):
        name = f"notebook-{secrets.token_hex(4)}.ipynb"
        document = document or nbformat.v4.new_notebook()
        document.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        document.cells += [nbformat.v4.new_code_cell(source) for source in (*cells, "")]
        nbformat.write(document, folder / name)
        page = chromium.new_context(viewport={"width": width, "height": height}).new_page()
        book = lab.Notebook(page)
        opened.append(book)
        page.goto(f"{address}/lab/tree/{name}?token={token}&reset")
        book.ready()
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
            f"JupyterLab {theme.capitalize()}",
        )
        page.wait_for_selector(f"body[data-jp-theme-light={'false' if theme == 'dark' else 'true'}]", state="attached")
        return book

    yield open_
    for book in opened:
        book.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        book.page.context.close()
