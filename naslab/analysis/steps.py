"""Times the steps of a supernet, and the speedup by each of its optimizations (`naslab.operations.optimizations`)."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from naslab.device import synchronise
from naslab.errors import SpecError, whole
from naslab.immutable import Record
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.frozen import frozen
from naslab.operations.descent import sgd
from naslab.operations.optimizations import Optimizations
from naslab.progress import SOON
from naslab.randomness import seeded, torch_generator
from naslab.tasks.checks import check_task
from naslab.threads import torch_threads
from naslab.torch_state import default_torch_state


class Steps:
    """The steps of first-order DARTS on a supernet, repeated on one mini-batch, without data loading and logging.

    Args:
        network: a `naslab.spaces.weight_sharing.Supernet`.
        edges: part -> number of edges E.
        operations: number of candidate operations O per edge.
        x: inputs of the network, for instance [B, C, H, W].
        y: targets, for instance [B] int64.
        loss: (outputs, y) -> a scalar; `task.loss`, if `y` is a mini-batch of a task.
    """

    def __init__(
        self,
        network: nn.Module,
        edges: Mapping[str, int],
        operations: int,
        x: Any,
        y: Any,
        *,
        loss: Callable[[Any, Any], Tensor] = F.cross_entropy,
    ) -> None:
        self.network, self.x, self.y, self._loss = network, x, y, loss
        generator = torch_generator("alphas")
        drawn = {part: 1e-3 * torch.randn(rows, operations, generator=generator) for part, rows in edges.items()}
        self.weights = list(network.parameters())
        device = self.weights[0].device
        self.alphas = {part: alpha.to(device).requires_grad_() for part, alpha in drawn.items()}
        self.sgd = sgd(self.weights, lr=0.025, momentum=0.9, weight_decay=3e-4)

    def loss(self) -> Tensor:
        """Returns the loss of the mixture, differentiable with respect to weights and alphas."""
        return self._loss(self.network(self.x, {p: a.softmax(dim=-1) for p, a in self.alphas.items()}), self.y)

    def weight_step(self) -> None:
        """Trains the weights: forward, backward, gradient clipping, SGD."""
        with torch.no_grad():
            mixture = {part: alpha.softmax(dim=-1) for part, alpha in self.alphas.items()}
        self.sgd.zero_grad()
        self._loss(self.network(self.x, mixture), self.y).backward()
        nn.utils.clip_grad_norm_(self.weights, 5.0)
        self.sgd.step()

    def alpha_step(self) -> None:
        """Computes the first-order gradient of the alphas, without updating them."""
        with frozen_statistics(self.network), frozen(self.weights):
            torch.autograd.grad(self.loss(), list(self.alphas.values()), allow_unused=True)  # a part may have no cell


def interleaved(
    jobs: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warm: bool = True,
    progress: bool = False,
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Returns the seconds [rounds] of each job. The jobs take turns, so that a disturbance of the machine affects all.

    Args:
        jobs: name -> job.
        rounds: number of times that each job is run and timed.
        warm: run each job once more, at the start, without counting it.
        progress: show a progress bar.
        device: where the jobs compute; the clock waits until it has finished.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    bar = tqdm(range(rounds + warm), desc="rounds", unit="round", leave=False, disable=not progress, delay=SOON)
    for number in bar:
        for name, job in jobs.items():
            gc.collect()  # so that no collection falls into the measured time
            synchronise(device)
            start = time.perf_counter()
            job()
            synchronise(device)
            if number >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


@dataclass(frozen=True, eq=False)
class Speedup(Record):
    """Duration of a step without one optimization, as a multiple of that with all of them."""

    trick: str
    """Name of the optimization that is off, as in `Optimizations`; "all" if all are off."""
    weight_step: float
    alpha_step: float


@default_torch_state()
def ablate_optimizations(
    space: Any, task: Any, *, batch_size: int = 16, rounds: int = 3, threads: int = 1, progress: bool = True
) -> list[Speedup]:
    """Returns the durations of the steps with one optimization at a time turned off, relative to all of them on.

    Args:
        space: space with a supernet.
        task: task whose first examples are the mini-batch.
        batch_size: number of examples.
        rounds: number of measurements; the result is the median of their ratios.
        threads: number of CPU threads.
        progress: show a progress bar.
    """
    if not hasattr(space, "supernet"):
        raise SpecError(f"optimizations make supernets fast; {space.name!r} has none")
    rounds, batch_size = whole("rounds", rounds, 1), whole("batch_size", batch_size, 2)
    with seeded("tricks"):
        network = space.supernet(task)
    batch = check_task(task, "ablate_optimizations").example(batch_size)
    steps = Steps(network, space.edges(), len(space.operations), task.inputs(batch), batch, loss=task.loss)
    return optimizations_of(steps, rounds, threads, progress)


@default_torch_state()
def optimizations_of(steps: Steps, rounds: int, threads: int = 1, progress: bool = True) -> list[Speedup]:
    """Returns the result of `ablate_optimizations` for given steps."""
    if not hasattr(steps.network, "optimizations"):
        raise SpecError(f"a {type(steps.network).__name__} has no optimizations that could be turned off")
    names = [field.name for field in dataclasses.fields(Optimizations)]
    settings = {
        "": Optimizations(),
        **{name: Optimizations(**{name: False}) for name in names},
        "all": Optimizations.none(),
    }

    def under(optimizations: Optimizations, step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            steps.network.optimizations = optimizations  # type: ignore[assignment]
            step()

        return run

    kinds = {"weight": steps.weight_step, "alpha": steps.alpha_step}
    jobs = {
        f"{kind} {off}": under(optimizations, step)
        for kind, step in kinds.items()
        for off, optimizations in settings.items()
    }
    with torch_threads(threads):
        seconds = interleaved(jobs, rounds, progress=progress, device=steps.weights[0].device)

    def ratio(kind: str, off: str) -> float:
        pairs = zip(seconds[f"{kind} {off}"], seconds[f"{kind} "], strict=True)
        return statistics.median(without / with_all for without, with_all in pairs)

    steps.network.optimizations = Optimizations()  # type: ignore[assignment]
    return [Speedup(off, ratio("weight", off), ratio("alpha", off)) for off in list(settings)[1:]]
