"""Speed of supernets, as ratios to the supernets as published, run in the same minutes.

    make bench                       or: python -m benchmarks --batch 32 --threads 2 --rounds 7

The baseline is `plain.py` run as its authors run it: the step of the architecture computes the gradients of the weights
too, and throws them away. Kinds of step are interleaved, so that a disturbance of the machine meets all of them; the
ratio is that of the medians, its spread the quartiles of the ratios of the rounds. Compare ratios, never times of
two machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.plain import PlainDartsSupernet, PlainNASBench201Supernet
from naslab.networks import DartsSupernet, NASBench201Supernet
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.per_edge import to_per_edge
from naslab.operations.images import DARTS_SEARCHED, NASBENCH201_OPERATIONS
from naslab.operations.tricks import Tricks
from naslab.searchers.bilevel import (
    InnerStep,
    exact_product,
    finite_difference_product,
    frozen,
    gradients,
    standing_at,
    unrolled_gradients,
)

RESULTS = Path(__file__).parent / "results"
DARTS = (DartsSupernet, PlainDartsSupernet)
NASBENCH201 = (NASBench201Supernet, PlainNASBench201Supernet)
JOBS = {
    "paper": (DARTS, (DARTS_SEARCHED, 4, (3, 32, 32), 10), {"channels": 16, "cells": 8}, {"normal": 14, "reduce": 14}),
    "laptop": (DARTS, (DARTS_SEARCHED, 3, (1, 28, 28), 10), {"channels": 8, "cells": 4}, {"normal": 9, "reduce": 9}),
    "nasbench201": (
        NASBENCH201,
        (tuple(NASBENCH201_OPERATIONS), (3, 32, 32), 10),
        {"channels": 16, "cells": 5},
        {"cell": 6},
    ),
}
MUST = {
    "paper": {"weight step": 2.3, "alpha step, first order": 4.0, "whole step, first order": 3.0,
              "alpha step, second order, finite difference": 2.7},
    "nasbench201": {"weight step": 2.2, "alpha step, first order": 2.9},
}  # fmt: skip


class Steps:
    """The steps of DARTS on one network, without data and logs."""

    def __init__(self, network: nn.Module, rows: dict[str, int], operations: int, x: Tensor, y: Tensor) -> None:
        self.network, self.x, self.y = network, x, y
        generator = torch.Generator().manual_seed(0)
        drawn = {part: 1e-3 * torch.randn(r, operations, generator=generator) for part, r in rows.items()}
        self.alphas = {part: alpha.requires_grad_() for part, alpha in drawn.items()}
        self.weights = list(network.parameters())
        self.sgd = torch.optim.SGD(self.weights, lr=0.025, momentum=0.9, weight_decay=3e-4)

    def loss(self) -> Tensor:
        return F.cross_entropy(self.network(self.x, {p: a.softmax(dim=-1) for p, a in self.alphas.items()}), self.y)

    def weight_step(self) -> None:
        with torch.no_grad():
            mixture = {part: alpha.softmax(dim=-1) for part, alpha in self.alphas.items()}
        self.sgd.zero_grad()
        F.cross_entropy(self.network(self.x, mixture), self.y).backward()
        nn.utils.clip_grad_norm_(self.weights, 5.0)
        self.sgd.step()

    def alpha_step(self) -> None:
        with frozen_statistics(self.network), frozen(self.weights):
            gradients(self.loss(), list(self.alphas.values()))

    def alpha_step_as_published(self) -> None:
        self.loss().backward()

    def second_order(self, product) -> None:
        step = InnerStep(xi=0.025, weight_decay=3e-4, momentum=[None] * len(self.weights))
        alphas = list(self.alphas.values())
        with frozen_statistics(self.network):
            unrolled_gradients(
                train_loss=self.loss, valid_loss=self.loss, weights=self.weights, alphas=alphas, step=step,
                product=product,
            )  # fmt: skip

    def second_order_as_published(self) -> None:
        """Gradient at w, everything at w', the alphas at w+ and w-."""
        alphas = list(self.alphas.values())
        step = InnerStep(xi=0.025, weight_decay=3e-4, momentum=[None] * len(self.weights))
        moved = [w.detach() for w in step.move(self.weights, gradients(self.loss(), self.weights))]
        with standing_at(self.weights, moved):
            both = gradients(self.loss(), [*alphas, *self.weights])
        v = both[len(alphas) :]
        epsilon = 0.01 / torch.cat([g.flatten() for g in v]).norm()
        for sign in (1, -1):
            with standing_at(
                self.weights, [w.detach() + sign * epsilon * g for w, g in zip(self.weights, v, strict=True)]
            ):
                gradients(self.loss(), alphas)


