"""Processor seconds to import naslab, as a ratio to `import torch` alone.

    python -m benchmarks.imports

Each program runs in a process of its own, and the programs take turns. What torch imports is the baseline, because
nothing of naslab computes without it; the bare `import naslab` does not import it yet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from benchmarks.machine import machine

MUST = 1.25
"""Ratio at most, for the names that a search of cells is made of: 0.4 s where `import torch` takes 1.6 s."""
USUAL = "import naslab as nl; nl.Search, nl.searchers.Darts, nl.spaces.DartsCell, nl.tasks.FashionMNIST"
SEARCH = "nl.Search(nl.searchers.Darts(nl.spaces.DartsCell.laptop(), nl.tasks.FashionMNIST(), seed=0))"
PROGRAMS = {
    "import torch": "import torch",
    "import naslab": "import naslab",
    "the names of a search": USUAL,
    "and its view": f"{USUAL}; from naslab_widgets import Lab",
    "the names, and a step of DARTS": f"{USUAL}; next({SEARCH})",
}
BASELINE, JUDGED = "import torch", "the names of a search"


def seconds(program: str) -> float:
    """Processor seconds of a new process that runs it, user and system."""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # or Popen waits for it once more
    if child.returncode:
        raise SystemExit(f"{program} failed")
    return usage.ru_utime + usage.ru_stime


def measure(rounds: int) -> dict[str, list[float]]:
    """Program -> its seconds, one of each round."""
    taken = [[seconds(program) for program in PROGRAMS.values()] for _ in range(rounds)]
    return dict(zip(PROGRAMS, map(list, zip(*taken, strict=True)), strict=True))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=7)
    taken = measure(arguments.parse_args().rounds)
    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'':32} {'seconds':>8} {'ratio':>6} {'over torch':>10}")
    ratios = {}
    for name, each in taken.items():
        pairs = list(zip(each, taken[BASELINE], strict=True))
        over = statistics.median(one - torch for one, torch in pairs)
        ratios[name] = statistics.median(one / torch for one, torch in pairs)
        print(f"{name:32} {statistics.median(each):8.2f} {ratios[name]:6.2f} {over:10.2f}")
    missed = ratios[JUDGED] > MUST
    print(f"Must: {JUDGED} at most {MUST:g} times {BASELINE}; " + ("missed." if missed else "met."))
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
