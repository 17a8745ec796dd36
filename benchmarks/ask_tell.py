"""How many candidates a second are asked for, looked up in a table and told, on one core.

    python -m benchmarks.ask_tell                      or: --iterations 100000 --rounds 7

The baseline is regularized evolution on the same table in the fewest lines of plain Python: no checks, no records, no
state that could be saved. Ours and it take turns; seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import deque
from collections.abc import Callable

import naslab as nl
from benchmarks.machine import machine
from naslab.estimators import as_estimator

MUST, WHERE_PLAIN_MAKES = 100_000, 220_000
"""Iterations a second, of random search and of regularized evolution, on a machine on which plain Python makes so many:
a ratio, which holds on any."""
POPULATION, SAMPLE = 10, 3


def searched(make: Callable[[], nl.searchers.Sampler], estimator: nl.estimators.Table, iterations: int) -> None:
    sampler = make()
    for _ in range(iterations):
        trial = sampler.ask()
        sampler.tell(trial, estimator(trial.architecture))  # type: ignore[arg-type]


def plain(fitness: dict[tuple[str, ...], float], options: list[tuple[str, ...]], iterations: int) -> None:
    rng = random.Random(0)
    alive: deque[tuple[float, int, tuple[str, ...]]] = deque(maxlen=POPULATION)
    for number in range(iterations):
        if len(alive) < POPULATION:
            child = tuple(rng.choice(some) for some in options)
        else:
            parent = max(rng.choices(alive, k=SAMPLE))[2]
            place = rng.randrange(len(options))
            new = rng.choice([option for option in options[place] if option != parent[place]])
            child = (*parent[:place], new, *parent[place + 1 :])
        alive.append((fitness[child], number, child))


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    arguments.add_argument("--iterations", type=int, default=50_000)
    arguments.add_argument("--rounds", type=int, default=7)
    given = arguments.parse_args()

    table = nl.benchmarks.NASBench201("cifar10")
    estimator = as_estimator(table)
    fitness = dict(zip(table.choices, table.column().tolist(), strict=True))
    options = [choice.options for choice in table.space.fixed_choices]
    few = {"population": POPULATION, "sample": SAMPLE}
    jobs = {
        "random search": lambda n: searched(lambda: nl.searchers.RandomSearch(table.space), estimator, n),
        "regularized evolution": lambda n: searched(
            lambda: nl.searchers.RegularizedEvolution(table.space, **few), estimator, n
        ),
        "plain Python": lambda n: plain(fitness, options, n),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(given.rounds + 1):
        for name, job in jobs.items():
            begun = time.process_time()
            job(given.iterations if number else 1_000)  # the first is to warm up
            if number:
                seconds[name].append(time.process_time() - begun)

    print("; ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'':24} {'a second':>9} {'quartiles':>17} {'against plain':>14}")
    medians = {name: given.iterations / statistics.median(found) for name, found in seconds.items()}
    for name, found in seconds.items():
        high, _, low = (given.iterations / second for second in statistics.quantiles(found, n=4))
        ratio = medians[name] / medians["plain Python"]
        print(f"{name:24} {medians[name]:9,.0f} {low:8,.0f}-{high:<8,.0f} {ratio:13.2f}x")
    must = MUST / WHERE_PLAIN_MAKES
    missed = [name for name in jobs if medians[name] / medians["plain Python"] < must]
    print(
        f"Must: {must:.2f}x, which is {MUST:,} a second where plain Python makes {WHERE_PLAIN_MAKES:,}; "
        + (f"missed by {', '.join(missed)}." if missed else "met.")
    )
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
