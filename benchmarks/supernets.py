"""The steps of the fast supernets against those of the published ones, in time, launches and memory.

The baseline is `plain.py` run as its authors run it: the step of the architecture computes the gradients of the weights
too, and throws them away.
"""

from __future__ import annotations

import statistics
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.plain import PlainDartsSupernet, PlainNASBench201Supernet
from naslab.analysis.memory import peak, step_memory
from naslab.analysis.steps import Steps, interleaved
from naslab.networks import DartsSupernet, NASBench201Supernet
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.per_edge import to_per_edge
from naslab.operations import kernels
from naslab.operations.images import DARTS_SEARCHED, NASBENCH201_OPERATIONS
from naslab.searchers.gradient.bilevel import (
    InnerStep,
    exact_product,
    finite_difference_product,
    gradients,
    unrolled_gradients,
    weights_at,
)
from naslab.threads import torch_threads

DARTS = (DartsSupernet, PlainDartsSupernet)
NASBENCH201 = (NASBench201Supernet, PlainNASBench201Supernet)
JOBS: dict[str, Any] = {
    "paper": (DARTS, (DARTS_SEARCHED, 4, (3, 32, 32), 10), {"channels": 16, "cells": 8}, {"normal": 14, "reduce": 14}),
    "laptop": (DARTS, (DARTS_SEARCHED, 3, (1, 28, 28), 10), {"channels": 8, "cells": 4}, {"normal": 9, "reduce": 9}),
    "nasbench201": (
        NASBENCH201,
        (tuple(NASBENCH201_OPERATIONS), (3, 32, 32), 10),
        {"channels": 16, "cells": 5},
        {"cell": 6},
    ),
}
WEIGHT, ALPHA, WHOLE = "weight step", "alpha step, first order", "whole step, first order"
SECOND, EXACT = "alpha step, second order, finite difference", "alpha step, second order, exact"
LAUNCHES = "operations launched, weight step"
MUST = {
    "paper": {WEIGHT: 6.5, ALPHA: 8.5, WHOLE: 7.5, SECOND: 5.0, LAUNCHES: 2.0},
    "laptop": {WEIGHT: 5.0, ALPHA: 7.0},
    "nasbench201": {WEIGHT: 2.6, ALPHA: 4.0, LAUNCHES: 2.0},
}
"""Job -> kind of step -> what the ratio to the published step is to be at least (by batch size where that matters).

Those of DARTS' supernet are for one thread. A quiet processor with vectors of 256 bits (AVX2) came to 6.7, 9.5 and 7.9
at the paper's size, and to 6.2 and 9.9 at the laptop's."""
WITH_TWO_THREADS = {"nasbench201"}
"""Jobs whose ratios are asked for with two threads; with one they are printed all the same."""


class PublishedSteps(Steps):
    """The same steps in the published way."""

    def alpha_step(self) -> None:
        self.loss().backward()

    def second_order(self) -> None:
        """Gradient at w, everything at w', the alphas at w+ and w-."""
        alphas = list(self.alphas.values())
        step = InnerStep(xi=0.025, weight_decay=3e-4, momentum=[None] * len(self.weights))
        moved = [w.detach() for w in step.move(self.weights, gradients(self.loss(), self.weights))]
        with weights_at(self.weights, moved):
            both = gradients(self.loss(), [*alphas, *self.weights])
        v = both[len(alphas) :]
        epsilon = 0.01 / torch.cat([g.flatten() for g in v]).norm()
        for sign in (1, -1):
            with weights_at(
                self.weights, [w.detach() + sign * epsilon * g for w, g in zip(self.weights, v, strict=True)]
            ):
                gradients(self.loss(), alphas)


def second_order(steps: Steps, product: Any) -> None:
    step = InnerStep(xi=0.025, weight_decay=3e-4, momentum=[None] * len(steps.weights))
    with frozen_statistics(steps.network):
        unrolled_gradients(
            train_loss=steps.loss,
            valid_loss=steps.loss,
            weights=steps.weights,
            alphas=list(steps.alphas.values()),
            step=step,
            product=product,
        )


