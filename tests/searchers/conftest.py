import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import naslab as nl
from naslab.architecture import Choice
from naslab.searchers import gradient
from naslab.testing import SearcherCase

sys.path.append(str(Path(__file__).parents[1] / "guests"))
import guest_tasks

CELL = dict(nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=4, cells=3)
SMALL = dict(batch_size=16, epochs=2)
COLD = ({"temperature": 0.0}, {"temperature": -1.0}, {"temperature_end": float("nan")}, {"temperature_end": 1e-6})
EVOLUTION = dict(population=4, sample=2)
CONTROLLER = dict(units=5, children=2)
CONTROLLER_BAD = (
    {"seed": -1},
    {"units": 0},
    {"children": 1.5},
    {"layers": True},
    {"policy": "transformer"},
    {"reward": "squared"},
    {"learning_rate": 0.0},
    {"learning_rate": "fast"},
    {"entropy_weight": -0.1},
    {"baseline_momentum": 1.0},
    {"reach": 0.0},
)


@dataclass(frozen=True)
class Maker:
    """From a seed and hyperparameters to a fresh searcher; and what the suite must know of it to use it."""

    make: Callable[..., Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    turn: tuple[str, float] | None = None
    """A knob, and another value for it."""
    other: Mapping[str, Any] = field(default_factory=dict)
    """A hyperparameter that is not the default."""
    bad: tuple[Mapping[str, Any], ...] = ({"seed": -1}, {"seed": True}, {"seed": "one"})
    """What is refused."""

    def __call__(self, **given):
        return self.make(**{**self.defaults, **given})


@dataclass(frozen=True)
class Tree(nl.spaces.Space):
    """One to three layers; the third may read the first, and then says how strongly. 26 architectures."""

    name = "tree"

    def next_choice(self, prefix):
        if not prefix:
            return Choice("depth", (1, 2, 3))
        layers = [Choice(f"tree/{layer}/op", ("a", "b")) for layer in range(1, prefix[0] + 1)]
        if len(prefix) <= len(layers):
            return layers[len(prefix) - 1]
        if len(prefix) == 4:
            return Choice("tree/3/from_1", (0, 1))
        return Choice("tree/3/gain", (0.5, 1.0)) if prefix[4:] == (1,) else None

    def build(self, architecture, task):
        raise NotImplementedError

    def graph(self, architecture):
        raise NotImplementedError


@pytest.fixture
def tree():
    return Tree()


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="session")
def benchmark():
    return nl.benchmarks.NASBench201()


def _darts(space, digits, **defaults):
    bad = ({"seed": -1}, {"threads": 0}, {"epochs": 0}, {"batch_size": -4}, {"w_lr": 0.0})
    return Maker(
        lambda **given: nl.searchers.Darts(space, digits, **given),
        {**SMALL, **defaults},
        turn=("w_lr", 0.01),
        other={"alpha_lr": 0.02},
        bad=bad,
    )


def _trials(sampler, benchmark, defaults=(), **about):
    return Maker(lambda **given: sampler(benchmark.space, **given), dict(defaults), **about)


def _gradient(name, space, digits, *bad, turn=("w_lr", 0.01), **defaults):
    """A preset of the gradient family."""
    return Maker(
        lambda **given: nl.searchers.SEARCHERS[name](space, digits, **given),
        {**SMALL, **defaults},
        turn=turn,
        other={"alpha_lr": 0.02},
        bad=({"seed": -1}, {"alpha_lr": 0.0}, *bad),
    )


def _composed(space, digits):
    """Of every part the one that no preset has."""
    latency = [[0.0, 0.1, 1.0, 2.0, 0.5]] * 6
    return _gradient(
        "gradient",
        space,
        digits,
        {"mixing": "softmax"},
        {"regularizers": "none"},
        {"level": {"part": "bilevl"}},
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
        turn=("resource_weight", 0.5),
    )


