"""What the live view costs the search that it shows: in a real JupyterLab, with a real headless Chromium looking.

    python -m benchmarks.live_view                     or: --job darts --rounds 8 --seconds 6

The DARTS search is so small that it makes ten steps a second or more, or there would not be ten frames to send. The
same search goes on through all rounds; in each round some steps are done with the view, at 10 frames a second, and
as many by a plain loop, in turn first. So a disturbance of the machine meets both. What is compared is a step's time by
the clock, which has the browser's work in it where cores are few, and the CPU time of the kernel's process. On a busy
machine "paced" says most: its candidates only wait, so that frames come as they should, and what the kernel's CPU time
grows by is the view's.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("NASLAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

JOBS = {
    "darts": """
space = nl.spaces.DartsCell(nodes=3, channels=4, cells=3)
search = nl.Search(nl.searchers.Darts(space, nl.tasks.Digits(), batch_size=32, epochs=5000, seed=0))
""",
    "training": """
space = nl.spaces.NASBench201(channels=4, cells=1)
class Same(nl.searchers.RandomSearch):
    "The same architecture every time, so that rounds can be compared."
    def propose(self):
        return super().propose()._replace(architecture=space.architecture(["nor_conv_3x3"] * 6))
estimator = nl.estimators.Training(space, nl.tasks.Digits(), epochs=1, batch_size=32)
search = nl.Search(Same(space), estimator=estimator, budget=10**6)
""",
    "paced": """
table = nl.benchmarks.NASBench201("cifar10")
def score(architecture):
    "Takes its time, but none of the processor's."
    time.sleep(0.03)
    return table.query(architecture).test_accuracy
search = nl.Search(nl.searchers.RegularizedEvolution(table.space, seed=0), estimator=score, budget=10**6)
""",
    "table": """
table = nl.benchmarks.NASBench201("cifar10")
search = nl.Search(nl.searchers.RegularizedEvolution(table.space, seed=0), estimator=table, budget=10**7)
""",
}

MEASURE = """
import threading, time
import naslab as nl
from naslab_widgets import Lab
{job}
lab = Lab(search, hz=10)

def phase(watched, steps):
    frames, wall, cpu = lab.view._flow._number, time.perf_counter(), time.process_time()
    if watched:
        lab.step(steps)
        lab.wait()
    else:
        for _ in range(steps):
            next(search)
    wall = time.perf_counter() - wall
    time.sleep(0.7)  # the last messages are a part of the cost
    cpu = time.process_time() - cpu
    frames = lab.view._flow._number - frames
    if not watched:
        lab._observe()  # what it has not seen is not to be charged to the next phase
        lab._publisher.poke()
    time.sleep(0.7)
    return dict(watched=watched, steps=steps, wall=wall, cpu=cpu, frames=frames)

phases, ended = [], []
def measure():
    phase(True, {warm}), phase(False, {warm})
    steps = max(2, round({warm} * {seconds} / phase(False, {warm})["wall"]))
    for number in range({rounds}):
        for watched in (number % 2 == 0, number % 2 == 1):
            phases.append(phase(watched, steps))
    ended.append(True)
lab
"""


def measured(job: str, rounds: int, seconds: float) -> list[dict[str, float]]:
    """The phases of a job: whether it was watched, steps, wall and CPU seconds, messages to the page."""
    spec = importlib.util.spec_from_file_location("jupyterlab_of_tests", ROOT / "tests" / "browser" / "jupyterlab.py")
    assert spec is not None
    assert spec.loader is not None
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    warm = {"darts": 3, "training": 2, "paced": 30, "table": 2000}[job]
    cell = MEASURE.format(job=JOBS[job], rounds=rounds, seconds=seconds, warm=warm)
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (cell, "")])
    document.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory() as root, lab.jupyterlab(Path(root)) as (address, token, folder):
        nbformat.write(document, folder / "live.ipynb")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(lab.FLAGS))
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            book = lab.Notebook(page)
            page.goto(f"{address}/lab/tree/live.ipynb?token={token}&reset")
            book.ready()
            book.run_all()
            book.wait_step("naslab-status", 0, timeout=120_000)
            page.evaluate("() => document.querySelector('.naslab-lab').scrollIntoView()")
            book.ask("threading.Thread(target=measure, daemon=True).start()")
            while not book.ask("ended")[0]:
                time.sleep(max(2.0, seconds))
            found, _ = book.ask("phases")
            browser.close()
    return found


def report(phases: list[dict[str, float]]) -> dict[str, object]:
    """Ratios of the rounds, watched to plain: median and quartiles; frames and steps a second with the view."""
    pairs = [sorted(pair, key=lambda phase: phase["watched"]) for pair in zip(phases[::2], phases[1::2], strict=True)]
    watched = [phase for phase in phases if phase["watched"]]
    plain = [phase for phase in phases if not phase["watched"]]
    result: dict[str, object] = {}
    for name in ("wall", "cpu"):
        ratios = sorted(with_view[name] / without[name] for without, with_view in pairs)
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
        result[name] = {"ratio": statistics.median(ratios), "quartiles": [low, high]}
    for name, kind in (("watched", watched), ("plain", plain)):
        result[f"{name}, steps a second"] = sum(p["steps"] for p in kind) / sum(p["wall"] for p in kind)
    frames = sum(p["frames"] for p in watched)
    result["frames a second"] = frames / sum(p["wall"] for p in watched)
    dearer = [with_view["cpu"] - without["cpu"] for without, with_view in pairs]
    result["CPU milliseconds a frame"] = 1000 * statistics.median(dearer) * len(pairs) / frames
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", choices=JOBS, action="append")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a phase, about")
    options = parser.parse_args()
    for job in options.job or JOBS:
        found = report(measured(job, options.rounds, options.seconds))
        print(job, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
