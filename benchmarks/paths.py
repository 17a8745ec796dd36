"""A step of one path, or child, of shared weights over the same step of the network built alone, in turns, by CPU time.

    python -m benchmarks.paths            or: python -m benchmarks.paths --rounds 15 --batch 64

A step is forward, backward, clipping and SGD with momentum, of all shared weights and of the network's own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.supernets import compared
from naslab.randomness import numpy_generator, torch_generator
from naslab.searchers.shared_weights import SharedWeights
from naslab.spaces import DartsCell, EnasMacro, EnasMicro, MobileChain, NASBench201
from naslab.threads import torch_threads

SPACES: dict[str, Any] = {
    "NAS-Bench-201, laptop": NASBench201.laptop(),
    "NAS-Bench-201, paper": NASBench201.paper(),
    "DARTS cell, laptop": DartsCell.laptop(),
    "mobile chain, laptop": MobileChain.laptop(),
    "ENAS macro, laptop": EnasMacro.laptop(),
    "ENAS micro, laptop": EnasMicro.laptop(),
}
MUST = 1.2
"""What the ratio is to be at most."""


class Task:
    """Shapes of FashionMNIST."""

    input_shape, classes = (1, 28, 28), 10


def step_of(network: nn.Module, forward: Callable[[torch.Tensor], torch.Tensor], batch: int) -> Callable[[], None]:
    """A whole step on random images."""
    x = torch.randn(batch, *Task.input_shape, generator=torch_generator(0, "images"))
    y = torch.randint(Task.classes, (batch,), generator=torch_generator(0, "labels"))
    weights = SharedWeights(network.train(), rate=0.01, momentum=0.9, clip=5.0, weight_decay=3e-4, nesterov=False)

    def step() -> None:
        weights.descend(nn.functional.cross_entropy(forward(x), y), 0.01)

    return step


def measure(space: Any, paths: int, batch: int, rounds: int) -> dict[str, Any]:
    """Medians over the rounds of all paths, and the ratio. A round comes first that does not count."""
    shared = space.shared_weights(Task())
    jobs = {}
    for number in range(paths):
        path = space.layers_of(space.sample(numpy_generator(number, "path")))
        alone = shared.alone(path)
        jobs[f"shared {number}"] = step_of(shared, lambda x, path=path: shared(x, path), batch)
        jobs[f"alone {number}"] = step_of(alone, alone, batch)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            start = time.thread_time()
            job()
            if number:
                seconds[name].append(time.thread_time() - start)
    shared_seconds, alone_seconds = (
        [sum(of_round) for of_round in zip(*(seconds[f"{kind} {n}"] for n in range(paths)), strict=True)]
        for kind in ("shared", "alone")
    )
    return compared(alone_seconds, shared_seconds)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    arguments.add_argument("--spaces", nargs="+", choices=list(SPACES), default=list(SPACES))
    arguments.add_argument("--batch", type=int, default=64, help="images in a mini-batch")
    arguments.add_argument("--paths", type=int, default=3, help="drawn at random; the ratio is that of their sum")
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()
    print(f"{'':24} {'alone, ms':>10} {'shared, ms':>10} {'ratio':>6} {'quartiles':>11} {'fastest':>7} {'must':>5}")
    ratios = []
    with torch_threads(1):
        for name in given.spaces:
            row = measure(SPACES[name], given.paths, given.batch, given.rounds)
            ratios.append(row["ratio"])
            low, high = row["quartiles"]
            print(
                f"{name:24} {row['milliseconds']:10.1f} {row['plain_milliseconds']:10.1f} {row['ratio']:6.2f} "
                f"{low:5.2f}-{high:<5.2f} {row['ratio_of_fastest']:7.2f} {MUST:5.1f}",
                flush=True,
            )
    print(f"\nmedian ratio {statistics.median(ratios):.2f}")
    raise SystemExit(max(ratios) > MUST)


if __name__ == "__main__":
    main()