class Launches(TorchDispatchMode):
    """Counts the operations that reach a device: all but those that only look at memory in another way."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


def launches(steps: Steps) -> int:
    """Of a weight step, as on a GPU: without what is compiled for the CPU alone."""
    with mock.patch.object(kernels, "_library", return_value=None), Launches() as counter:
        steps.weight_step()
    return counter.count


def make(job: str, batch: int, device: torch.device | str = "cpu") -> tuple[Steps, PublishedSteps]:
    """The fast and the published steps, with the same weights."""
    (fast_kind, plain_kind), arguments, sizes, rows = JOBS[job]
    torch.manual_seed(0)
    fast, plain = fast_kind(*arguments, **sizes), plain_kind(*arguments, **sizes)
    plain.load_state_dict(to_per_edge(fast))
    x, y = torch.randn(batch, *arguments[-2]), torch.randint(arguments[-1], (batch,))
    columns = len(arguments[0])
    fast, plain, x, y = (each.to(device) for each in (fast, plain, x, y))
    return Steps(fast, rows, columns, x, y), PublishedSteps(plain, rows, columns, x, y)


def must(job: str, step: str, batch: int, threads: int, device: str = "cpu") -> float | None:
    """What the ratio is to be at least; None if nothing is asked, as of every ratio on a GPU."""
    asked = device == "cpu" and (threads > 1 or job not in WITH_TWO_THREADS)
    wanted: Any = MUST.get(job, {}).get(step) if asked else None
    return wanted[min(wanted, key=lambda size: abs(size - batch))] if isinstance(wanted, dict) else wanted


def measure(
    job: str, batch: int, threads: int, rounds: int, device: torch.device | str = "cpu"
) -> list[dict[str, Any]]:
    """A row a kind of step: name, milliseconds, ratio to the published one, quartiles of the ratio, what it must be."""
    with torch_threads(threads):
        fast, plain = make(job, batch, device)
        seconds = interleaved(
            {
                f"fast {WEIGHT}": fast.weight_step,
                f"plain {WEIGHT}": plain.weight_step,
                f"fast {ALPHA}": fast.alpha_step,
                f"plain {ALPHA}": plain.alpha_step,
            },
            rounds,
            progress=True,
            device=device,
        )
        steps = [WEIGHT, ALPHA, WHOLE]
        if job == "paper":
            steps += [SECOND, EXACT]
            seconds |= interleaved(
                {
                    f"fast {SECOND}": lambda: second_order(fast, finite_difference_product()),
                    f"plain {SECOND}": plain.second_order,
                    f"fast {EXACT}": lambda: second_order(fast, exact_product),
                },
                rounds,
                warm=False,
                progress=True,
                device=device,
            )
            seconds[f"plain {EXACT}"] = seconds[f"plain {SECOND}"]
        for kind in ("fast", "plain"):
            pairs = zip(seconds[f"{kind} {WEIGHT}"], seconds[f"{kind} {ALPHA}"], strict=True)
            seconds[f"{kind} {WHOLE}"] = [sum(pair) for pair in pairs]
        counts = launches(fast), launches(plain)
    about = {"job": job, "batch": batch, "threads": threads, "device": torch.device(device).type}
    rows = [
        {**about, "step": step, **compared(seconds[f"fast {step}"], seconds[f"plain {step}"])}
        | {"must": must(**about, step=step)}
        for step in steps
    ]
    counted = {"step": LAUNCHES, "count": counts[0], "plain_count": counts[1], "ratio": counts[1] / counts[0]}
    return [*rows, {**about, **counted, "must": must(**about, step=LAUNCHES)}]


def compared(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """Of two jobs that took turns: their medians, the ratio of those, and the quartiles of the ratios of the rounds."""
    of_rounds = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, _, high = statistics.quantiles(of_rounds, n=4) if len(of_rounds) > 1 else of_rounds * 3
    return {
        "milliseconds": 1e3 * statistics.median(ours),
        "plain_milliseconds": 1e3 * statistics.median(theirs),
        "ratio": statistics.median(theirs) / statistics.median(ours),
        "quartiles": [low, high],
        "ratio_of_fastest": min(theirs) / min(ours),
    }


def memory(job: str, batch: int) -> dict[str, Any]:
    """Megabytes at most alive in a first-order step: estimated, measured, with checkpointing, and of the published."""
    fast, plain = make(job, batch)
    _, arguments, _, rows = JOBS[job]
    estimate = step_memory(fast.network, rows, len(arguments[0]), arguments[-2], batch_size=batch)

    def most(steps: Steps) -> float:
        def forget() -> None:
            for parameter in [*steps.weights, *steps.alphas.values()]:
                parameter.grad = None

        found = []
        for step in (steps.weight_step, steps.alpha_step):
            step()
            forget()
            found.append(peak(step))
            forget()
        return max(found) / 1e6

    found = {"job": job, "batch": batch, "estimate": estimate.step / 1e6, "measured": most(fast)}
    fast.network.checkpointing = True  # type: ignore[assignment]
    return {**found, "checkpointing": most(fast), "plain": most(plain)}
