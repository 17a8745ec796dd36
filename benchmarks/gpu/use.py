"""Memory, trainings, estimators and rankings on the device."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

import naslab as nl
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Report
from benchmarks.gpu.sameness import name_of
from naslab.analysis.memory import available, peak, step_memory
from naslab.device import synchronise

FITS: tuple[dict[str, Any], ...] = (
    {},
    {"precision": "bfloat16"},
    {"precision": "float16"},
    {"channels_last": True},
    {"compile": True},
)


def _network(bench: Bench, task: Any) -> torch.nn.Module:
    space = bench.nasbench201
    with nl.seeded(0, "child"):
        return space.build(space.sample(np.random.default_rng(1)), task)


def memory(bench: Bench, report: Report) -> None:
    """What a step is estimated to need, twice, and what it needs."""

    def sizes() -> dict[str, float]:
        search = bench.large()
        about = search.network, bench.paper.edges(), len(bench.paper.operations), bench.images
        told, again = (step_memory(*about, batch_size=bench.batch) for _ in range(2))
        search.advance()
        true = peak(search.advance, bench.device)
        found = {"estimated MB": told.step / 1e6, "again MB": again.step / 1e6, "measured MB": true / 1e6}
        free = available(bench.device)
        if free is not None:
            found["free GB"] = free / 1e9
        if bench.cuda:
            held = torch.cuda.memory_reserved(bench.device) - torch.cuda.memory_allocated(bench.device)
            found["of it in torch's cache GB"] = held / 1e9
        return found

    report.check("step of DARTS", sizes)


def trainings(bench: Bench, report: Report) -> None:
    """Two epochs of `fit` in five settings, and in two processes where there are two GPUs."""

    def fit(**given: Any) -> dict[str, float]:
        network = _network(bench, bench.images)
        recipe = {"epochs": 2, "batch_size": 128, "seed": 0, "progress": False, "device": bench.device}
        synchronise(bench.device)
        begun = time.perf_counter()
        found = nl.trainers.fit(network, bench.images, **recipe, **given)
        return {"test accuracy": found.test_accuracy, "s": time.perf_counter() - begun}

    for given in FITS:
        if not bench.cuda and ("compile" in given or given.get("precision") == "float16"):
            report.leave_out(name_of(given), "it is for GPUs")
        else:
            report.check(name_of(given), lambda given=given: fit(**given), most=120)
    if bench.cuda and torch.cuda.device_count() > 1:
        report.check("two processes", lambda: fit(processes=2), most=120)
    else:
        report.leave_out("two processes", "there are not two GPUs")


def estimators(bench: Bench, report: Report) -> None:
    """Zero-cost proxies against the CPU; a training; what a child takes; a ranking with shared weights."""
    space, task = bench.nasbench201, bench.digits
    architecture = space.sample(np.random.default_rng(3))

    def proxy(name: str) -> dict[str, float]:
        there, here = (
            float(nl.estimators.ZeroCost(space, task, name, batch_size=32, device=device)(architecture))
            for device in (bench.device, "cpu")
        )
        return {"relative to the CPU": abs(there - here) / max(abs(here), 1e-12)}

    for name in nl.estimators.zero_cost.PROXIES:
        with bench.numerics():
            report.check(f"zero-cost, {name}", lambda name=name: proxy(name))

    def training() -> dict[str, float]:
        estimator = nl.estimators.Training(space, task, device=bench.device, epochs=1, batch_size=64)
        return {"fitness": estimator(architecture).fitness}

    def child() -> dict[str, float]:
        from naslab.estimators import resources

        network = _network(bench, task).to(bench.device)
        x = task.inputs(task.example(32, device=bench.device))
        return {
            "latency ms": 1e3 * resources.latency(network, x, repeats=5),
            "training forward ms": bench.milliseconds(lambda: network(x)),
            "memory MB": resources.memory(network, x) / 1e6,
        }

    def ranking() -> dict[str, float]:
        count, images = (3, 32) if bench.small else (20, 256)
        ranked = nl.LiveRanking(nl.benchmarks.NASBench201(), count, every=1, images=images)
        search = nl.Search(bench.search(task=bench.images, batch_size=bench.batch), ranking=ranked)
        next(search)
        return {
            f"s for a step and {count + 1} children": bench.milliseconds(lambda: next(search), count=2, warm=0) / 1e3
        }

    report.check("training", training)
    report.check("child", child)
    report.check("live ranking", ranking)