class Launches(TorchDispatchMode):
    """Counts the operations that reach a device: all but those that only look at memory in another way."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def launches(step: Callable[[], None]) -> int:
    with Launches() as counter:
        step()
    return counter.count


def interleaved(jobs: dict[str, Callable[[], None]], rounds: int, warm: bool = True) -> dict[str, list[float]]:
    """Seconds of each job in each round; before them one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + warm):
        for name, job in jobs.items():
            gc.collect()
            start = time.perf_counter()
            job()
            if number >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def make(job: str, batch: int) -> tuple[Steps, Steps]:
    """The fast and the plain steps, with the same weights."""
    (fast_kind, plain_kind), arguments, sizes, rows = JOBS[job]
    torch.manual_seed(0)
    fast, plain = fast_kind(*arguments, **sizes), plain_kind(*arguments, **sizes)
    plain.load_state_dict(to_per_edge(fast))
    x, y = torch.randn(batch, *arguments[-2]), torch.randint(arguments[-1], (batch,))
    return tuple(Steps(n, rows, len(arguments[0]), x, y) for n in (fast, plain))  # type: ignore[return-value]


def measure(job: str, batch: int, rounds: int, second: bool) -> list[dict]:
    """A row a kind of step: name, milliseconds, ratio to the published one, quartiles of the ratio, what it must be."""
    fast, plain = make(job, batch)
    pairs: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "weight step": (fast.weight_step, plain.weight_step),
        "alpha step, first order": (fast.alpha_step, plain.alpha_step_as_published),
    }
    if second:
        pairs["alpha step, second order, finite difference"] = (
            lambda: fast.second_order(finite_difference_product()),
            plain.second_order_as_published,
        )
        pairs["alpha step, second order, exact"] = (
            lambda: fast.second_order(exact_product),
            plain.second_order_as_published,
        )
    jobs: dict[str, Callable[[], None]] = {}
    for name, (ours, theirs) in pairs.items():
        jobs[f"fast {name}"] = ours
        if not name.endswith("exact"):
            jobs[f"plain {name}"] = theirs
    seconds = interleaved({name: step for name, step in jobs.items() if "second" not in name}, rounds)
    if second:
        long = {name: step for name, step in jobs.items() if "second" in name}
        seconds |= interleaved(long, max(2, rounds - 3), warm=False)
        seconds["plain alpha step, second order, exact"] = seconds["plain alpha step, second order, finite difference"]
    for kind in ("fast", "plain"):
        first = zip(seconds[f"{kind} weight step"], seconds[f"{kind} alpha step, first order"], strict=True)
        seconds[f"{kind} whole step, first order"] = [sum(pair) for pair in first]
    rows = []
    for name in ["weight step", "alpha step, first order", "whole step, first order", *list(pairs)[2:]]:
        ours, theirs = seconds[f"fast {name}"], seconds[f"plain {name}"]
        of_rounds = [b / a for a, b in zip(ours, theirs, strict=True)]
        low, _, high = statistics.quantiles(of_rounds, n=4) if len(of_rounds) > 1 else of_rounds * 3
        rows.append(
            {
                "job": job, "batch": batch, "step": name,
                "milliseconds": 1e3 * statistics.median(ours), "plain_milliseconds": 1e3 * statistics.median(theirs),
                "ratio": statistics.median(theirs) / statistics.median(ours), "quartiles": [low, high],
                "ratio_of_fastest": min(theirs) / min(ours), "must": MUST.get(job, {}).get(name),
            }
        )  # fmt: skip
    counts = launches(fast.weight_step), launches(plain.weight_step)
    rows.append(
        {"job": job, "batch": batch, "step": "operations launched, weight step", "count": counts[0],
         "plain_count": counts[1], "ratio": counts[1] / counts[0], "must": 2.0}
    )  # fmt: skip
    return rows