def _enas(space, digits):
    """Two training mini-batches and two controller steps of two children make an epoch."""
    return Maker(
        lambda **given: nl.searchers.Enas(space, digits, **given),
        dict(epochs=3, batch_size=256, train_portion=0.5, controller_steps=2, children=2, derived=2, units=5),
        turn=("controller_lr", 0.02),
        other={"controller_lr": 0.005, "skip_prior": 0.2},
        bad=(
            {"seed": -1},
            {"threads": 0},
            {"epochs": 0},
            {"batch_size": 2.5},
            {"w_lr": 0.0},
            {"w_lr": float("nan")},
            {"children": 0},
            {"skip_prior": 0.0},
            {"skip_prior": 1.0},
            {"temperature": 0.0},
            {"tanh_constant": -1.0},
            {"op_tanh_reduce": 0.0},
            {"baseline_momentum": 1.0},
            {"entropy_weight": "much"},
            {"restart_growth": 0},
        ),
    )


def _one_shot(searcher, space, digits, *bad, turn=("w_lr", 0.02), **defaults):
    """Two mini-batches for the weights, then three generations of four."""
    small = dict(epochs=1, batch_size=256, train_portion=0.5, valid_images=64, recalibration_images=64)
    evolving = dict(population=4, generations=3, parents=2, crossovers=1, mutations=1)
    return Maker(
        lambda **given: searcher(space, digits, **given),
        {**small, **evolving, "w_lr": 0.1, **defaults},
        turn=turn,
        other={"label_smoothing": 0.2, "max_parameters": 1e6},
        bad=(
            {"seed": -1},
            {"threads": 0},
            {"epochs": 0},
            {"batch_size": 2.5},
            {"w_lr": 0.0},
            {"w_lr": float("nan")},
            {"w_momentum": 1.0},
            {"schedule": "step"},
            {"population": 0},
            {"parents": 5},
            {"crossovers": 4},
            {"mutations": -1},
            {"mutation_rate": 0.0},
            {"batch_norm": "own"},
            {"max_flops": 0.0},
            {"max_flops": "few"},
            {"max_parameters": float("nan")},
            *bad,
        ),
    )


SUPERNETS = [
    "darts first order",
    "darts second order",
    "darts exact",
    "darts on nasbench201",
    "darts, two heads",
    "gdas, a median",
    "milenas",
    "idarts",
    "snas",
    "gdas",
    "proxylessnas",
    "proxylessnas reinforce",
    "pcdarts",
    "drnas",
    "smooth darts",
    "gradient search",
    "enas",
    "enas on cells",
    "spos",
    "spos, two heads",
    "spos, a median",
    "fairnas",
    "en2as",
]
PROPOSERS = [
    "random search",
    "regularized evolution",
    "local search",
    "hurdles",
    "successive halving",
    "hyperband",
    "bohb",
    "nas rl",
    "independent nas rl",
    "ppo",
    "q learning",
    "large-scale evolution",
    "auto-keras",
    "epnas",
]


QUICK = {"darts first order", "darts second order", "gdas", "pcdarts", *PROPOSERS}
"""What `make quick` tries too; the others share their code."""


def _param(name):
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


def pytest_generate_tests(metafunc):
    """Each check of a `SearcherCase` runs with the searchers that it applies to; any other test that takes `make` and
    names no searchers runs with all that share weights.
    """
    if metafunc.cls is not None and issubclass(metafunc.cls, SearcherCase):
        check = getattr(SearcherCase, metafunc.function.__name__, None)  # which may be overridden, for a mark
        proposes = getattr(check, "needs", object) is nl.searchers.Sampler
        names = PROPOSERS if proposes else [*SUPERNETS, *PROPOSERS]
        metafunc.parametrize("make", list(map(_param, names)), indirect=True)
    elif "make" in metafunc.fixturenames and not any(
        "make" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")
    ):
        metafunc.parametrize("make", list(map(_param, SUPERNETS)), indirect=True)


