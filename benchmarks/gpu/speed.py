"""How long a step takes, what it waits for, and how busy the GPU is meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch

import naslab as nl
from benchmarks import supernets
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Report
from benchmarks.gpu.sameness import name_of
from naslab.device import synchronise
from naslab.snapshot import digest
from naslab.testing.synchronizations import synchronizations

LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
MOST_WAITS = {"DARTS": 4, "DARTS, order 2": 4, "GDAS": 6, "NAS-Bench-201": 4, "SPOS": 4, "ENAS": 4}
"""Host synchronisations that a step of each of `searches` is to make at most."""
MOST_GRAPHS = 3
"""Graphs of a compiled search: of its weights, of its architecture, and of the second derivative."""
WARM = 3
"""Steps before the one whose waits are counted: they fill caches and make the states of the optimisers."""
SHOWN = 5
"""Places of waits in a row of the table."""


def macro(bench: Bench) -> Any:
    """Returns the macro space of ENAS."""
    return nl.spaces.EnasMacro(layers=4, channels=4) if bench.small else nl.spaces.EnasMacro.laptop()


def searches(bench: Bench) -> Mapping[str, Callable[[], Any]]:
    """Name -> maker, of what is timed and whose waits are counted."""
    return {
        "DARTS": bench.large,
        "DARTS, order 2": lambda: bench.large(order=2),
        "GDAS": lambda: bench.large("GDAS"),
        "NAS-Bench-201": lambda: bench.search(task=bench.images, batch_size=bench.batch),
        "SPOS": lambda: bench.search("SPOS", task=bench.images, batch_size=bench.batch),
        "ENAS": lambda: bench.search("Enas", macro(bench), bench.images, batch_size=bench.batch),
    }


def waits_of(search: Any) -> Counter[str]:
    """Returns the host synchronisations of a step, by place, as CUDA reports them."""
    for _ in range(WARM):
        search.advance()
    with synchronizations() as places:
        search.advance()
    return places


def waits(bench: Bench, report: Report) -> None:
    """Host synchronisations of a step."""
    for name, make in searches(bench).items():
        if not bench.cuda:
            report.leave_out(name, "a CPU is not waited for")
            continue

        def count(name: str = name, make: Callable[[], Any] = make) -> dict[str, Any]:
            places = waits_of(make())
            return {"a step": places.total(), "at most": MOST_WAITS[name], "places": dict(places.most_common(SHOWN))}

        report.check(name, count)


def kernels(bench: Bench, step: Callable[[], object]) -> dict[str, float]:
    """Kernels and copies of a step, and the time that the GPU computes, in milliseconds; nothing on a CPU."""
    if not bench.cuda:
        return {}
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA], acc_events=True) as profiled:
        step()
        synchronise(bench.device)
    # the span of an optimiser's step is among the events of the GPU, too, and would count its kernels twice
    on_gpu = [
        each for each in profiled.events() or () if "CUDA" in str(each.device_type) and not each.is_user_annotation
    ]
    return {"kernels": len(on_gpu), "busy ms": sum(each.time_range.elapsed_us() for each in on_gpu) / 1e3}


def steps(bench: Bench, report: Report) -> None:
    """Milliseconds, kernels, busy share and peak memory of a step, in many settings."""

    def speed(make: Callable[[], Any], change: Callable[[Any], object] = lambda _: None) -> dict[str, Any]:
        search = make()
        change(search)
        if bench.cuda:
            torch.cuda.reset_peak_memory_stats(bench.device)
        found: dict[str, Any] = {"ms": bench.milliseconds(search.advance)}
        if bench.cuda:
            found["peak GB"] = torch.cuda.max_memory_allocated(bench.device) / 1e9
        counted = kernels(bench, search.advance)
        if counted:
            counted["busy share"] = counted["busy ms"] / found["ms"]
        return found | counted

    for name, make in searches(bench).items():
        report.check(name, lambda make=make: speed(make))
    for given in ({"precision": "tf32"}, {"checkpointing": True}, {"batch_size": 4 * bench.batch}):
        report.check(f"DARTS, {name_of(given)}", lambda given=given: speed(lambda: bench.large(**given)))
    report.check("DARTS, not deterministic", lambda: speed(lambda: bench.large(deterministic=False)))
    for precision in ("float32", "bfloat16"):
        for name, memory_format in LAYOUTS.items():
            report.check(
                f"DARTS, {precision}, {name}",
                lambda p=precision, f=memory_format: speed(
                    lambda: bench.large(precision=p), lambda search: search.network.to(memory_format=f)
                ),
            )
    for way in (True, "cuda_graphs"):
        for order in (1, 2):
            given = {"compile": way, "order": order}
            name = f"DARTS, {name_of(given)}"
            if bench.cuda:
                report.check(name, lambda given=given: speed(lambda: bench.large(**given)), most=240)
            else:
                report.leave_out(name, "graphs are for GPUs")


def graphs_of(bench: Bench, order: int) -> dict[str, Any]:
    """Returns the graphs and breaks of a compiled DARTS, and the seconds of its first step."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    search = bench.search(space=bench.cell, task=bench.images, compile=True, order=order)
    begun = time.perf_counter()
    search.advance()
    first = time.perf_counter() - begun
    for _ in range(10):
        search.advance()
    return {
        "graphs": counters["stats"]["unique_graphs"],
        "at most": MOST_GRAPHS,
        "breaks": sum(counters["graph_break"].values()),
        "CUDA graphs left out": counters["inductor"]["cudagraph_skips"],
        "first step s": first,
    }


def graphs(bench: Bench, report: Report) -> None:
    """Graphs, breaks, and CUDA graphs that were left out."""
    for order in (1, 2):
        if bench.cuda:
            report.check(f"order {order}", lambda order=order: graphs_of(bench, order), most=180)
        else:
            report.leave_out(f"order {order}", "graphs are for GPUs")


def baseline(bench: Bench, report: Report) -> None:
    """The steps of `plain.py`, the supernet as published, over ours, on the same device in turns."""
    rounds = 1 if bench.small else 5
    jobs = ["laptop"] if bench.small else ["paper", "nasbench201"]
    for precision in ("float32", "tf32") if bench.cuda else ("float32",):
        for job in jobs:

            def ratios(job: str = job, precision: str = precision) -> dict[str, float]:
                with bench.numerics(precision):
                    rows = supernets.measure(job, bench.batch, 1, rounds, device=bench.device)
                return {
                    f"{row['step']}{unit}": row[name]
                    for row in rows
                    if "milliseconds" in row
                    for name, unit in (("milliseconds", ", ms"), ("ratio", ", ratio"))
                }

            report.check(f"{job}, batch {bench.batch}, {precision}", ratios, most=120)


def data(bench: Bench, report: Report) -> None:
    """Milliseconds of an augmented mini-batch on the device, and of a snapshot of a supernet of the paper's size."""
    task = bench.images.augmented(padding=4, flip=True, cutout=16)
    generator = torch.Generator().manual_seed(0)
    where = torch.arange(bench.batch)

    def batch() -> dict[str, float]:
        many = 5 if bench.small else 50
        made = lambda: task.batch(where, augment=generator, device=bench.device)  # noqa: E731
        return {"ms": bench.milliseconds(made, count=many)}

    def snapshot() -> dict[str, float]:
        search = bench.large()
        search.advance()
        state = bench.milliseconds(search.state_dict, count=3, warm=1)
        return {
            "state ms": state,
            "state and digest ms": bench.milliseconds(lambda: digest(search.state_dict()), count=3),
        }

    report.check(f"mini-batch of {bench.batch}", batch)
    report.check("snapshot", snapshot)
