"""Zero-cost proxies on NAS-Bench-201: what their ranking is worth, and how fast they are.

    python -m benchmarks.zero_cost             the table, from results/zero_cost.json
    python -m benchmarks.zero_cost --score     score the cells again (half an hour on one quiet core)
    python -m benchmarks.zero_cost --speed     time against the published procedures

The networks are the benchmark's: 16 channels, 5 cells a stage, 10 classes, images of 3 x 32 x 32. The images are those
of Fashion-MNIST that come with naslab, padded by two pixels and repeated on three channels; published figures are from
CIFAR-10. The accuracies are the benchmark's, on the test images of CIFAR-10.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import statistics
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

import naslab as nl
from naslab.analysis.ranking import Ranking
from naslab.estimators.zero_cost import PROXIES, VOTERS, scores, votes
from naslab.randomness import numpy_generator, seeded

RESULTS = Path(__file__).parent / "results" / "zero_cost.json"
SPEED = RESULTS.with_name("zero_cost_speed.json")
PUBLISHED = {
    "synflow": 0.737, "jacob_cov": 0.731, "snip": 0.596, "grad_norm": 0.594, "grasp": 0.514, "fisher": 0.360,
    "vote": 0.817, "flops": 0.753,
}  # fmt: skip
"""Spearman with the accuracy on CIFAR-10, over all cells (Abdelfattah et al. 2021, Table 2; FLOPs from the table)."""


def images_of_three_channels(seed: int = 0) -> nl.tasks.Images:
    """Fashion-MNIST as [3, 32, 32]."""
    grey = nl.tasks.FashionMNIST().subset(2_000, 10, seed=seed)
    x, y, test_x, test_y = (
        F.pad(part, (2, 2, 2, 2)).repeat(1, 3, 1, 1) if part.ndim == 4 else part
        for part in (grey.train.images, grey.train.labels, grey.test.images, grey.test.labels)
    )
    return nl.tasks.Images.from_arrays(x, y, 10, test=(test_x, test_y), name="fashion_mnist, 3 x 32 x 32")


def mini_batch(task: nl.tasks.Images, batch: int, seed: int) -> tuple[Tensor, Tensor]:
    drawn = numpy_generator(seed, "batch").permutation(len(task.train))[:batch]
    return task.batch(torch.from_numpy(drawn))


def score_cells(cells: int, batch: int, seed: int, path: Path) -> None:
    """Score so many random cells by every proxy; the file is written anew now and then, and can be gone on with."""
    table, task = nl.benchmarks.NASBench201("cifar10"), images_of_three_channels(seed)
    x, y = mini_batch(task, batch, seed)
    order = numpy_generator(seed, "cells").permutation(len(table))[:cells].tolist()
    record: dict[str, Any] = {
        "images": task.name, "batch": batch, "seed": seed, "space": table.space.spec(), "cells": [],
        "scores": {name: [] for name in PROXIES},
    }  # fmt: skip
    if path.exists() and all((old := json.loads(path.read_text())).get(k) == record[k] for k in ("batch", "seed")):
        record = old
    for index in tqdm(order[len(record["cells"]) :], initial=len(record["cells"]), total=cells, unit="cell"):
        with seeded(seed, "weights"):
            network = table.space.build(table.at(index), task)
        for name, score in scores(network, x, y).items():
            record["scores"][name].append(float(f"{score:.9g}"))
        record["cells"].append(index)
        if len(record["cells"]) % 10 == 0 or len(record["cells"]) == cells:
            path.write_text(json.dumps(record) + "\n")


# --- the procedures as published, a copy of the network and passes of its own each ------------------------------


def kinds(network: nn.Module, *kind: type[nn.Module]) -> list[Any]:
    return [module for module in network.modules() if isinstance(module, kind)]


def published_naswot(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Forward and backward, to mark the ReLUs that the output depends on; forward again, two products a ReLU."""
    network, x = copy.deepcopy(network), x.clone().requires_grad_()
    kernel, reached = np.zeros((len(x), len(x))), set()

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if module in reached:
            code = (inputs[0].reshape(len(x), -1) > 0).float()
            alike = code @ code.t(), (1.0 - code) @ (1.0 - code.t())
            kernel[:] += alike[0].numpy() + alike[1].numpy()

    for module in kinds(network, nn.ReLU):
        module.register_forward_hook(add)
        module.register_full_backward_hook(lambda module, inputs, outputs: reached.add(module))
    logits = network(x)
    logits.backward(torch.ones_like(logits))
    network(x.detach().clone())
    return float(np.linalg.slogdet(kernel)[1])


