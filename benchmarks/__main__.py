"""Speed of a DARTS step, as ratios against the plain forward pass of the same supernet in the same run.

    make bench                       or: python -m benchmarks --batch 32 --threads 2 --rounds 7

Kinds of step are interleaved, so that a disturbance of the machine meets all of them; the median and the spread
between the quartiles are printed. Compare ratios, never absolute times of two machines.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch

import naslab as nl
from naslab.networks.batch_norm import frozen_statistics

SIZES = {
    "laptop": nl.spaces.DartsCell.laptop(),
    "paper": nl.spaces.DartsCell.paper(),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--size", choices=SIZES, default="laptop")
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=9)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)

    task, space = nl.tasks.FashionMNIST(), SIZES[given.size]
    orders = {
        "first order": {"order": 1},
        "second order, finite difference": {"order": 2},
        "second order, exact": {"order": 2, "hessian_product": "exact"},
    }
    searchers = {
        name: nl.searchers.Darts(space, task, batch_size=given.batch, threads=given.threads, **order)
        for name, order in orders.items()
    }
    plain = searchers["first order"]

    def forward() -> None:
        images, _ = plain._batch("weights")
        with torch.no_grad(), frozen_statistics(plain.network):
            plain._logits(images)

    def data() -> None:
        plain._batch("weights")

    jobs: dict[str, Callable[[], object]] = {"forward pass (baseline)": forward, "a batch of data, augmented": data}
    jobs |= {f"step, {name}": searcher.advance for name, searcher in searchers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job()
    for _ in range(given.rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)

    print(f"torch {torch.__version__}, {given.threads} thread(s), {platform.machine()}, batch {given.batch}")
    print(f"{space}, {task.name}, {given.rounds} rounds\n")
    baseline = statistics.median(seconds["forward pass (baseline)"])
    print(f"{'':34} {'median ms':>10} {'quartiles':>17} {'ratio':>7}")
    for name, times in seconds.items():
        low, median, high = statistics.quantiles(times, n=4)
        print(f"{name:34} {1e3 * median:10.1f} {1e3 * low:8.1f}-{1e3 * high:<8.1f} {median / baseline:7.2f}")


if __name__ == "__main__":
    main()
