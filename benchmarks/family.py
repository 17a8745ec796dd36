"""The family of searches by gradients, and ENAS, at one budget, against random cells, on real images.

    python -m benchmarks.family                          the tables, from results/family.jsonl
    python -m benchmarks.family --minutes 4              do rows that are missing for so long, and keep each
    python -m benchmarks.family nasbench201 --minutes 9  of this part only (twelve minutes of one core for all rows)

Three parts, each on 1,000 + 2,000 images of Fashion-MNIST that come with naslab. The budget of a search is a number of
mini-batches, of training and validation images together: a step of DARTS takes two, one of SNAS or ENAS takes one. All
searches by gradients have the same learning rates, as far as they are free, and no resource term.

`nasbench201`  the cell that a search gives is looked up: its test accuracy on CIFAR-10 after 200 epochs. The baseline
               is exact, all 15,625 cells of the table. Searched on other images than it is judged by.
`darts`        the cell is built alone and trained from new weights by one recipe, and so are random cells.
`enas`         the same of ENAS in its own space, with random networks of that space.

A sample is a search with a seed of its own (weights, alphas, data, order), retrained with that seed. Every method is
tested against random by Welch's t and by ranks, corrected by Holm for the number of methods in the part.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import naslab as nl
from naslab.randomness import numpy_generator, seeded
from naslab.statistics import holm, interval, mann_whitney, welch

RESULTS = Path(__file__).parent / "results" / "family.jsonl"
IMAGES, TEST_IMAGES = 1000, 2000
SEEDS, RANDOM = 5, 8
BUDGET = {"nasbench201": 240, "darts": 120, "enas": 240}
"""Part -> mini-batches of a search."""
BATCH = 32
SPACES = {
    "nasbench201": nl.spaces.NASBench201.laptop(),
    "darts": nl.spaces.DartsCell(nodes=2, channels=8, cells=3),
    "enas": nl.spaces.EnasMacro.laptop(),
}
COMMON = {
    "batch_size": BATCH,
    "w_lr": 0.1,
    "w_lr_min": 0.001,
    "w_weight_decay": 3e-4,
    "alpha_lr": 0.02,
    "alpha_scale": 1e-3,
}
"""A short search on few images: rates as in the first notebook, all else for all as for DARTS."""
FAMILY: dict[str, tuple[Any, dict[str, Any]]] = {
    "darts": (nl.searchers.Darts, {"order": 1}),
    "milenas": (nl.searchers.MiLeNAS, {}),
    "idarts": (nl.searchers.IDarts, {}),
    "snas": (nl.searchers.SNAS, {}),
    "gdas": (nl.searchers.GDAS, {}),
    "proxylessnas": (nl.searchers.ProxylessNAS, {"resource_weight": 0.0}),
    "pcdarts": (nl.searchers.PCDarts, {}),
    "drnas": (nl.searchers.DrNAS, {}),
    "sdarts": (nl.searchers.SmoothDarts, {}),
    "robust_darts": (nl.searchers.RobustDarts, {"window": 2, "skip_dropout": 0.3}),
}
"""Name -> the searcher, and what of it is not as published."""
RECIPE = nl.trainers.Recipe(epochs=4, batch_size=BATCH, learning_rate=0.1, augment=False, channels_last=True)

Row = dict[str, Any]


def images() -> Any:
    return nl.tasks.FashionMNIST().subset(IMAGES, TEST_IMAGES)


def searcher(part: str, method: str, seed: int, task: Any, budget: int) -> tuple[Any, int]:
    """A search, planned over the budget in mini-batches, and its number of steps."""
    space = SPACES[part]
    if method == "enas":
        epochs = max(1, budget // (IMAGES * 8 // 10 // BATCH + 20))
        given = {"batch_size": BATCH, "train_portion": 0.8, "controller_steps": 2, "controller_lr": 0.01}
        return nl.searchers.Enas(space, task, seed=seed, epochs=epochs, children=10, **given), budget
    make, options = FAMILY[method]
    both = method != "snas"  # a step of SNAS moves weights and alphas by one mini-batch
    steps = budget // (2 if both else 1)
    epochs = math.ceil(steps / (IMAGES // (2 if both else 1) // BATCH))
    return make(space, task, seed=seed, epochs=epochs, **COMMON, **options), steps


def retrained(space: Any, architecture: Any, task: Any, seed: int) -> float:
    """Test accuracy in per cent of the architecture, built alone and trained from new weights."""
    with seeded("family", seed):
        network = space.build(architecture, task)
    return 100 * nl.trainers.fit(network, task, recipe=RECIPE, seed=seed, threads=1, progress=False).test_accuracy


def row(part: str, method: str, seed: int, *, task: Any = None, budget: int | None = None) -> Row:
    """One sample: what a search with a seed gave, or a random architecture, and what that is worth."""
    task, budget, space = task or images(), budget or BUDGET[part], SPACES[part]
    begin, steps = time.process_time(), 0
    if method == "random":
        best = space.sample(numpy_generator("family", part, seed))
    else:
        search, limit = searcher(part, method, seed, task, budget)
        while search.step < min(limit, search.total):
            search.advance()
        best, steps = search.best, search.step
    searched = time.process_time() - begin
    if part == "nasbench201":
        table = nl.benchmarks.NASBench201("cifar10")
        accuracy = float(table.query(table.space.architecture(best.choices)).test_accuracy)
    else:
        accuracy = retrained(space, best, task, seed)
    return {
        "part": part,
        "method": method,
        "seed": seed,
        "accuracy": round(accuracy, 4),
        "steps": steps,
        "search_seconds": round(searched, 1),
        "choices": list(best.choices),
    }


def wanted() -> Iterator[tuple[str, str, int]]:
    """All samples; the first seed of everything first."""
    for part in SPACES:
        methods = {"nasbench201": list(FAMILY), "darts": list(FAMILY), "enas": ["enas"]}[part]
        for seed in range(RANDOM):
            if part != "nasbench201":
                yield part, "random", seed
            if seed < SEEDS:
                for method in methods:
                    yield part, method, seed


def kept(path: Path = RESULTS) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(parts: Sequence[str], minutes: float, path: Path = RESULTS, clock: Callable[[], float] = time.monotonic) -> int:
    """Do missing rows, each appended when it is done, and begin no more after so many minutes; how many are missing."""
    done = {(row["part"], row["method"], row["seed"]) for row in kept(path)}
    missing = [sample for sample in wanted() if sample not in done and sample[0] in parts]
    task, end = images(), clock() + 60 * minutes
    while missing and clock() < end:
        found = row(*missing.pop(0), task=task)
        with path.open("a") as file:
            file.write(json.dumps(found) + "\n")
    return len(missing)


def tables(rows: Sequence[Row]) -> str:
    """A table a part: mean and 95 % interval of each method, and whether it differs from random."""
    lines: list[str] = []
    for part in dict.fromkeys(row["part"] for row in rows):
        samples: dict[str, list[float]] = {}
        seconds: dict[str, list[float]] = {}
        for each in rows:
            if each["part"] == part:
                samples.setdefault(each["method"], []).append(each["accuracy"])
                seconds.setdefault(each["method"], []).append(each["search_seconds"])
        if part == "nasbench201":
            samples["random"] = nl.benchmarks.NASBench201("cifar10").column("test_accuracy").tolist()
        lines += ["", *_table(part, samples, seconds)]
    return "\n".join(lines).strip()


def _table(part: str, samples: dict[str, list[float]], seconds: dict[str, list[float]]) -> list[str]:
    random = samples.pop("random")
    tests = {name: (welch(values, random), mann_whitney(values, random)) for name, values in samples.items()}
    by_means, by_ranks = (holm([both[place].p for both in tests.values()]) for place in (0, 1))
    lines = [
        f"{part}: test accuracy, %; {BUDGET[part]} mini-batches a search",
        f"{'':14}{'n':>6}{'mean':>8}  {'95 % interval':16}{'better than random':>19}{'p, Welch':>10}{'p, ranks':>10}"
        f"{'seconds':>9}",
    ]
    for place, (name, values) in enumerate(samples.items()):
        better = tests[name][0].superiority
        spent = f"{statistics.fmean(seconds[name]):9.0f}"
        lines.append(f"{_line(name, values)}{better:19.2f}{_p(by_means[place]):>10}{_p(by_ranks[place]):>10}{spent}")
    return [*lines, _line("random", random)]


def _line(name: str, values: Sequence[float]) -> str:
    low, high = interval(values)
    shown = "-" if math.isnan(low) else f"{low:.2f} .. {high:.2f}"
    return f"{name:14}{len(values):6,}{statistics.fmean(values):8.2f}  {shown:16}"


def _p(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(SPACES), help=f"of {', '.join(SPACES)}; all if left out")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long to do missing rows")
    given = parser.parse_args()
    for part in given.parts:
        if part not in SPACES:
            parser.error(f"there is no part {part!r}; known: {', '.join(SPACES)}")
    if given.minutes:
        print(f"{run(given.parts, given.minutes)} rows are missing still")
    print(tables(kept()))


if __name__ == "__main__":
    main()
