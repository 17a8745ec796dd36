"""What going back costs: seconds of a rewind and a fork, and what the copies in memory cost the search that takes them.

    python -m benchmarks.moments                     or: --job table --rounds 20 --steps 4000

The cost of the copies is measured on one search that goes on through all rounds; in each round some steps are done with
copies, as ever, and as many without, in turn first. So a disturbance of the machine meets both. What is compared is the
CPU time of the process. Then the search goes back to a step whose state lies in memory, and to one from which none
does, with the seconds that were told before, and is forked from both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import naslab as nl
from benchmarks.machine import machine
from naslab.runs import ring as rings

STEPS = {"laptop": 12, "paper": 2, "table": 4000}
"""Of a phase."""
ALWAYS, NEVER = rings.SECONDS_APART, float("inf")


def laptop() -> nl.Search:
    """DARTS on the laptop cell, as in notebook 01, on pictures of 32 by 32 in three colours."""
    return _darts(nl.spaces.DartsCell.laptop(), 16)


def paper() -> nl.Search:
    """DARTS on the cell of the paper."""
    return _darts(nl.spaces.DartsCell(), 8)


def _darts(space: Any, batch_size: int) -> nl.Search:
    chance = torch.Generator().manual_seed(0)
    x, y = torch.rand(2000, 3, 32, 32, generator=chance), torch.randint(10, (2000,), generator=chance)
    task = nl.tasks.Images.from_arrays(x, y)
    return nl.Search(nl.searchers.Darts(space, task, order=1, batch_size=batch_size, epochs=50, seed=0))


def table() -> nl.Search:
    """Evolution on a table, with some thousand steps a second and all that it has seen in its state."""
    known = nl.benchmarks.NASBench201("cifar10")
    return nl.Search(nl.searchers.RegularizedEvolution(known.space, seed=0), estimator=known, budget=10**7)


JOBS: dict[str, Callable[[], nl.Search]] = {"laptop": laptop, "paper": paper, "table": table}


def cost_of_copies(search: nl.Search, rounds: int, steps: int) -> dict[str, Any]:
    """Ratios of CPU time, with copies to without: the quartiles of the rounds; and how many were taken."""
    ratios, taken, wall = [], 0, 0.0
    for number in range(rounds):
        found = {}
        for apart in (ALWAYS, NEVER) if number % 2 else (NEVER, ALWAYS):
            rings.SECONDS_APART = apart
            before, begun, clock = set(search._ring.steps), time.process_time(), time.perf_counter()
            for _ in range(steps):
                next(search)
            found[apart] = time.process_time() - begun
            if apart == ALWAYS:
                taken += len(set(search._ring.steps) - before)
                wall += time.perf_counter() - clock
        ratios.append(found[ALWAYS] / found[NEVER])
    rings.SECONDS_APART = ALWAYS
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "CPU ratio": middle,
        "quartiles": [low, high],
        "copies": taken,
        "copies a second": taken / wall,
        "milliseconds a copy": 1000 * search._ring.seconds,
        "megabytes a copy": search._ring.bytes / max(1, len(search._ring.steps)) / 1e6,
    }


def going_back(search: nl.Search) -> dict[str, Any]:
    """Seconds of forks and rewinds, from memory and by steps that are done again, and what was told before."""
    found: dict[str, Any] = {}
    near = search._ring.steps[len(search._ring.steps) // 2]
    for place, step in (("in memory", near), ("steps done again", near - 1)):
        if place == "steps done again":
            keep = max((at for at in search._store.snapshots() if at < near), default=0)
            search._ring._copies = tuple(each for each in search._ring._copies if not keep < each[0].step < near)
        told = search.cost_of_going_back(step)
        for what in ("fork", "rewind"):
            fresh = search._ring._copies
            begun = time.perf_counter()
            if what == "fork":
                search.fork(step=step, progress=lambda done, total: None)
                search._ring._copies = fresh  # without those of the steps that were done again for the fork
            else:
                search.rewind(step, progress=lambda done, total: None)
            found[f"{what}, {place}"] = {
                "seconds": time.perf_counter() - begun,
                "told before": told.seconds,
                "steps done again": told.again,
            }
        if place == "in memory":
            for _ in range(2):
                next(search)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--job", choices=JOBS, action="append")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, help="of a phase")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"machine": machine()}
    for job in options.job or ["laptop", "table"]:
        search = JOBS[job]()
        for _ in range(3):
            next(search)
        report[job] = cost_of_copies(search, options.rounds, options.steps or STEPS[job]) | going_back(search)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
