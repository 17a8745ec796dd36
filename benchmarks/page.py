"""What the page costs while it shows a search: the browser's own processor time, and its memory after a long run.

    python -m benchmarks.page                          or: --rounds 5 --seconds 15
    python -m benchmarks.page --baseline ../other      the same page of another checkout, interleaved
    python -m benchmarks.page --steps 288000           eight hours of ten steps a second, as fast as they go

The search learns nothing and takes no time: every step moves every alpha of a cell of the paper's size, the worst case
for a page, ten times a second. The processor time is that of the renderer's process, as Chromium counts it, so that a
busy machine does not change it. Without a GPU, as here, the page is painted by the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("NASLAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
CELL = """
import sys, time
sys.path.insert(0, {tests!r})
from conftest import TinySearch
from naslab_widgets import Lab
search = TinySearch(total=10**7, before_step=lambda n: time.sleep(pause))
pause = 0.1
lab = Lab(search, hz=10)
lab
"""


@contextlib.contextmanager
def shown(checkout: Path, playwright: Any) -> Iterator[tuple[Any, Any]]:
    """(the notebook with its panel in view, a session of the browser's own protocol)"""
    spec = importlib.util.spec_from_file_location("jupyterlab_of_tests", ROOT / "tests" / "browser" / "jupyterlab.py")
    assert spec is not None
    assert spec.loader is not None
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    cell = CELL.format(tests=str(checkout / "tests" / "widgets"))
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (cell, "")])
    document.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{checkout}{os.pathsep}{checkout / 'widgets'}"
    with tempfile.TemporaryDirectory() as root, lab.jupyterlab(Path(root)) as (address, token, folder):
        if before is not None:
            os.environ["PYTHONPATH"] = before
        nbformat.write(document, folder / "page.ipynb")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(lab.FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        book = lab.Notebook(page)
        page.goto(f"{address}/lab/tree/page.ipynb?token={token}&reset")
        book.ready()
        book.run_all()
        book.wait_step("naslab-status", 0, timeout=180_000)
        page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
        yield book, browser.new_browser_cdp_session()
        browser.close()


def spent(session: Any) -> float:
    """Processor seconds of all renderers."""
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return sum(process["cpuTime"] for process in processes if process["type"] == "renderer")


def phase(book: Any, session: Any, seconds: float) -> dict[str, float]:
    """Plays for so long: processor seconds of the page a frame, and its share of a core."""
    before, _ = book.ask("(lab.play(), lab.view._flow._number)[1]")
    begun, clock = spent(session), time.monotonic()
    time.sleep(seconds)
    cpu, wall = spent(session) - begun, time.monotonic() - clock
    after, _ = book.ask("(lab.pause(), lab.view._flow._number)[1]")
    frames = max(1, after - before)
    return {
        "milliseconds a frame": 1000 * cpu / frames,
        "share of a core": cpu / wall,
        "frames a second": frames / wall,
    }


def compared(checkouts: dict[str, Path], rounds: int, seconds: float) -> dict[str, Any]:
    """Name -> medians of the phases, which are interleaved; and the ratio to the baseline where there is one."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    with sync_playwright() as playwright, contextlib.ExitStack() as stack:
        open_ = {name: stack.enter_context(shown(path, playwright)) for name, path in checkouts.items()}
        for name, (book, session) in open_.items():
            phase(book, session, 3.0)
            found[name].clear()
        for number in range(rounds):
            for name in list(open_)[:: 1 if number % 2 else -1]:
                found[name].append(phase(*open_[name], seconds))
    result: dict[str, Any] = {
        name: {key: statistics.median(each[key] for each in phases) for key in phases[0]}
        for name, phases in found.items()
    }
    if "baseline" in found:
        pairs = zip(found["page"], found["baseline"], strict=True)
        key = "milliseconds a frame"
        result["ratio a frame"] = statistics.median(one[key] / other[key] for one, other in pairs)
    return result


def long(steps: int) -> dict[str, Any]:
    """Memory and elements of the page and the time of a move of the cursor, early and after so many steps."""
    found = {}
    with sync_playwright() as playwright, shown(ROOT, playwright) as (book, _):
        session = book.page.context.new_cdp_session(book.page)
        book.ask("globals().update(pause=0)")
        for at in (2000, steps):
            book.ask(f"lab.step({at} - search.step)")
            book.wait_step("naslab-status", at, timeout=3_600_000)
            book.page.wait_for_timeout(1500)
            session.send("HeapProfiler.collectGarbage")
            count = "() => [performance.memory.usedJSHeapSize / 1e6, document.querySelectorAll('.naslab *').length]"
            heap, elements = book.page.evaluate(count)
            cursor = book.page.evaluate(
                """async () => { const bar = document.querySelector('.naslab [role=slider]'); if (!bar) return null;
                  bar.focus(); const begun = performance.now();
                  for (let i = 0; i < 20; i += 1) {
                    bar.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true }));
                    await new Promise(requestAnimationFrame);
                  }
                  bar.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
                  return (performance.now() - begun) / 20; }"""
            )
            found[f"after {at:,} steps"] = {"heap, MB": heap, "elements": elements, "milliseconds a move": cursor}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15.0, help="of a phase")
    parser.add_argument("--baseline", type=Path, help="another checkout of this project")
    parser.add_argument("--steps", type=int, help="look at the page after so many steps instead")
    options = parser.parse_args()
    if options.steps is not None:
        print(json.dumps(long(options.steps), indent=1))
        return
    checkouts = {"page": ROOT} | ({"baseline": options.baseline.resolve()} if options.baseline else {})
    print(json.dumps(compared(checkouts, options.rounds, options.seconds), indent=1))


if __name__ == "__main__":
    main()
