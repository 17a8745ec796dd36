"""A real JupyterLab and a real headless Chromium, for the tests of this folder."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


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
        browser = playwright.chromium.launch(executable_path=_chromium(), headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """(address, token, folder of notebooks) of a JupyterLab that knows nothing of this machine's settings."""
    root = tmp_path_factory.mktemp("jupyter")
    (root / "notebooks").mkdir()
    settings = root / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NASLAB_SMOKE": "1"} | {
        name: str(root / path) for name, path in folders.items()
    }
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", "--expose-app-in-browser"),
        *(f"--ServerApp.root_dir={root / 'notebooks'}", "--LabApp.extension_manager=readonly"),
    ]
    with (root / "jupyter.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(f"http://127.0.0.1:{port}/api", server, root / "jupyter.log")
            yield f"http://127.0.0.1:{port}", token, root / "notebooks"
        finally:
            server.terminate()
            server.wait(20)


def _await(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


class Notebook:
    """A notebook open in a page, and what one does with it."""

    def __init__(self, page):
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self._hear(message))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message):
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def ready(self):
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        self.page.evaluate(
            "async () => { const w = window.jupyterapp.shell.currentWidget;"
            " await w.context.ready; await w.sessionContext.ready; }"
        )

    def command(self, name):
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def run_all(self):
        """Start all cells; do not wait for them."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def ask(self, expression: str):
        """What the kernel prints for an expression, as JSON, from the last cell; and how many seconds that took."""
        source = f"import json as _j; print('answer:' + _j.dumps({expression}))"
        started = time.monotonic()
        self.page.evaluate(
            """async source => {
                const panel = window.jupyterapp.shell.currentWidget, last = panel.content.widgets.length - 1;
                panel.content.widgets[last].model.sharedModel.setSource(source);
                panel.content.activeCellIndex = last;
                await window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            source,
        )
        text = self.page.evaluate(
            """() => { const panel = window.jupyterapp.shell.currentWidget;
                return JSON.stringify(panel.content.widgets.at(-1).model.outputs.toJSON()); }"""
        )
        lines = "".join(output.get("text", "") for output in json.loads(text)).splitlines()
        answers = [line.removeprefix("answer:") for line in lines if line.startswith("answer:")]
        assert answers, f"no answer to {expression!r}: {text[:1500]}"
        return json.loads(answers[-1]), time.monotonic() - started

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def step_of(self, view):
        return int(self.page.locator(f".{view}").first.get_attribute("data-step"))

    def wait_step(self, view, least, timeout=30_000):
        self.page.wait_for_function(
            "([view, least]) => +(document.querySelector('.' + view)?.dataset.step ?? -1) >= least",
            arg=[view, least],
            timeout=timeout,
        )

    def wait_state(self, state, timeout=30_000):
        self.page.wait_for_selector(f'.naslab-status[data-state="{state}"]', timeout=timeout)

    def screenshot(self, name):
        ARTIFACTS.mkdir(exist_ok=True)
        self.page.mouse.move(1, 1)
        self.page.screenshot(path=ARTIFACTS / f"{name}.png")


@pytest.fixture
def notebook(jupyter, chromium):
    """Opens a notebook with the given cells, or a given document, plus an empty last cell for `ask`."""
    address, token, folder = jupyter
    opened: list[Notebook] = []

    def open_(*cells, document=None, width=1400, height=1000, theme="light"):
        name = f"notebook-{secrets.token_hex(4)}.ipynb"
        document = document or nbformat.v4.new_notebook()
        document.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        document.cells += [nbformat.v4.new_code_cell(source) for source in (*cells, "")]
        nbformat.write(document, folder / name)
        page = chromium.new_context(viewport={"width": width, "height": height}).new_page()
        book = Notebook(page)
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
