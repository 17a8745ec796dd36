"""Does everything run, is it the search of the CPU, and does it repeat itself?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import naslab as nl
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.report import Report
from naslab.analysis.steps import Steps
from naslab.networks.batch_norm import frozen_statistics
from naslab.searchers.gradient.bilevel import InnerStep, finite_difference_product, gradients
from naslab.snapshot import digest

SETTINGS: tuple[Mapping[str, Any], ...] = (
    {"order": 2},
    {"order": 2, "hessian_product": "exact"},
    {"precision": "bfloat16"},
    {"checkpointing": True},
)
COMPILED: tuple[Mapping[str, Any], ...] = (
    {"compile": True},
    {"compile": True, "order": 2},
    {"compile": True, "checkpointing": True},
    {"compile": True, "precision": "bfloat16"},
    {"compile": "cuda_graphs"},
    {"compile": "cuda_graphs", "order": 2},
)
ENAS = {"controller_steps": 2, "children": 2, "derived": 2}
STEPS = 3


def name_of(given: Mapping[str, Any]) -> str:
    """Returns settings for the table: "order 2, precision bfloat16"."""
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "as it is"


def smoke(bench: Bench, report: Report) -> None:
    """Three steps of every searcher that trains a supernet, and of DARTS in its settings."""
    from naslab.searchers.supernet_searcher import SupernetSearcher

    def steps(search: Any) -> dict[str, Any]:
        events = [search.advance() for _ in range(STEPS)]
        losses = [event.metrics["train/loss"] for event in events if "train/loss" in event.metrics]
        if not all(map(math.isfinite, losses)):
            raise ValueError(f"losses {losses}")
        return {"losses": losses}

    macro = nl.spaces.EnasMacro(layers=4, channels=4)
    for name, searcher in nl.searchers.SEARCHERS.items():
        if issubclass(searcher, SupernetSearcher):
            given = {"space": macro, **ENAS} if name == "enas" else {}
            report.check(
                searcher.__name__, lambda name=searcher.__name__, given=given: steps(bench.search(name, **given))
            )
    for given in SETTINGS:
        report.check(name_of(given), lambda given=given: steps(bench.search(**given)))
    report.check("eigenvalue", lambda: {"value": bench.search().measure("alpha_hessian_eigenvalue")})
    for given in COMPILED:
        if bench.cuda:
            report.check(name_of(given), lambda given=given: steps(bench.search(**given)), most=150)
        else:
            report.leave_out(name_of(given), "graphs are for GPUs")


def agreement(bench: Bench, report: Report) -> None:
    """How far DARTS on the device is from DARTS on the CPU, after five steps."""

    def apart(**given: Any) -> dict[str, float]:
        without = {name: value for name, value in given.items() if name != "precision"}
        there, here = bench.search(**given), bench.search(**{**without, "device": "cpu"})
        loss = probability = 0.0
        for _ in range(5):
            ours, theirs = there.advance(), here.advance()
            loss = max(loss, abs(ours.train_loss - theirs.train_loss) / theirs.train_loss)
            rows = [np.abs(ours.probabilities[part] - p).max() for part, p in theirs.probabilities.items()]
            probability = max(probability, *map(float, rows))
        return {"loss, relative": loss, "probability, absolute": probability}

    for given in ({}, {"order": 2}, {"precision": "tf32"}, {"precision": "bfloat16"}):
        report.check(name_of(given), lambda given=given: apart(**given))


def determinism(bench: Bench, report: Report) -> None:
    """Does the same search come to the same bits, and do steps repeat after a rewind?"""
    cases = {"NAS-Bench-201": (bench.nasbench201, bench.digits), "DARTS cell": (bench.cell, bench.images)}

    def state(space: Any, task: Any, **given: Any) -> str:
        search = bench.search(space=space, task=task, **given)
        for _ in range(6):
            search.advance()
        return digest(search.state_dict())

    def twice(space: Any, task: Any, **given: Any) -> dict[str, bool]:
        return {"equal": state(space, task, **given) == state(space, task, **given)}

    def replays(count: int, **given: Any) -> dict[str, str]:
        """Of runs that are opened again and go back by a step, which repeats all before it."""
        other = refused = 0
        for seed in range(count):
            searcher = bench.search(space=bench.cell, task=bench.images, seed=seed, **given)
            with TemporaryDirectory() as folder:
                search = nl.Search(searcher, run=f"{folder}/run", snapshot_every=50)
                for _ in range(5):
                    next(search)
                state = digest(searcher.state_dict())
                next(search)
                search.close()
                opened = nl.Search.open(f"{folder}/run", bench.images)
                try:
                    opened.rewind(5)
                    other += digest(opened.searcher.state_dict()) != state
                except nl.errors.RunError:
                    refused += 1
                opened.close()
        return {"refused": f"{refused} of {count}", "other bits": f"{other} of {count}"}

    for deterministic in (True, False):
        given = {"deterministic": deterministic}
        for name, case in cases.items():
            report.check(f"{name}, twice, {name_of(given)}", lambda case=case, given=given: twice(*case, **given))
        report.check(f"replays, {name_of(given)}", lambda given=given: replays(1 if bench.small else 3, **given))


def rounding(bench: Bench, report: Report) -> None:
    """What TF32 and bfloat16 do to the finite difference of second order, and to the gradient of first order."""
    with nl.seeded(0, "supernet"):
        network = bench.nasbench201.supernet(bench.digits).to(bench.device)
    x, y = bench.digits.batch(torch.arange(32), device=bench.device)
    steps = Steps(network, bench.nasbench201.edges(), len(bench.nasbench201.operations), x, y)
    for _ in range(2 if bench.small else 8):
        steps.weight_step()
    alphas = list(steps.alphas.values())

    def both(allowed: bool, half: bool = False) -> list[torch.Tensor]:
        """The product with the finite difference, and the gradient of the alphas."""
        kind = torch.autocast(bench.device.type, torch.bfloat16, enabled=half)
        with bench.numerics("tf32" if allowed else "float32"), kind, frozen_statistics(network):
            v = gradients(steps.loss(), steps.weights)
            inner = InnerStep(xi=0.025, weight_decay=3e-4, momentum=[None] * len(v))
            direction, _ = inner.clipped(v)
            product = finite_difference_product()(steps.loss, steps.weights, alphas, direction)
            first = gradients(steps.loss(), alphas)
        return [torch.cat([each.flatten() for each in some]).cpu().double() for some in (product, first)]

    exact: list[torch.Tensor] = []

    def errors(**given: bool) -> dict[str, float]:
        exact[:] = exact or both(False)
        names = ("finite difference, relative", "gradient, relative")
        pairs = zip(names, both(**given), exact, strict=True)
        return {name: float((found - true).norm() / true.norm()) for name, found, true in pairs}

    report.check("TF32", lambda: errors(allowed=True))
    report.check("bfloat16", lambda: errors(allowed=False, half=True))
