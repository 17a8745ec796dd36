"""Rounding of the supernets in single precision: logits and gradients against the same network in double precision.

    python -m benchmarks.accuracy               or: python -m benchmarks.accuracy --jobs darts --seeds 3 --each

Each seed draws weights, images, labels and architecture parameters (DARTS' initialisation) in single precision; the
reference computes with the same numbers in double precision and without any optimization. The error of the logits is
the largest absolute difference over the largest absolute logit, that of the gradients the norm of the difference over
the norm. `NASLAB_KERNELS=0` measures what a machine without a compiler gets. With `--each` every optimization is also
tried alone and left out. In some seeds one ReLU or one maximum of a pool is decided otherwise than in double precision,
which costs a gradient 1e-5 to 1e-3 at once and happens without optimizations too: what a setting changes is how often.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.machine import machine
from naslab.networks import DartsSupernet, NASBench201Supernet
from naslab.operations import kernels
from naslab.operations.images import DARTS_SEARCHED, NASBENCH201_OPERATIONS
from naslab.operations.optimizations import Optimizations
from naslab.threads import torch_threads

IMAGES = {"input_shape": (3, 32, 32), "classes": 10}
JOBS: dict[str, Any] = {
    "darts": (
        DartsSupernet,
        {"operations": DARTS_SEARCHED, "nodes": 4, "channels": 8, "cells": 5, **IMAGES},
        ("normal", "reduce"),
    ),
    "nasbench201": (
        NASBench201Supernet,
        {"operations": tuple(NASBENCH201_OPERATIONS), "channels": 8, "cells": 2, **IMAGES},
        ("cell",),
    ),
}
"""Name -> the supernet, its arguments, and the parts that have architecture parameters."""
BATCH = 8


@dataclasses.dataclass(frozen=True)
class Case:
    """A supernet in single precision and a mini-batch."""

    network: nn.Module
    x: Tensor
    """[B, 3, 32, 32]."""
    y: Tensor
    """[B] int64."""
    alphas: Mapping[str, Tensor]
    """Part -> [E, O]."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a forward and a backward pass give, in double precision."""

    logits: Tensor
    alphas: Tensor
    """The gradient of all architecture parameters, flat."""
    weights: Tensor
    """The gradient of all weights, flat."""


@dataclasses.dataclass(frozen=True)
class Errors:
    """Of single precision against double precision, relative."""

    logits: float
    """Largest absolute difference over the largest absolute value."""
    alphas: float
    """Norm of the difference over the norm."""
    weights: float
    """Norm of the difference over the norm."""


def draw(job: str, seed: int, **others: Any) -> Case:
    """The case of a seed; `others` are arguments of the supernet in place of the job's."""
    kind, arguments, parts = JOBS[job]
    arguments = {**arguments, **others}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = kind(**arguments)
        x, y = torch.randn(BATCH, *arguments["input_shape"]), torch.randint(arguments["classes"], (BATCH,))
        return Case(network, x, y, {part: 1e-3 * torch.randn(network.shape) for part in parts})


def computed(case: Case, optimizations: Optimizations, dtype: torch.dtype) -> Found:
    """Logits, and the gradients of the cross-entropy, computed with numbers of this type."""
    network = copy.deepcopy(case.network).to(dtype).train()
    network.optimizations = optimizations  # type: ignore[assignment]
    alphas = {part: alpha.detach().to(dtype).requires_grad_() for part, alpha in case.alphas.items()}
    logits = network(case.x.to(dtype), {part: alpha.softmax(dim=1) for part, alpha in alphas.items()})
    found = torch.autograd.grad(F.cross_entropy(logits, case.y), [*alphas.values(), *network.parameters()])
    flat = [torch.cat([g.double().flatten() for g in some]) for some in (found[: len(alphas)], found[len(alphas) :])]
    return Found(logits.detach().double(), *flat)


def errors(found: Found, exact: Found) -> Errors:
    """How far the one is from the other."""

    def of(name: str) -> float:
        ours, theirs = getattr(found, name), getattr(exact, name)
        return float((ours - theirs).norm() / theirs.norm())

    logits = float((found.logits - exact.logits).abs().max() / exact.logits.abs().max())
    return Errors(logits, of("alphas"), of("weights"))


def measure(
    job: str, seeds: Sequence[int], settings: Mapping[str, Optimizations], **others: Any
) -> dict[str, list[Errors]]:
    """Name of a setting -> the errors under it, one a seed."""
    found: dict[str, list[Errors]] = {name: [] for name in settings}
    for seed in seeds:
        case = draw(job, seed, **others)
        exact = computed(case, Optimizations.none(), torch.float64)
        for name, optimizations in settings.items():
            found[name].append(errors(computed(case, optimizations, torch.float32), exact))
    return found


def every_setting() -> dict[str, Optimizations]:
    """Each optimization alone, and each left out."""
    names = [field.name for field in dataclasses.fields(Optimizations)]
    alone = {f"only {name}": dataclasses.replace(Optimizations.none(), **{name: True}) for name in names}
    return {**alone, **{f"without {name}": Optimizations(**{name: False}) for name in names}}


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    arguments.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    arguments.add_argument("--seeds", type=int, default=10, help="how many")
    arguments.add_argument("--each", action="store_true", help="also each optimization alone, and each left out")
    given = arguments.parse_args()
    print("; ".join(f"{name} {value}" for name, value in machine().items() if value))
    print("compiled kernels" if kernels.available() else "without compiled kernels")
    settings = {"none": Optimizations.none(), "all": Optimizations(), **(every_setting() if given.each else {})}
    columns = [field.name for field in dataclasses.fields(Errors)]
    with torch_threads(1):
        for job in given.jobs:
            head = "".join(f"{name:>20}" for name in columns)
            print(f"\n{job + ', median (most) of ' + str(given.seeds) + ' seeds':44}{head}")
            for name, rows in measure(job, range(given.seeds), settings).items():
                values = [[getattr(row, column) for row in rows] for column in columns]
                cells = "".join(f"{statistics.median(some):10.1e} ({max(some):.1e})" for some in values)
                print(f"{name:44}{cells}", flush=True)


if __name__ == "__main__":
    main()
