"""What a step of each search by gradients needs of memory, against DARTS: ProxylessNAS and PC-DARTS above all.

    python -m benchmarks.memory                          DARTS' own supernet (16 channels, 8 cells), batches of 64
    python -m benchmarks.memory --laptop --batch 32      a small one, in half a minute
    python -m benchmarks.memory --save                   keeps results/memory.json

Two figures for each method, of one whole step with all its parts. *Alive*: megabytes of the tensors alive at most in a
step, beyond those that last (`naslab.analysis.memory`). *Resident*: by how much making the search and its first step
raise the peak of the process (`ru_maxrss`), each method in a fresh process: what the system must really have free, with
the weights and with what the allocator and the kernels add. Ratios are to DARTS.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "memory.json"
METHODS: dict[str, dict[str, Any]] = {
    "darts": {"order": 1},
    "proxylessnas": {"warmup": 0.0},
    "proxylessnas, reinforce": {"warmup": 0.0, "rule": "reinforce"},
    "pcdarts": {"warmup": 0.0},
    "gdas": {},
    "snas": {},
    "drnas": {},
}


def one(method: str, batch: int, laptop: bool) -> dict[str, float]:
    """The figures of a method, in megabytes; the peak of this process is its own."""
    import torch

    import naslab as nl
    from naslab.analysis.memory import peak

    torch.set_num_threads(1)
    space = nl.spaces.DartsCell.laptop() if laptop else nl.spaces.DartsCell.paper()
    images = torch.zeros(4 * batch, 1 if laptop else 3, 32, 32, dtype=torch.uint8)
    task = nl.tasks.Images.from_arrays(images, torch.arange(4 * batch) % 10, test_fraction=0.25)
    make: Any = nl.searchers.SEARCHERS[method.partition(",")[0]]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    search = make(space, task, batch_size=batch, epochs=2, **METHODS[method])
    search._must_fit = lambda: None  # its estimate is a step of its own
    search.advance()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"resident": resident / 1024, "alive": peak(search.advance) / 1e6}


def apart(method: str, batch: int, laptop: bool) -> dict[str, float]:
    """The same from a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", method, "--batch", str(batch)]
    told = subprocess.run([*command, *["--laptop"] * laptop], capture_output=True, text=True, check=True).stdout
    return json.loads(told.splitlines()[-1])


def table(rows: dict[str, dict[str, float]]) -> str:
    base = rows["darts"]
    lines = [f"{'megabytes of a step':26}{'alive':>8}{'ratio':>7}{'resident':>10}{'ratio':>7}"]
    for name, row in rows.items():
        ratios = [row[what] / base[what] for what in ("alive", "resident")]
        lines.append(f"{name:26}{row['alive']:8.0f}{ratios[0]:7.2f}{row['resident']:10.0f}{ratios[1]:7.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=METHODS, help="this method, in this process, as JSON")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--laptop", action="store_true")
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS.name}")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one, given.batch, given.laptop)))
        return
    rows: dict[str, dict[str, float]] = {}
    for method in METHODS:
        rows[method] = apart(method, given.batch, given.laptop)
        print(f"{method}: {rows[method]}", file=sys.stderr, flush=True)
    print(table(rows))
    if given.save:
        about = {"space": "laptop" if given.laptop else "paper", "batch": given.batch}
        RESULTS.write_text(json.dumps({**about, "megabytes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