def published_grad_norm(network: nn.Module, x: Tensor, y: Tensor) -> float:
    network = copy.deepcopy(network)
    F.cross_entropy(network(x), y).backward()
    return sum(float(layer.weight.grad.norm()) for layer in kinds(network, nn.Conv2d, nn.Linear) if reached(layer))


def reached(layer: Any) -> bool:
    return layer.weight.grad is not None


def published_snip(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """The gradient of a mask of ones on every weight."""
    network = copy.deepcopy(network)
    for layer in kinds(network, nn.Conv2d, nn.Linear):
        layer.mask = nn.Parameter(torch.ones_like(layer.weight))
        layer.weight.requires_grad = False
        layer.forward = types.MethodType(masked_conv if isinstance(layer, nn.Conv2d) else masked_linear, layer)
    F.cross_entropy(network(x), y).backward()
    masks = [layer.mask.grad for layer in kinds(network, nn.Conv2d, nn.Linear)]
    return sum(float(gradient.abs().sum()) for gradient in masks if gradient is not None)


def masked_conv(layer: Any, x: Tensor) -> Tensor:
    weight = layer.weight * layer.mask
    return F.conv2d(x, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def masked_linear(layer: Any, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight * layer.mask, layer.bias)


def published_fisher(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Backward hooks on every layer; the channel's value for each of its weights."""
    network, found = copy.deepcopy(network), []

    def through(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        layer.seen = output
        return layer.identity(output)

    def saliency(layer: Any, identity: nn.Module, inputs: Any, gradients: tuple[Tensor, ...]) -> None:
        product = layer.seen.detach() * gradients[0].detach()
        g = product.sum(list(range(2, product.ndim))) if product.ndim > 2 else product
        channels = g.pow(2).mean(0).mul(0.5)
        found.append(torch.stack([torch.full(layer.weight.shape[1:], value) for value in channels.tolist()]))

    for layer in kinds(network, nn.Conv2d, nn.Linear):
        layer.identity = nn.Identity()
        layer.register_forward_hook(through)
        layer.identity.register_full_backward_hook(partial(saliency, layer))
    F.cross_entropy(network(x), y).backward()
    return sum(float(value.sum()) for value in found)


def published_jacob_cov(network: nn.Module, x: Tensor, y: Tensor) -> float:
    network, x = copy.deepcopy(network), x.clone().requires_grad_()
    logits = network(x)
    logits.backward(torch.ones_like(logits))
    eigenvalues, _ = np.linalg.eig(np.corrcoef(x.grad.reshape(len(x), -1).numpy()))  # type: ignore[union-attr]
    return -float(np.sum(np.log(eigenvalues + 1e-5) + 1 / (eigenvalues + 1e-5)).real)


def published_grasp(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """One forward and backward for g, another with a graph for g' stop(g)."""
    network = copy.deepcopy(network)
    weights = [layer.weight for layer in kinds(network, nn.Conv2d, nn.Linear)]
    first = torch.autograd.grad(F.cross_entropy(network(x), y), weights, allow_unused=True)
    second = torch.autograd.grad(F.cross_entropy(network(x), y), weights, create_graph=True, allow_unused=True)
    sum((a.data * b).sum() for a, b in zip(first, second, strict=True) if a is not None).backward()  # type: ignore[union-attr]
    return sum(float((-w.data * w.grad).sum()) for w in weights if w.grad is not None)


def published_synflow(network: nn.Module, x: Tensor, y: Tensor) -> float:
    network = copy.deepcopy(network)
    for layer in kinds(network, nn.BatchNorm2d):
        layer.forward = types.MethodType(lambda self, x: x, layer)
    for tensor in network.state_dict().values():
        tensor.abs_()
    network.double()
    network(torch.ones([1, *x.shape[1:]]).double()).sum().backward()
    learnt = [layer.weight for layer in kinds(network, nn.Conv2d, nn.Linear) if reached(layer)]
    return sum(float((w.data * w.grad).abs().sum()) for w in learnt)


PLAIN: dict[str, Callable[[nn.Module, Tensor, Tensor], float]] = {
    "naswot": published_naswot,
    "grad_norm": published_grad_norm,
    "snip": published_snip,
    "fisher": published_fisher,
    "jacob_cov": published_jacob_cov,
    "synflow": published_synflow,
    "grasp": published_grasp,
}
SHARED = ["grad_norm", "snip", "fisher", "jacob_cov", "synflow"]
"""The set of PERFORMANCE: without GraSP; NASWOT, which has a ratio of its own, is added in a second line."""


MUST = {"naswot": 9, "grasp": 2, "set without grasp, shared": 4}
"""What the ratio to the published procedure is to be at least."""


def speed(batch: int, rounds: int) -> list[dict[str, Any]]:
    """Processor seconds of one thread, our way and as published, interleaved; the cell of six 3 x 3 convolutions."""
    space = nl.spaces.NASBench201.paper()
    task = images_of_three_channels()
    x, y = mini_batch(task, batch, 0)
    with seeded(0, "weights"):
        network = space.build(space.architecture(("nor_conv_3x3",) * 6), task)
    jobs: dict[str, Callable[[], Any]] = {f"plain {n}": partial(f, network, x, y) for n, f in PLAIN.items()}
    jobs["ours naswot"] = partial(scores, network, x, y, ["naswot"])
    jobs["ours grasp"] = partial(scores, network, x, y, ["grasp"])
    jobs["ours shared"] = partial(scores, network, x, y, SHARED)
    jobs["ours shared, NASWOT too"] = partial(scores, network, x, y, [*SHARED, "naswot"])
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in tqdm(range(rounds), unit="round"):
        for name, job in jobs.items():
            gc.collect()
            start = time.process_time()
            job()
            seconds[name].append(time.process_time() - start)
    comparisons = {name: ([f"plain {name}"], f"ours {name}") for name in ("naswot", "grasp")}
    comparisons["set without grasp, shared"] = ([f"plain {name}" for name in SHARED], "ours shared")
    with_naswot = [f"plain {name}" for name in (*SHARED, "naswot")]
    comparisons["the same and NASWOT"] = (with_naswot, "ours shared, NASWOT too")
    rows = []
    for name, (theirs, ours) in comparisons.items():
        plain = [sum(of_round) for of_round in zip(*(seconds[job] for job in theirs), strict=True)]
        ratios = [b / a for a, b in zip(seconds[ours], plain, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        median, published = statistics.median(seconds[ours]), statistics.median(plain)
        rows.append(
            {"proxy": name, "seconds": median, "published_seconds": published, "ratio": published / median,
             "quartiles": [low, high], "must": MUST.get(name)}
        )  # fmt: skip
    return rows


# --- tables --------------------------------------------------------------------------------------------------


def rankings(record: dict[str, Any], metric: str, resamples: int = 1000) -> dict[str, Ranking]:
    """Proxy -> how its scores rank the accuracies of the table."""
    truth = nl.benchmarks.NASBench201("cifar10").query_many(np.array(record["cells"]), metric=metric)
    found = {name: np.array(values) for name, values in record["scores"].items()}
    found["vote"] = votes({name: found[name] for name in VOTERS})
    return {name: Ranking.of(values, truth, resamples=resamples) for name, values in found.items()}


def print_rankings(record: dict[str, Any]) -> None:
    """A line a proxy. The published figures are of the validation accuracy, but for FLOPs."""
    test, valid = rankings(record, "test_accuracy"), rankings(record, "valid_accuracy")
    print(f"{len(record['cells'])} cells, batch {record['batch']}, seed {record['seed']}; images: {record['images']}")
    print(f"{'Spearman':11}{'test accuracy':26}{'validation accuracy':26}{'published':>9}  Kendall, test")
    for name in sorted(test, key=lambda name: -test[name].spearman.value):
        known = f"{PUBLISHED[name]:9.3f}" if name in PUBLISHED else " " * 9
        print(f"{name:11}{test[name].spearman!s:26}{valid[name].spearman!s:26}{known}  {test[name].kendall}")
    print(f"{'':11}{'best 10 kept':26}regret of the best 10, % of test accuracy")
    for name, ranking in test.items():
        print(f"{name:11}{ranking.overlap!s:26}{ranking.regret}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--score", action="store_true")
    arguments.add_argument("--speed", action="store_true")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--cells", type=int, default=300)
    arguments.add_argument("--batch", type=int, default=64)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--file", type=Path, default=RESULTS)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    if chosen.score:
        score_cells(chosen.cells, chosen.batch, chosen.seed, chosen.file)
    if chosen.speed:
        rows = speed(2 * chosen.batch, chosen.rounds)
        for row in rows:
            spread = "{:.1f} to {:.1f}".format(*row["quartiles"])
            must = f", must {row['must']}" if row["must"] else ""
            print(f"{row['proxy']:28}{row['seconds']:7.2f} s  {row['ratio']:5.1f} x ({spread}){must}")
        SPEED.write_text(json.dumps(rows, indent=1) + "\n")
        missed = [row["proxy"] for row in rows if row["must"] and row["ratio"] < row["must"]]
        print(f"Missed: {', '.join(missed)}." if missed else "Every must is met.")
        raise SystemExit(bool(missed))
    else:
        print_rankings(json.loads(chosen.file.read_text()))


if __name__ == "__main__":
    main()