def what_each_trick_buys(job: str, batch: int, rounds: int) -> list[dict]:
    """Time of a weight and of an alpha step with one trick off, as a multiple of the time with all of them on."""
    fast, _ = make(job, batch)
    settings = {"all on": Tricks()}
    settings |= {f.name: Tricks(**{f.name: False}) for f in dataclasses.fields(Tricks)} | {"all off": Tricks.none()}

    def with_tricks(tricks: Tricks, step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            fast.network.tricks = tricks  # type: ignore[assignment]
            step()

        return run

    jobs = {f"weight {name}": with_tricks(tricks, fast.weight_step) for name, tricks in settings.items()}
    jobs |= {f"alpha {name}": with_tricks(tricks, fast.alpha_step) for name, tricks in settings.items()}
    seconds = interleaved(jobs, rounds)
    return [
        {"job": job, "batch": batch, "off": name}
        | {
            f"{step}_step": statistics.median(
                s / on for s, on in zip(seconds[f"{step} {name}"], seconds[f"{step} all on"], strict=True)
            )
            for step in ("weight", "alpha")
        }
        for name in list(settings)[1:]
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    arguments.add_argument("--jobs", nargs="+", choices=JOBS, default=["paper", "nasbench201"])
    arguments.add_argument("--batch", type=int, help="images in a batch (16 paper, 32 laptop, 32 nasbench201)")
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=5, help="of first-order steps; three fewer of second order")
    arguments.add_argument("--tricks", choices=[*JOBS, "no"], default="laptop", help="what each trick buys, on which")
    arguments.add_argument("--save", help="also write benchmarks/results/<SAVE>.json")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)

    header = {
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, {_processor()}",
        "python": platform.python_version(), "torch": torch.__version__, "threads": given.threads,
        "rounds": given.rounds, "date": time.strftime("%Y-%m-%d"), "load_before": [round(x, 1) for x in _load()],
    }  # fmt: skip
    print("; ".join(f"{name} {value}" for name, value in header.items()))
    print("baseline (1x): the published supernet and procedure, plain.py, same weights, same run\n")
    print(f"{'':56} {'ms':>8} {'plain ms':>9} {'ratio':>6} {'quartiles':>11} {'fastest':>7} {'must':>5}")
    rows = []
    for job in given.jobs:
        batch = given.batch or {"paper": 16}.get(job, 32)
        for row in measure(job, batch, given.rounds, second=job != "nasbench201"):
            rows.append(row)
            print(_line(row), flush=True)
        save(given.save, header, rows, [])
    tricks = []
    if given.tricks != "no":
        batch = given.batch or {"paper": 16}.get(given.tricks, 32)
        tricks = what_each_trick_buys(given.tricks, batch, given.rounds)
        print(f"\nWithout it a step takes so many times as long ({given.tricks}, batch {batch}): weight, alpha")
        for row in tricks:
            print(f"  {row['off']:20} {row['weight_step']:6.2f} {row['alpha_step']:6.2f}")
    save(given.save, header, rows, tricks)


def save(name: str | None, header: dict, rows: list[dict], tricks: list[dict]) -> None:
    if name is not None:
        RESULTS.mkdir(exist_ok=True)
        data = {**header, "load_after": [round(x, 1) for x in _load()], "rows": rows, "tricks": tricks}
        (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


def _line(row: dict) -> str:
    name = f"{row['job']}, batch {row['batch']}: {row['step']}"
    must = f"{row['must']:5.1f}" if row["must"] else ""
    if "count" in row:
        return f"{name:56} {row['count']:8d} {row['plain_count']:9d} {row['ratio']:6.2f} {'':11} {'':7} {must}"
    low, high = row["quartiles"]
    times = f"{row['milliseconds']:8.0f} {row['plain_milliseconds']:9.0f}"
    return f"{name:56} {times} {row['ratio']:6.2f} {low:5.2f}-{high:<5.2f} {row['ratio_of_fastest']:7.2f} {must}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _load() -> tuple[float, ...]:
    return os.getloadavg() if hasattr(os, "getloadavg") else ()


if __name__ == "__main__":
    main()
