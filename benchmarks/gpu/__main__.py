"""Ten minutes that tell what naslab does on a GPU: one table, and one file that can be sent.

    make gpu                                             the tests that need a GPU, and then this
    python -m benchmarks.gpu --minutes 10                keeps benchmarks/results/gpu-<name of the GPU>.json
    python -m benchmarks.gpu --device cpu --minutes 1    tries itself, in tiny sizes

Each check stands alone: one that fails is a row of the table, and the rest goes on; one that takes too long is stopped.
Sections come in the order in which one would want to know them, so that what a short time leaves out is the end.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import naslab as nl
from benchmarks.gpu import sameness, speed, use
from benchmarks.gpu.bench import Bench, none_here
from benchmarks.gpu.report import Report
from benchmarks.machine import gpu, machine
from naslab.errors import SpecError
from naslab.threads import torch_threads

RESULTS = Path(__file__).parents[1] / "results"
SECTIONS: Mapping[str, Callable[[Bench, Report], None]] = {
    "smoke": sameness.smoke,
    "agreement": sameness.agreement,
    "determinism": sameness.determinism,
    "waits": speed.waits,
    "steps": speed.steps,
    "baseline": speed.baseline,
    "graphs": speed.graphs,
    "data": speed.data,
    "memory": use.memory,
    "trainings": use.trainings,
    "estimators": use.estimators,
    "rounding": sameness.rounding,
}


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    arguments.add_argument("--device", default="cuda", help="cpu tries the checks themselves, in tiny sizes")
    arguments.add_argument("--minutes", type=float, default=10.0, help="that all of it may take")
    arguments.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    arguments.add_argument("--name", help="of the file, gpu-<NAME>.json; that of the GPU if left out")
    arguments.add_argument("--folder", type=Path, default=RESULTS, help="of the file")
    arguments.add_argument("--there", action="store_true", help="only say whether there is a GPU; exit with 1 if not")
    given = arguments.parse_args()
    if given.device.startswith("cuda") and (why := none_here()):
        print(why)
        raise SystemExit(given.there)
    if given.there:
        return
    try:
        device = nl.device.usable_device(given.device)
    except SpecError as error:
        arguments.error(str(error))
    bench = Bench(device, small=device.type == "cpu")
    head = {**machine(), "naslab": nl.__version__, "device": str(device), **gpu(device)}
    file = given.folder / f"gpu-{given.name or slug(head.get('gpu', device.type))}.json"
    report = Report(given.minutes, head, file)
    print("; ".join(f"{name} {value}" for name, value in head.items()), file=sys.stderr, flush=True)
    with torch_threads(1):
        for name in given.sections:
            with report.section(name):
                SECTIONS[name](bench, report)
            bench.empty()
    print("\n".join(f"{name:20} {value}" for name, value in head.items()))
    print(f"\n{report.table()}\nkept in {file}")
    raise SystemExit(report.failed)


def slug(name: Any) -> str:
    """Returns a name as a part of a file's: "NVIDIA H100 PCIe" -> "nvidia-h100-pcie"."""
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")


if __name__ == "__main__":
    main()
