"""A step of a child of shared weights against the same step of the same network built alone.

    python -m benchmarks.children                              laptop sizes, in a minute
    python -m benchmarks.children --size paper --batch 16      those of the paper

A step is the forward and the backward pass on a mini-batch of noise, the clipping of the gradient, and SGD with
Nesterov momentum: what `naslab.searchers.Enas` does to train a child, without the data. The two networks have the same
weights and take turns, so that a disturbance of the machine meets both; the ratio is that of their medians over the
rounds, of each child, and the table has the median child and the extremes. It must be at most 1.2.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch
import torch.nn.functional as F

import naslab as nl
from benchmarks.machine import machine
from naslab.analysis.steps import interleaved
from naslab.randomness import numpy_generator, seeded
from naslab.searchers.enas_hyperparameters import EnasHyperparameters
from naslab.searchers.shared_weights import SharedWeights
from naslab.threads import torch_threads

SPACES = {"macro": nl.spaces.EnasMacro, "micro": nl.spaces.EnasMicro}
MUST = 1.2


class Shape:
    """What a network must know of a task."""

    def __init__(self, size: str) -> None:
        self.input_shape, self.classes = ((3, 32, 32) if size == "paper" else (1, 28, 28)), 10


def stepping(network: Any, *more: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
    given = EnasHyperparameters()
    weights = SharedWeights(
        network, rate=1e-3, momentum=given.w_momentum, clip=given.w_clip, weight_decay=2 * given.w_l2, nesterov=True
    )
    return lambda: weights.descend(F.cross_entropy(network(x, *more), y), 1e-3)


def measure(name: str, size: str, batch: int, children: int, rounds: int) -> list[float]:
    """For each child, how many times as long its step takes with shared weights."""
    space, shape = getattr(SPACES[name], size)(), Shape(size)
    rng = numpy_generator("benchmarks.children", name)
    with seeded("benchmarks.children", name):
        shared = space.shared_weights(shape)
        x, y = torch.randn(batch, *shape.input_shape), torch.randint(shape.classes, (batch,))
    ratios = []
    for _ in range(children):
        layers = space.layers_of(space.sample(rng))
        jobs = {
            "shared": stepping(shared, layers, x=x, y=y),
            "alone": stepping(shared.alone(layers), x=x, y=y),
        }
        seconds = interleaved(jobs, rounds)
        ratios.append(statistics.median(seconds["shared"]) / statistics.median(seconds["alone"]))
    return sorted(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["laptop", "paper"], default="laptop")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--children", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print("; ".join(f"{key} {value}" for key, value in machine().items() if value))
    missed = False
    for name in SPACES:
        with torch_threads(given.threads):
            ratios = measure(name, given.size, given.batch, given.children, given.rounds)
        middle = statistics.median(ratios)
        missed |= middle > MUST
        print(
            f"{name}, {given.size}, batch {given.batch}, {given.threads} thread(s): a step of a child takes "
            f"{middle:.2f} times that of the network alone ({ratios[0]:.2f}..{ratios[-1]:.2f} over {len(ratios)} "
            f"children; must: at most {MUST})",
            flush=True,
        )
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
