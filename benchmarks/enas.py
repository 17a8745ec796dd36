"""What ENAS finds against chance, on real images: the found networks and random ones, retrained alike.

    python -m benchmarks.enas                          the table, from results/enas.json
    python -m benchmarks.enas --seeds 0 1 2 --save     go on with what is kept (delete it to begin anew)

Each seed searches the laptop's macro space on 2,000 images of Fashion-MNIST. The network that is found, and two drawn
at random from the space by the same seed, are then trained from scratch with one recipe, and tested on images that no
search has seen. A sample is one network. The search itself costs about as much as the training of three networks, which
the random ones do without: this compares what is found with chance, not with a random search that spends as much.

Beside it stands what the controller has learnt in terms of the shared weights: the mean accuracy that these give to
children drawn from the policy and to random ones, on the same validation images.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

import naslab as nl
from naslab.randomness import numpy_generator, seeded
from naslab.searchers.enas import LAPTOP
from naslab.statistics import interval
from naslab.trainers.compare import Comparison, Score

RESULTS = Path(__file__).parent / "results" / "enas.json"
IMAGES = (2000, 2000)
SEARCH: dict[str, Any] = {**LAPTOP, "epochs": 6, "derived_images": 256}
RECIPE: dict[str, Any] = {"epochs": 3, "batch_size": 64}
RANDOM, DRAWN = 2, 10
SPACE = nl.spaces.EnasMacro.laptop()


def task() -> Any:
    return nl.tasks.FashionMNIST().subset(*IMAGES)


def with_shared_weights(searcher: nl.searchers.Enas, children: Sequence[nl.Architecture]) -> float:
    return statistics.fmean(searcher.accuracy(child) for child in children)


def searched(seed: int, images: Any, runs: Path | None) -> Any:
    """A search that is done; one that was broken off goes on."""
    if runs is not None and (runs / f"enas-{seed}").exists():
        search = nl.Search.open(runs / f"enas-{seed}")
    else:
        run = None if runs is None else runs / f"enas-{seed}"
        search = nl.Search(nl.searchers.Enas(SPACE, images, seed=seed, **SEARCH), run=run)
    for _ in tqdm(search, total=search.total, initial=search.step, desc=f"seed {seed}, search", unit="step"):
        pass
    search.close()
    return search.searcher


def run(seed: int, found: dict[str, Any], runs: Path | None) -> Iterator[dict[str, Any]]:
    """One search, and the networks that are retrained: what is known after each of them, from what is known already."""
    images = task()
    if not found:
        searcher = searched(seed, images, runs)
        rng = numpy_generator("benchmarks.enas", "shared", seed)
        drawn = [SPACE.architecture(choices) for choices in searcher.controller.draw(DRAWN, rng).answers]
        found = {
            "seed": seed,
            "found": SPACE.format(searcher.best),
            "shared": {
                "controller": with_shared_weights(searcher, drawn),
                "random": with_shared_weights(searcher, [SPACE.sample(rng) for _ in range(DRAWN)]),
            },
            "trained": [],
        }
        yield found
    rng = numpy_generator("benchmarks.enas", "alone", seed)
    chosen = [("found", SPACE.parse(found["found"])), *(("random", SPACE.sample(rng)) for _ in range(RANDOM))]
    for group, child in chosen[len(found["trained"]) :]:
        found = {**found, "trained": [*found["trained"], retrained(group, child, images, seed)]}
        yield found


def retrained(group: str, child: nl.Architecture, images: Any, seed: int) -> dict[str, Any]:
    with seeded(seed, "alone"):
        network = SPACE.build(child, images)
    report = nl.trainers.fit(network, images, seed=seed, progress=False, **RECIPE)
    return {
        "group": group,
        "architecture": SPACE.format(child),
        "test_accuracy": report.test_accuracy,
        "parameters": report.parameters,
    }


def table(record: Sequence[dict[str, Any]]) -> str:
    """Both comparisons, with intervals."""
    scores = [
        Score(
            group=each["group"],
            architecture=SPACE.parse(each["architecture"]),
            seed=one["seed"],
            test_accuracy=each["test_accuracy"],
            parameters=each["parameters"],
        )
        for one in record
        for each in one["trained"]
    ]
    if not scores:
        return "nothing has been run yet"
    better = [100 * (one["shared"]["controller"] - one["shared"]["random"]) for one in record]
    low, high = interval(better)
    return (
        f"{len(record)} seeds; retrained alone, {IMAGES[0]} images, {RECIPE['epochs']} epochs each\n"
        f"{Comparison(tuple(scores))!r}\n\n"
        f"with the shared weights, children of the controller less random ones, accuracy %: "
        f"{statistics.fmean(better):+.2f} ({low:+.2f}..{high:+.2f} over the seeds)"
    )


def kept() -> dict[int, dict[str, Any]]:
    """Seed -> what is known of it."""
    return {one["seed"]: one for one in json.loads(RESULTS.read_text())["runs"]} if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="which to run; none: the kept results")
    parser.add_argument("--save", action="store_true", help=f"keep the results in {RESULTS.name}")
    parser.add_argument("--runs", type=Path, help="folder of the searches, so that one that is broken off goes on")
    given = parser.parse_args()
    record = kept() if given.save or not given.seeds else {}
    for seed in given.seeds:
        for found in run(seed, record.get(seed, {}), given.runs):
            record = {**(kept() if given.save else record), seed: found}
            if given.save:
                about = {"images": IMAGES, "search": SEARCH, "recipe": RECIPE, "space": SPACE.spec()}
                runs = [record[key] for key in sorted(record)]
                RESULTS.write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")
    print(table([record[key] for key in sorted(record)]))


if __name__ == "__main__":
    main()
