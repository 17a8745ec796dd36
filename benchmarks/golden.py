"""Seeded searches, and one hash each of the numbers that they come to: equal before and after a change that moves code.

    python -m benchmarks.golden > before.txt          then, with the change, on the same machine:
    python -m benchmarks.golden --expect before.txt   or some of them: python -m benchmarks.golden darts "enas macro"

What is hashed are numbers and texts, asked for by the names of properties that stay: losses, accuracies, probabilities,
architectures, fitness, trained weights. Neither events as they are stored nor the order or names of weights are in it:
a wider format of events, or the same network put together otherwise, gives the same hash.

The searches of `TABLES` add, compare and draw whole numbers, and come to the same everywhere (tests/test_golden.py has
their hashes). The others are exact on one machine, with one version of torch and one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import naslab as nl
from naslab.architecture import Architecture
from naslab.searchers import gradient
from naslab.threads import torch_threads

Said = Iterator[Any]
"""Numbers, texts, arrays, tensors, architectures, None, and sequences or mappings of those."""

LOSSES = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
SAID: Mapping[str, tuple[str, ...]] = {
    "supernet_step": ("epoch", *LOSSES, "entropy", "skip_count", "discretisation_gap", "probabilities", "best"),
    "child_trained": ("epoch", "architecture", "train_loss", "train_accuracy", "best"),
    "evaluated": (
        *("number", "architecture", "origin", "parents", "status", "fitness", "best", "best_fitness"),
        *("fidelity", "candidate", "begins_from", "probabilities"),
    ),
    "raced": ("searcher", "seed", "number", "architecture", "status", "fitness", "spent"),
    "changed": ("name", "old", "new"),
    "measured": ("name", "value"),
    "ranked": ("numbers", "scores", "truth", "kendall", "spearman", "overlap", "regret", "best", "best_score"),
}
"""Kind of event -> what is asked of it, besides its step."""


class Hash:
    """SHA-256 of values, each with its sort and length; `count` numbers and texts have gone in."""

    def __init__(self) -> None:
        self._sha, self.count = hashlib.sha256(), 0

    def add(self, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().numpy()
        if isinstance(value, Architecture):
            value = list(value.choices)
        if value is None:
            self._put(b"n", b"", 1)
        elif isinstance(value, str):
            self._put(b"t", value.encode(), 1)
        elif isinstance(value, bool | int | float | np.number):
            self._put(b"f", struct.pack("<d", float(value)), 1)
        elif isinstance(value, np.ndarray):
            self._put(b"a", np.ascontiguousarray(value.astype("<f8")).tobytes(), value.size)
        elif isinstance(value, Mapping):
            self._put(b"m", struct.pack("<q", len(value)), 0)
            for name in sorted(value):
                self.add(name)
                self.add(value[name])
        else:
            each = list(value)
            self._put(b"s", struct.pack("<q", len(each)), 0)
            for one in each:
                self.add(one)

    def _put(self, sort: bytes, content: bytes, count: int) -> None:
        self._sha.update(sort + struct.pack("<q", len(content)) + content)
        self.count += count

    def hex(self) -> str:
        return self._sha.hexdigest()


def hashed(values: Iterable[Any]) -> tuple[str, int]:
    """The hash of all values, and how many numbers and texts are in it."""
    found = Hash()
    for value in values:
        found.add(value)
    return found.hex(), found.count


def told(events: Iterable[Any]) -> Said:
    """What events say: steps, and what was done or measured between them."""
    for event in events:
        if event.kind not in SAID:
            continue
        yield event.kind
        yield event.step
        for name in SAID[event.kind]:
            yield name
            yield getattr(event, name)


def weights(network: torch.nn.Module) -> Said:
    """The hashes of its weights and statistics, without names or order, sorted."""
    yield sorted(hashed([tensor])[0] for tensor in network.state_dict().values())


def searched(
    searcher: Any, turned: Mapping[int, tuple[str, float]] | None = None, measured: str = "", **given: Any
) -> Said:
    """A search to its end: what it said, and the weights that it leaves.

    `turned` has, for a number of finished steps, a setting and its new value; `measured` is measured after the last.
    """
    search = nl.Search(searcher, **given)
    while search.step < search.total:
        if turned and search.step in turned:
            search.set(*turned[search.step])
        next(search)
    if measured:
        search.measure(measured)
    yield from told(search.events)
    shared = searcher.weights.network if hasattr(searcher, "weights") else getattr(searcher, "network", None)
    if shared is not None:
        yield from weights(shared)
    yield from (getattr(searcher, "alphas", None) or {}).items()
    search.close()


# --- the searches ----------------------------------------------------------------------------------------------------

OPERATIONS = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")
RATES = {1: ("w_lr", 0.02), 3: ("alpha_lr", 0.05)}
SMALL: Mapping[str, Any] = {"epochs": 2, "batch_size": 16, "train_portion": 0.5}
EVOLVING: Mapping[str, Any] = {
    **SMALL,
    "w_lr": 0.1,
    "valid_images": 16,
    "recalibration_images": 16,
    "population": 4,
    "generations": 3,
    "parents": 2,
    "crossovers": 1,
    "mutations": 1,
}


def digits(train: int = 128) -> Any:
    return nl.tasks.Digits().subset(train, 32)


def clothes() -> Any:
    """Images that are mirrored, too."""
    return nl.tasks.FashionMNIST().subset(64, 32)


def darts_cell() -> Any:
    return nl.spaces.DartsCell(nodes=2, channels=4, cells=3, operations=OPERATIONS)


def nasbench201_cell() -> Any:
    return nl.spaces.NASBench201(channels=4, cells=1)


def mobile_chain() -> Any:
    return nl.spaces.MobileChain(channels=4, stages=2, layers=2, stem_stride=1)


def on_table(
    searcher: Any, table: Any, budget: int, turned: Mapping[int, tuple[str, float]] | None = None, **given: Any
) -> Said:
    """A sampler with a table."""
    return searched(searcher(table.space, seed=1, **given), turned, estimator=table, budget=budget)


def on_supernet(searcher: Any, space: Any, task: Any, turned: Any = None, measured: str = "", **given: Any) -> Said:
    """A searcher with weights of its own."""
    ranking = given.pop("ranking", None)
    return searched(searcher(space, task, seed=1, **given), turned, measured, ranking=ranking)


def trained(searcher: Any, budget: int, epochs: int = 1, **given: Any) -> Said:
    """A sampler whose candidates are trained for real."""
    training = nl.estimators.Training(
        nl.spaces.NASBench201(channels=2, cells=1), digits(), epochs=epochs, batch_size=16, learning_rate=0.1
    )
    return searched(searcher(training.space, seed=1, **given), estimator=training, budget=budget)


def composed() -> Said:
    """The parts of the gradient family that no preset below has."""
    latency = [[0.0, 0.1, 1.0, 2.0, 0.5]] * 6
    return on_supernet(
        nl.searchers.GradientSearch,
        nasbench201_cell(),
        digits(),
        **SMALL,
        mixing=gradient.JointSoftmax(),
        sampling=gradient.Concrete(),
        channels=gradient.PartialChannels(one_in=2),
        level=gradient.MixedLevel(),
        regularizers=(
            gradient.Resource(what="table", table={"cell": latency}),
            gradient.Entropy(),
            gradient.SkipDropout(),
            gradient.Perturbation(),
        ),
    )


def raced() -> Said:
    """Two searchers of two seeds each on one table."""
    table = nl.benchmarks.NASBenchMacro()
    runners = {
        "random": lambda seed: nl.searchers.RandomSearch(table.space, seed=seed),
        "evolution": lambda seed: nl.searchers.RegularizedEvolution(table.space, population=8, sample=3, seed=seed),
    }
    for lap in nl.Race(runners, table, seeds=range(2), budget=30):
        yield lap.searcher, lap.seed, lap.query, lap.architecture, lap.fitness, lap.spent


def fitted() -> Said:
    """A network trained by `fit`, with drop path, smoothed labels and held-out images."""
    space, task = darts_cell(), digits(200)
    architecture = space.sample(np.random.default_rng(1))
    with nl.seeded(1, "weights"):
        network = space.build(architecture, task, drop_path=0.2)
    recipe = nl.trainers.Recipe(epochs=3, batch_size=32, held_out=0.2, drop_path=0.2, label_smoothing=0.1)
    report = nl.trainers.fit(network, task, recipe=recipe, seed=1, threads=1, progress=False)
    yield architecture
    for row in report.history:
        names = ("epoch", "learning_rate", *LOSSES, "test_loss", "test_accuracy")
        yield {name: getattr(row, name) for name in names}
    yield report.parameters, report.epochs, report.best_epoch, report.test_accuracy, report.test_loss
    yield from weights(network)


searchers, benchmarks = nl.searchers, nl.benchmarks

TABLES: Mapping[str, Callable[[], Said]] = {
    "regularized evolution": lambda: on_table(
        searchers.RegularizedEvolution, benchmarks.NASBench201(), 120, {60: ("sample", 2)}, population=12, sample=4
    ),
    "random search": lambda: on_table(searchers.RandomSearch, benchmarks.NASBenchMR(), 60),
    "local search": lambda: on_table(searchers.LocalSearch, benchmarks.NASBenchMacro(), 120),
    "hyperband": lambda: on_table(searchers.Hyperband, benchmarks.NASBench201("cifar100"), 40, most=200, eta=16),
    "q learning": lambda: on_table(
        searchers.QLearning, benchmarks.NASBench201(), 60, {20: ("epsilon", 0.5)}, models=30, replay=4
    ),
    "race": raced,
}
"""Searches that come to the same on every machine."""

OTHERS: Mapping[str, Callable[[], Said]] = {
    "bohb": lambda: on_table(
        searchers.BOHB, benchmarks.NASBench201(), 60, most=200, eta=16, samples=3, random_fraction=0.1
    ),
    "reinforce": lambda: on_table(
        searchers.NasRL, benchmarks.NASBench201(), 30, {10: ("learning_rate", 0.01)}, units=5, children=2
    ),
    "ppo": lambda: on_table(searchers.PPO, benchmarks.NASBenchMacro(), 30, units=5, children=2, passes=2),
    "darts": lambda: on_supernet(searchers.Darts, darts_cell(), digits(), RATES, "alpha_hessian_eigenvalue", **SMALL),
    "darts second order": lambda: on_supernet(searchers.Darts, darts_cell(), digits(), RATES, order=2, **SMALL),
    "darts exact": lambda: on_supernet(
        searchers.Darts, darts_cell(), clothes(), order=2, hessian_product="exact", **{**SMALL, "epochs": 1}
    ),
    "darts ranked": lambda: on_supernet(
        searchers.Darts,
        nasbench201_cell(),
        digits(),
        ranking=nl.LiveRanking(benchmarks.NASBench201(), 6, every=3, images=16, resamples=20),
        **SMALL,
    ),
    "pcdarts": lambda: on_supernet(searchers.PCDarts, nasbench201_cell(), digits(), RATES, **SMALL, warmup=0.5),
    "gdas": lambda: on_supernet(searchers.GDAS, darts_cell(), digits(), RATES, **SMALL),
    "drnas": lambda: on_supernet(searchers.DrNAS, nasbench201_cell(), digits(), **SMALL, one_in=2),
    "sdarts": lambda: on_supernet(
        searchers.SmoothDarts, nasbench201_cell(), digits(), **SMALL, perturbation="adversarial", ascent_steps=1
    ),
    "milenas": lambda: on_supernet(searchers.MiLeNAS, nasbench201_cell(), digits(), **SMALL),
    "snas": lambda: on_supernet(searchers.SNAS, nasbench201_cell(), digits(), **SMALL, resource_weight=0.1),
    "proxylessnas": lambda: on_supernet(
        searchers.ProxylessNAS, nasbench201_cell(), digits(), {4: ("resource_weight", 0.5)}, **SMALL, warmup=0.5
    ),
    "proxylessnas reinforce": lambda: on_supernet(
        searchers.ProxylessNAS, nasbench201_cell(), digits(), **SMALL, warmup=0.0, rule="reinforce"
    ),
    "gradient search": composed,
    "spos": lambda: on_supernet(searchers.SPOS, mobile_chain(), digits(), {2: ("w_lr", 0.02)}, **EVOLVING),
    "fairnas": lambda: on_supernet(searchers.FairNAS, nasbench201_cell(), digits(), **EVOLVING),
    "en2as": lambda: on_supernet(
        searchers.EN2AS, darts_cell(), digits(), **EVOLVING, archive=2, nearest=1, perturbations=3
    ),
    "enas macro": lambda: on_supernet(
        searchers.Enas,
        nl.spaces.EnasMacro(layers=4, channels=4),
        digits(),
        {9: ("controller_lr", 0.02)},
        **SMALL,
        controller_steps=2,
        children=2,
        derived=2,
        units=5,
    ),
    "enas micro": lambda: on_supernet(
        searchers.Enas,
        nl.spaces.EnasMicro(nodes=2, channels=2, cells=3),
        digits(),
        **SMALL,
        controller_steps=2,
        children=2,
        derived=2,
        units=5,
    ),
    "evolution with training": lambda: trained(searchers.RegularizedEvolution, 6, population=4, sample=2),
    "hyperband with training": lambda: trained(searchers.Hyperband, 7, epochs=2, most=2, eta=2),
    "large-scale evolution with training": lambda: trained(searchers.LargeScaleEvolution, 6, population=4),
    "fit": fitted,
}
"""Searches that come to the same on one machine, with one version of torch."""

SEARCHES = {**TABLES, **OTHERS}


def golden(name: str) -> tuple[str, int]:
    """The hash of one of `SEARCHES`, and how many numbers and texts are in it."""
    with torch_threads(1):
        return hashed(SEARCHES[name]())


def line(name: str, found: str, count: int) -> str:
    return f"{name:36} {found}  {count:7}"


def read(file: Path) -> dict[str, str]:
    """Name -> hash and count, of an earlier output."""
    rows = [text.rsplit(maxsplit=2) for text in file.read_text().splitlines() if not text.startswith("#")]
    return {name: f"{found} {count}" for name, found, count in rows}


def main() -> None:
    from benchmarks.machine import machine  # here, for the tests load this file alone

    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("names", nargs="*", metavar="name", help=f"of searches; all if left out: {list(SEARCHES)}")
    arguments.add_argument("--expect", type=Path, help="an earlier output: exit with 1 if a hash differs from it")
    given = arguments.parse_args()
    if unknown := [name for name in given.names if name not in SEARCHES]:
        arguments.error(f"no search is called {unknown[0]!r}; there are {', '.join(SEARCHES)}")
    expected = read(given.expect) if given.expect else None

    about = {name: value for name, value in machine().items() if name not in ("load_before", "date")}
    print("# " + "; ".join(f"{name} {value}" for name, value in about.items()))
    differs, begun = [], time.process_time()
    for name in given.names or SEARCHES:
        found, count = golden(name)
        print(line(name, found, count), flush=True)
        if expected is not None and expected.get(name) != f"{found} {count}":
            differs.append(name if name in expected else f"{name} (which {given.expect} does not have)")
    print(f"# {time.process_time() - begun:.0f} s of the processor")
    if expected is not None:
        if not given.names:
            differs += [f"{name} (which there is no more)" for name in expected if name not in SEARCHES]
        print(f"# differs: {', '.join(differs)}" if differs else f"# all as in {given.expect}")
    raise SystemExit(bool(differs))


if __name__ == "__main__":
    main()
