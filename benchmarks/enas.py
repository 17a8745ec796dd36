"""What ENAS finds against chance, on real images: the found networks and random ones, retrained alike.

    python -m benchmarks.enas                          the table, from results/enas.json
    python -m benchmarks.enas --seeds 0 1 2 --save     go on with what is kept (delete it to begin anew)

Each seed searches macro networks of four layers, with `LAPTOP`, on 6,000 images of Fashion-MNIST shrunk to 14 x 14, as
notebook 05 does. The network that is found, two more children of the controller and three drawn at random from the
space are then trained from scratch with one recipe, and tested on images that no search has seen. A sample is one
network. The search itself costs about as much as the training of six networks, which the random ones do without: this
compares what is found with chance, not with a random search that spends as much.

Beside it stands what the controller has learnt in terms of the shared weights: its entropy, as a share of that of
uniform decisions, and the mean accuracy that the weights give to children drawn from the policy and to random ones, on
the same validation images. That gap is larger than what the children are worth: what the controller likes is trained
more often. So the same children are judged a second time, by *impartial* weights: those of the same search with a
controller that does not learn, all of whose children are random.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import time
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
IMAGES, SIDE = (6000, 2000), 14
SEARCH: dict[str, Any] = dict(LAPTOP)
IDLE: dict[str, Any] = {"controller_steps": 1, "children": 1, "controller_lr": 1e-6}
"""A controller that does not learn."""
RECIPE: dict[str, Any] = {"epochs": 2, "batch_size": 64, "threads": 1}
RANDOM, CHILDREN, DRAWN = 3, 2, 20
SPACE = nl.spaces.EnasMacro(layers=4, channels=8)
UNIFORM = sum(math.log(len(choice.options)) for choice in SPACE.each_choice())
"""Nats of decisions of which every option is as likely."""


def task() -> Any:
    full = nl.tasks.FashionMNIST().subset(*IMAGES)
    return dataclasses.replace(full, train=full.train.shrunk(SIDE), test=full.test.shrunk(SIDE))


def judged(
    searcher: nl.searchers.Enas, drawn: Sequence[nl.Architecture], by_chance: Sequence[nl.Architecture]
) -> dict[str, float]:
    """Mean accuracy that its shared weights give to children of the controller and to random ones."""
    groups = {"controller": drawn, "random": by_chance}
    return {name: statistics.fmean(map(searcher.accuracy, children)) for name, children in groups.items()}


def searched(seed: int, images: Any, runs: Path | None, **changes: Any) -> Any:
    """A search that is done; one that was broken off goes on."""
    if runs is not None and (runs / f"enas-{seed}").exists():
        search = nl.Search.open(runs / f"enas-{seed}")
    else:
        run = None if runs is None else runs / f"enas-{seed}"
        search = nl.Search(nl.searchers.Enas(SPACE, images, seed=seed, **{**SEARCH, **changes}), run=run)
    for _ in tqdm(search, total=search.total, initial=search.step, desc=f"seed {seed}, search", unit="step"):
        pass
    search.close()
    return search.searcher


def run(seed: int, found: dict[str, Any], runs: Path | None) -> Iterator[dict[str, Any]]:
    """One search, and the networks that are retrained: what is known after each of them, from what is known already."""
    images = task()
    if not found:
        began = time.process_time()
        searcher = searched(seed, images, runs)
        seconds = time.process_time() - began
        rng = numpy_generator("benchmarks.enas", "shared", seed)
        policy = searcher.controller.draw(DRAWN, rng)
        drawn = [SPACE.architecture(choices) for choices in policy.answers]
        by_chance = [SPACE.sample(rng) for _ in range(DRAWN)]
        impartial = searched(seed, images, None, **IDLE)
        found = {
            "seed": seed,
            "cpu_seconds": round(seconds, 1),
            "entropy": float(policy.entropy.mean()) / UNIFORM,
            "found": SPACE.format(searcher.best),
            "children": [SPACE.format(child) for child in drawn[:CHILDREN]],
            "shared": judged(searcher, drawn, by_chance),
            "impartial": judged(impartial, drawn, by_chance),
            "trained": [],
        }
        yield found
    rng = numpy_generator("benchmarks.enas", "alone", seed)
    chosen = [("found", SPACE.parse(found["found"]))]
    chosen += [("controller", SPACE.parse(child)) for child in found["children"]]
    chosen += [("random", SPACE.sample(rng)) for _ in range(RANDOM)]
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
    entropies = ", ".join(f"{one['entropy']:.2f}" for one in record)
    return (
        f"{len(record)} seeds; entropy of the controller, of uniform 1: {entropies}\n"
        f"retrained alone, {IMAGES[0]} images, {RECIPE['epochs']} epochs each\n"
        f"{Comparison(tuple(scores))!r}\n\n"
        "children of the controller less random ones, accuracy % (95 % interval over the seeds)\n"
        f"with the shared weights of the search: {gap(record, 'shared')}\n"
        f"with impartial ones: {gap(record, 'impartial')}"
    )


def gap(record: Sequence[dict[str, Any]], judge: str) -> str:
    better = [100 * (one[judge]["controller"] - one[judge]["random"]) for one in record]
    low, high = interval(better)
    return f"{statistics.fmean(better):+.2f} ({low:+.2f}..{high:+.2f})"


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
                about = {"images": IMAGES, "side": SIDE, "search": SEARCH, "recipe": RECIPE, "space": SPACE.spec()}
                runs = [record[key] for key in sorted(record)]
                RESULTS.write_text(json.dumps({**about, "runs": runs}, indent=1) + "\n")
    print(table([record[key] for key in sorted(record)]))


if __name__ == "__main__":
    main()
