"""How long a bundled table takes to load, in processor seconds of a process of its own, and how much memory.

    python -m benchmarks.loading

The baseline is to import the libraries that it is read with, in the same process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from benchmarks.machine import machine
from naslab.benchmarks import BUNDLED

MUST = 1.0
"""Seconds at most."""
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


def main() -> None:
    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'':16} {'seconds':>8} {'ratio':>6} {'MB':>6}")
    late = []
    for name in BUNDLED:
        libraries, seconds, megabytes = measure(name)
        print(f"{name:16} {seconds:8.2f} {seconds / libraries:6.2f} {megabytes:6.0f}", flush=True)
        late += [name] if seconds > MUST else []
    print(f"Must: {MUST:g} s at most; " + (f"missed by {', '.join(late)}." if late else "met."))
    raise SystemExit(bool(late))


if __name__ == "__main__":
    main()
