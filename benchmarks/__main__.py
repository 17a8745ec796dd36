"""Speed of supernets, as ratios to the supernets as published, run in the same minutes.

    make bench                       or: python -m benchmarks --jobs paper --batch 32 --threads 2 --rounds 7

Kinds of step are interleaved, so that a disturbance of the machine meets all of them; the ratio is that of the medians,
its spread the quartiles of the ratios of the rounds. Compare ratios, never times of two machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks import data, supernets
from benchmarks.gpu import speed
from benchmarks.gpu.bench import Bench, none_here
from benchmarks.machine import gpu, load, machine
from naslab.analysis.steps import optimizations_of
from naslab.threads import processors, torch_threads

RESULTS = Path(__file__).parent / "results"
BATCHES = {"paper": [16, 32], "laptop": [32], "nasbench201": [16, 64]}
ROUNDS = {"paper": 3, "laptop": 7, "nasbench201": 7}
"""Short steps are disturbed more, and cost less to repeat."""


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    jobs, threads = list(supernets.JOBS), sorted({1, min(2, processors())})
    arguments.add_argument("--jobs", nargs="+", choices=jobs, default=["paper", "nasbench201"])
    arguments.add_argument("--batch", nargs="+", type=int, help=f"images in a batch; {BATCHES} if left out")
    arguments.add_argument("--threads", nargs="+", type=int, default=threads)
    arguments.add_argument("--rounds", type=int, help=f"in which the steps take turns; {ROUNDS} if left out")
    arguments.add_argument(
        "--optimizations", choices=[*jobs, "no"], default="laptop", help="what each optimization buys, on which"
    )
    arguments.add_argument("--save", help="also write benchmarks/results/<SAVE>.json")
    given = arguments.parse_args()

    found: dict[str, Any] = {
        **machine(),
        "rounds": given.rounds or ROUNDS,
        "rows": [],
        "memory": [],
        "data": {},
        "tricks": [],
    }
    print("; ".join(f"{name} {value}" for name, value in found.items() if value))
    print("baseline (1x): the published supernet and procedure, plain.py, same weights, same run\n")
    print(f"{'':70} {'ms':>7} {'plain ms':>8} {'ratio':>6} {'quartiles':>11} {'fastest':>7} {'must':>5}")

    def keep() -> None:
        if given.save:
            RESULTS.mkdir(exist_ok=True)
            text = json.dumps({**found, "load_after": load()}, indent=1)
            (RESULTS / f"{given.save}.json").write_text(text + "\n")

    for job in given.jobs:
        for batch in given.batch or BATCHES[job]:
            for number in given.threads:
                rows = supernets.measure(job, batch, number, given.rounds or ROUNDS[job])
                found["rows"] += rows
                print(*map(_line, rows), sep="\n", flush=True)
                keep()
    print(
        f"\n{'memory of a step beyond what lasts, MB':40} {'estimate':>9} {'measured':>9} {'checkpointing':>14} plain"
    )
    for job in given.jobs:
        row = supernets.memory(job, (given.batch or BATCHES[job])[0])
        found["memory"].append(row)
        sizes = "{estimate:9.0f} {measured:9.0f} {checkpointing:14.0f} {plain:5.0f}".format(**row)
        print(f"{row['job'] + ', batch ' + str(row['batch']):40} {sizes}", flush=True)
    row = found["data"] = data.share()
    print(
        f"\nimages: {row['load_milliseconds']:.1f} of {row['step_milliseconds']:.0f} ms of a step, "
        f"{100 * row['share']:.1f} % (must: at most {100 * data.MUST:.0f} %)",
        flush=True,
    )
    keep()
    if given.optimizations != "no":
        batch = (given.batch or BATCHES[given.optimizations])[0]
        with torch_threads(1):
            bought = optimizations_of(supernets.make(given.optimizations, batch)[0], given.rounds or 3)
        found["tricks"] = [{"job": given.optimizations, "batch": batch, **dataclasses.asdict(row)} for row in bought]
        print(f"\nWithout it a step takes so many times as long ({given.optimizations}, batch {batch}): weight, alpha")
        for row in bought:
            print(f"  {row.trick:24} {row.weight_step:6.2f} {row.alpha_step:6.2f}")
        keep()
    found["gpu"] = _on_a_gpu(given.jobs, given.rounds)
    keep()
    missed = [row for row in found["rows"] if row["must"] and row["ratio"] < row["must"]]
    missed += [row for row in found["gpu"] if row["must"] and row["count"] > row["must"]]
    missed += [found["data"]] if found["data"]["share"] > data.MUST else []
    print("\nEvery must is met." if not missed else f"\nMissed: {len(missed)} of the musts.")
    raise SystemExit(bool(missed))


def _on_a_gpu(jobs: list[str], rounds: int | None) -> list[dict[str, Any]]:
    """Prints and returns the ratios on a GPU, of which nothing is asked, and the waits of a step, which are counted."""
    if why := none_here():
        print(f"\nGPU: {why}")
        return []
    device = torch.device("cuda")
    print("\nGPU: " + "; ".join(f"{name} {value}" for name, value in gpu(device).items()))
    rows = [
        row
        for job in jobs
        for row in supernets.measure(job, max(BATCHES[job]), 1, rounds or ROUNDS[job], device=device)
        if "count" not in row
    ]
    print(*map(_line, rows), sep="\n", flush=True)
    bench = Bench(device, small=False)
    for name, make in speed.searches(bench).items():
        waits, most = speed.waits_of(make()).total(), speed.MOST_WAITS[name]
        rows.append({"job": name, "step": "waits for the GPU in a step", "count": waits, "must": most})
        print(f"{name}: the host waits for the GPU {waits} times a step (must: at most {most})", flush=True)
    return rows


def _line(row: dict[str, Any]) -> str:
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    where = threads if row["device"] == "cpu" else "GPU"
    name = f"{row['job']}, batch {row['batch']}, {where}: {row['step']}"
    must = f"{row['must']:5.1f}" if row["must"] else ""
    if "count" in row:
        return f"{name:70} {row['count']:7d} {row['plain_count']:8d} {row['ratio']:6.2f} {'':11} {'':7} {must}"
    low, high = row["quartiles"]
    times = f"{row['milliseconds']:7.0f} {row['plain_milliseconds']:8.0f}"
    return f"{name:70} {times} {row['ratio']:6.2f} {low:5.2f}-{high:<5.2f} {row['ratio_of_fastest']:7.2f} {must}"


if __name__ == "__main__":
    main()
