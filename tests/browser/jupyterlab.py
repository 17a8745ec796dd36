"""A real JupyterLab, and a notebook in it as a browser has it: for the tests of this folder and for benchmarks."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
PATIENCE = 30.0
"""Seconds for which a test waits for the page or the kernel: on a busy machine a frame may take one."""
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def jupyterlab(root: Path) -> Iterator[tuple[str, str, Path]]:
    """(address, token, folder of notebooks) of a JupyterLab that knows nothing of this machine's settings.

    Args:
        root: an empty folder for all that is its own.
    """
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
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


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

    def eventually(self, read, holds, seconds=PATIENCE):
        """The first value of `read()` that `holds`: what an action changes is seen a frame or more later."""
        end = time.monotonic() + seconds
        while not holds(value := read()):
            assert time.monotonic() < end, f"after {seconds:.0f} s it is still {value!r:.500}"
            self.page.wait_for_timeout(100)
        return value

    def becomes(self, expression: str, value: Any, seconds=PATIENCE):
        """Waits until an expression has a value in the kernel, which hears of an action on the page in its own time."""
        self.eventually(lambda: self.ask(expression)[0], lambda found: found == value, seconds)

    def expect(self, locator):
        """Playwright's assertions about a locator, each of which waits until it holds."""
        from playwright.sync_api import expect

        expect.set_options(timeout=1000 * PATIENCE)
        return expect(locator)

    def strike(self, locator, *keys):
        """Focuses an element and strikes keys on it between two frames, as they come to a page that draws slowly."""
        locator.evaluate(
            """(element, keys) => {
                element.focus();
                for (const key of keys) {
                    const [last, ...held] = key.split("+").reverse();
                    const told = { key: last, shiftKey: held.includes("Shift"), bubbles: true, cancelable: true };
                    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", told));
                }
            }""",
            keys,
        )

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