@pytest.fixture
def make(request, digits, benchmark):
    """One of the searchers, small; which one, the test is parametrised with."""
    cell, tiny = nl.spaces.DartsCell(**CELL), nl.spaces.NASBench201(channels=4, cells=1)
    makers = {
        "darts first order": lambda: _darts(cell, digits),
        "darts second order": lambda: _darts(cell, digits, order=2),
        "darts exact": lambda: _darts(cell, digits, order=2, hessian_product="exact"),
        "darts on nasbench201": lambda: _darts(tiny, digits),
        "darts, two heads": lambda: _darts(cell, guest_tasks.DigitAndInk(), order=2),
        "gdas, a median": lambda: _gradient("gdas", cell, guest_tasks.MedianInk(), *COLD, turn=("temperature", 3.0)),
        "milenas": lambda: _gradient(
            "milenas", tiny, digits, {"valid_weight": 0.0}, {"patience": -1}, {"order": 3}, train_portion=0.05, epochs=8
        ),
        "idarts": lambda: _gradient("idarts", cell, digits),
        "snas": lambda: _gradient("snas", tiny, digits, *COLD, {"resource": "money"}, turn=("temperature", 3.0)),
        "gdas": lambda: _gradient("gdas", cell, digits, *COLD, turn=("temperature", 3.0)),
        "proxylessnas": lambda: _gradient(
            "proxylessnas", tiny, digits, {"rule": "luck"}, {"warmup": 1.0}, warmup=0.0, turn=("resource_weight", 0.5)
        ),
        "proxylessnas reinforce": lambda: _gradient(
            "proxylessnas", tiny, digits, {"baseline_decay": 1.0}, rule="reinforce", resource_weight=0.0, warmup=0.0
        ),
        "pcdarts": lambda: _gradient(
            "pcdarts", tiny, digits, {"one_in": 3}, {"one_in": 0}, {"one_in": 2.0}, {"warmup": -0.1}, warmup=0.0
        ),
        "drnas": lambda: _gradient("drnas", tiny, digits, {"one_in": 8}),
        "smooth darts": lambda: _gradient(
            "sdarts",
            tiny,
            digits,
            {"radius": -1.0},
            {"perturbation": "loud"},
            perturbation="adversarial",
            ascent_steps=1,
        ),
        "gradient search": lambda: _composed(tiny, digits),
        "enas": lambda: _enas(nl.spaces.EnasMacro(layers=4, channels=4), digits),
        "enas on cells": lambda: _enas(nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), digits),
        "spos": lambda: _one_shot(
            nl.searchers.SPOS, nl.spaces.MobileChain(channels=4, stages=2, layers=2, stem_stride=1), digits
        ),
        "spos, two heads": lambda: _one_shot(nl.searchers.SPOS, tiny, guest_tasks.DigitAndInk(1024)),
        "spos, a median": lambda: _one_shot(nl.searchers.SPOS, tiny, guest_tasks.MedianInk(1024)),
        "fairnas": lambda: _one_shot(nl.searchers.FairNAS, tiny, digits, turn=("mutation_rate", 0.5)),
        "en2as": lambda: _one_shot(
            nl.searchers.EN2AS,
            cell,
            digits,
            {"archive": 0},
            {"nearest": 0},
            {"nearest": 9},
            {"nearest": 1.5},
            {"perturbations": 0},
            {"perturbation_rate": 0.0},
            archive=2,
            nearest=1,
            perturbations=3,
            turn=("nearest", 2.0),
            epochs=2,
        ),
        "random search": lambda: _trials(nl.searchers.RandomSearch, benchmark),
        "regularized evolution": lambda: _trials(
            nl.searchers.RegularizedEvolution,
            benchmark,
            EVOLUTION,
            turn=("sample", 1.0),
            other={"sample": 3},
            bad=({"seed": -1}, {"population": 0}, {"sample": 0}, {"sample": 5}, {"sample": 2.0}, {"population": True}),
        ),
        "local search": lambda: _trials(nl.searchers.LocalSearch, benchmark),
        "hurdles": lambda: _trials(
            nl.searchers.Hurdles,
            benchmark,
            dict(steps=(12, 188), per_hurdle=3, population=4, sample=2),
            turn=("sample", 1.0),
            other={"sample": 3},
            bad=(
                {"seed": -1},
                {"steps": ()},
                {"steps": 12},
                {"steps": "12"},
                {"steps": (12, 0)},
                {"steps": (12, -1)},
                {"steps": (True,)},
                {"steps": (float("inf"),)},
                {"per_hurdle": 0},
                {"population": 1},
                {"sample": 5},
            ),
        ),
        "successive halving": lambda: _trials(
            nl.searchers.SuccessiveHalving,
            benchmark,
            dict(candidates=4, epochs=(12, 200)),
            other={"candidates": 3, "eta": 3},
            bad=(
                {"seed": -1},
                {"candidates": 0},
                {"eta": 1},
                {"eta": "two"},
                {"epochs": ()},
                {"epochs": 12},
                {"epochs": (12, 12)},
                {"epochs": (0, 12)},
                {"epochs": (12, float("nan"))},
            ),
        ),
        "hyperband": lambda: _trials(
            nl.searchers.Hyperband,
            benchmark,
            dict(most=200, eta=16),
            bad=({"seed": -1}, {"most": 0}, {"most": 2.5}, {"eta": 1}, {"eta": True}),
        ),
        "bohb": lambda: _trials(
            nl.searchers.BOHB,
            benchmark,
            dict(most=200, eta=16, samples=3, random_fraction=0.1),
            other={"good": 0.5, "samples": 2},
            bad=(
                {"seed": -1},
                {"most": 0},
                {"eta": 1},
                {"samples": 0},
                {"good": 0.0},
                {"good": 1.0},
                {"random_fraction": -0.1},
                {"random_fraction": 1.5},
                {"bandwidth_factor": 0.0},
                {"bandwidth_factor": float("inf")},
                {"least_bandwidth": 0.0},
                {"least_bandwidth": "wide"},
            ),
        ),
        "nas rl": lambda: _trials(
            nl.searchers.NasRL,
            benchmark,
            CONTROLLER,
            turn=("learning_rate", 0.01),
            other={"learning_rate": 0.02, "deeper": 1},
            bad=(*CONTROLLER_BAD, {"deeper_every": 0}, {"first_depth": 0}),
        ),
        "independent nas rl": lambda: _trials(
            nl.searchers.NasRL,
            benchmark,
            nl.searchers.nas_rl.DONG_AND_YANG,
            turn=("learning_rate", 0.1),
            other={"entropy_weight": 0.1},
        ),
        "ppo": lambda: _trials(
            nl.searchers.PPO,
            benchmark,
            {**CONTROLLER, "passes": 2},
            turn=("entropy_weight", 0.5),
            other={"clip": 0.1},
            bad=(*CONTROLLER_BAD, {"clip": 0.0}, {"clip": 1.5}, {"passes": 0}),
        ),
        "large-scale evolution": lambda: _trials(
            nl.searchers.LargeScaleEvolution,
            benchmark,
            dict(population=4),
            other={"population": 5},
            bad=({"seed": -1}, {"population": 1}, {"population": 2.0}, {"epochs": 0}, {"epochs": 1.5}),
        ),
        "auto-keras": lambda: _trials(
            nl.searchers.AutoKeras,
            benchmark,
            dict(coldest=0.7, branches=3),
            turn=("beta", 0.5),
            other={"beta": 1.0},
            bad=(
                {"seed": -1},
                {"beta": -1.0},
                {"beta": "high"},
                {"cooling": 1.0},
                {"cooling": 0.0},
                {"coldest": 0.0},
                {"branches": 0},
                {"most_weights": 0},
                {"most_weights": 1.5},
            ),
        ),
        "epnas": lambda: _trials(
            nl.searchers.EPNAS,
            benchmark,
            {**CONTROLLER, "per_layer": 6, "imagined": 3},
            turn=("learning_rate", 0.02),
            other={"temperature": 0.5, "parents": 2},
            bad=(*CONTROLLER_BAD, {"per_layer": 0}, {"parents": 0}, {"imagined": 0}, {"temperature": 0.0}),
        ),
        "q learning": lambda: _trials(
            nl.searchers.QLearning,
            benchmark,
            {"models": 30, "replay": 4},
            turn=("epsilon", 0.5),
            other={"discount": 0.9, "shaped": True},
            bad=(
                {"seed": -1},
                {"models": 0},
                {"replay": -1},
                {"kept": 0},
                {"learning_rate": 0.0},
                {"discount": 1.1},
                {"answers": -2},
                {"answers": True},
                {"start": "low"},
                {"shaped": 1},
            ),
        ),
    }
    return makers[request.param]()
