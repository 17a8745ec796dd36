"""How long a bundled table and a long run take to load, and what a step of a long run costs, in processor seconds.

    python -m benchmarks.loading

The baseline of a table is to import the libraries that it is read with, in the same process, which is one of its own;
that of opening a run is to fetch its rows and to check their checksums; that of a step late in a run is a step early
in one. The searcher is random search on a table, whose own step does not grow. What is compared takes turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import naslab as nl
from benchmarks.machine import machine
from naslab.benchmarks import BUNDLED
from naslab.runs import database
from naslab.runs import folder as run_folder

MUST = 1.0
"""Seconds at most, of a table."""
EARLY, LATE = 100, 100_000
"""Events that stand already."""
MUST_OPEN, MUST_STEP = 2.0, 1.2
"""Ratios at most."""
PROGRAM = """
import resource, sys, time
start = time.process_time()
import numpy, networkx
libraries = time.process_time() - start
from naslab.benchmarks import BUNDLED
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
BUNDLED[sys.argv[1]]().best()
seconds = time.process_time() - start
print(libraries, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def measure(name: str, rounds: int = 3) -> list[float]:
    """Medians: seconds of the libraries, seconds of the table, megabytes."""
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True)
        for _ in range(rounds)
    ]
    return [statistics.median(column) for column in zip(*(map(float, run.stdout.split()) for run in runs), strict=True)]


def opening(folder: Path, rounds: int = 5) -> list[float]:
    """Medians: seconds to fetch and check the rows of a run, seconds to open it, and the ratio within a round."""

    def rows() -> None:
        connection = database.connect(folder / "events.sqlite")
        found = connection.execute(
            "SELECT id, time, kind, step, text, blob, earlier, digest FROM events ORDER BY id"
        ).fetchall()
        connection.close()
        before = database.identity(run_folder.read_about(folder)["run"])
        for *row, digest in found:
            before = database.checksum(before, *row)
            assert before == digest

    pairs = []
    for _ in range(rounds):
        baseline, _ = _seconds(rows)
        seconds, search = _seconds(lambda: nl.Search.open(folder))
        pairs.append((baseline, seconds, seconds / baseline))
        search.close()
    return [statistics.median(column) for column in zip(*pairs, strict=True)]


def stepping(early: nl.Search, late: nl.Search, rounds: int = 40, steps: int = 10) -> list[float]:
    """Medians: seconds of a step of each, and their ratio."""

    def some(search: nl.Search) -> None:
        for _ in range(steps):
            next(search)

    pairs = [(_seconds(lambda: some(early))[0] / steps, _seconds(lambda: some(late))[0] / steps) for _ in range(rounds)]
    first, last = (statistics.median(column) for column in zip(*pairs, strict=True))
    return [first, last, last / first]


def _seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    done = work()
    return time.process_time() - start, done


def long_run() -> list[str]:
    """Measure and print; what was missed."""
    table = nl.benchmarks.NASBench201()

    def begin(run: Path | None, steps: int) -> nl.Search:
        sampler = nl.searchers.RandomSearch(table.space, seed=0)
        search = nl.Search(sampler, run, estimator=table, budget=2 * LATE)
        for _ in range(steps):
            next(search)
        return search

    with TemporaryDirectory() as place:
        early, late = Path(place) / "early", Path(place) / "late"
        begin(None, LATE).fork(late).close()  # without the disk that is quicker
        print(f"\n{'':28} {'baseline':>10} {'seconds':>10} {'ratio':>6}")
        rows, seconds, opened = opening(late)
        print(f"{f'open {LATE:,} events':28} {rows:10.2f} {seconds:10.2f} {opened:6.2f}", flush=True)
        with begin(early, EARLY) as first, nl.Search.open(late) as last:
            before, after, stepped = stepping(first, last)
        print(f"{f'step at event {LATE:,}':28} {before:10.6f} {after:10.6f} {stepped:6.2f}")
    print(f"Baselines: rows and checksums; a step at event {EARLY}. Must: {MUST_OPEN:g} and {MUST_STEP:g} at most.")
    return [name for name, ratio, most in (("open", opened, MUST_OPEN), ("step", stepped, MUST_STEP)) if ratio > most]


def main() -> None:
    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'':16} {'seconds':>8} {'ratio':>6} {'MB':>6}")
    late = []
    for name in BUNDLED:
        libraries, seconds, megabytes = measure(name)
        print(f"{name:16} {seconds:8.2f} {seconds / libraries:6.2f} {megabytes:6.0f}", flush=True)
        late += [name] if seconds > MUST else []
    print(f"Must: {MUST:g} s at most; " + (f"missed by {', '.join(late)}." if late else "met."))
    missed = long_run()
    print(f"Missed: {', '.join(missed)}." if missed else "Met.")
    raise SystemExit(bool(late or missed))


if __name__ == "__main__":
    main()
