"""Zero-cost proxies as an estimator: votes, every space, specs, and what makes no sense."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_networks import CELL
from torch import nn

import naslab as nl
from naslab.errors import DataError, SpecError
from naslab.estimators import ZeroCost
from naslab.estimators.zero_cost import PROXIES, scores, vote, votes
from naslab.estimators.zero_cost.codes import Codes
from naslab.estimators.zero_cost.passes import Need, look
from naslab.randomness import seeded


def test_one_image(network, batch):
    x, y = batch[0][:1], batch[1][:1]
    one = scores(network, x, y, ["naswot", "snip", "grad_norm", "fisher", "synflow", "grasp"])
    assert all(map(math.isfinite, one.values()))
    with torch.no_grad(), Codes(1) as codes:
        network(x)
    assert one["naswot"] == pytest.approx(math.log(codes.units))
    with pytest.raises(SpecError, match="one has no other"):
        scores(network, x, y, ["jacob_cov"])
    normalised = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))
    with pytest.raises(SpecError, match="take batch_size=2 or more"):
        scores(normalised, x, y, ["snip"])


def test_what_is_not_finite_is_not_passed_on(network, batch):
    x, y = batch
    bad = x.clone()
    bad[3, 0, 0, 0] = math.nan
    with pytest.raises(DataError, match="NaN or infinity"):
        scores(network, bad, y)
    network.stem[0].weight.data[0] = math.inf
    with pytest.raises(SpecError, match="outputs are not all finite"):
        scores(network, x, y, ["naswot"])
    with pytest.raises(SpecError, match="synflow"):
        scores(network, x, y, ["synflow"])
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(SpecError, match=r"grad_norm of this network is (nan|inf)"):
        scores(linear, x, y, ["grad_norm"], loss=lambda logits, y: 1e30 * (1e30 * logits.double()).sum())


@pytest.mark.parametrize("proxies", ["naswot", [], ["naswott"]])
def test_bad_names(network, batch, proxies):
    with pytest.raises(SpecError, match=r"proxies are a list|did you mean 'naswot'"):
        scores(network, *batch, proxies)


def test_bad_batches(network, batch):
    with pytest.raises(DataError, match="12 images, 3 labels"):
        scores(network, batch[0], batch[1][:3])
    with pytest.raises(DataError, match="0 images"):
        scores(network, batch[0][:0], batch[1][:0])
    tokens = torch.zeros(4, 3, dtype=torch.long)
    words = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Linear(6, 10))
    for name in ("jacob_cov", "synflow"):
        with pytest.raises(SpecError, match="real numbers"):
            scores(words, tokens, batch[1][:4], [name])
    assert scores(words, tokens, batch[1][:4], ["snip"])["snip"] > 0
    turned = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (16, -1)), nn.ReLU())
    with pytest.raises(SpecError, match="first dimension must be the mini-batch"):
        scores(turned, *batch, ["naswot"])


# --- vote ------------------------------------------------------------------------------------------


def test_vote_is_a_majority():
    population = {"a": [1.0, 2.0, 3.0], "b": [3.0, 1.0, 2.0], "c": [1.0, 2.0, 2.0]}
    wins = []
    for i in range(3):
        won = 0.0
        for j in range(3):
            margin = sum((v[i] > v[j]) - (v[i] < v[j]) for v in population.values())
            won += 1.0 if margin > 0 else 0.5 if margin == 0 else 0.0
        wins.append(won / 3)
    assert votes(population).tolist() == wins
    assert wins[2] == max(wins)
    assert vote({"a": 9, "b": -9, "c": 9}, population) == 1.0


@pytest.mark.parametrize(
    ("candidate", "population"),
    [
        ({"a": 1.0}, {"b": [1.0]}),
        ({}, {}),
        ({"a": 1.0}, {"a": []}),
        ({"a": 1.0, "b": 1.0}, {"a": [1.0], "b": [1.0, 2.0]}),
        ({"a": math.nan}, {"a": [1.0]}),
        ({"a": 1.0}, {"a": [math.nan]}),
    ],
)
def test_bad_votes(candidate, population):
    with pytest.raises(SpecError):
        vote(candidate, population)


# --- the estimator ---------------------------------------------------------------------------------


def test_the_estimator_builds_and_looks(space, digits):
    estimator = ZeroCost(space, digits, "synflow", batch_size=16, seed=4)
    architecture = space.architecture(CELL)
    with nl.seeded(4, "zero_cost", "weights"):
        network = space.build(architecture, digits)
    x, y = digits.batch(torch.arange(2))
    assert estimator(architecture) == scores(network, x, y, ["synflow"])["synflow"]
    assert estimator(architecture) == estimator(architecture)
    assert ZeroCost(space, digits, "synflow", seed=5)(architecture) != estimator(architecture)


@pytest.mark.parametrize(
    "other",
    [
        nl.spaces.NASBench201(channels=4, cells=1),
        nl.spaces.DartsCell(nodes=2, channels=4, cells=3),
        nl.spaces.SPACES["nasbench_macro"](),
    ],
    ids=lambda space: space.name,
)
@pytest.mark.slow
def test_every_proxy_on_every_space(other, digits):
    task = nl.tasks.FashionMNIST().subset(32, 16)
    architecture = other.sample(np.random.default_rng(1))
    for proxy in (*PROXIES, "vote"):
        fitness = ZeroCost(other, task, proxy, batch_size=4, reference=2)(architecture)
        assert type(fitness) is float
        assert math.isfinite(fitness), proxy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": "nasbench201"}, "expected a space"),
        ({"task": "digits"}, "expected a task"),
        ({"proxy": "naswott"}, "did you mean 'naswot'"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"batch_size": 10**6}, "fewer"),
        ({"seed": -1}, "seed must be"),
        ({"reference": 0}, "reference must be"),
        ({"device": "gpu"}, "there is no device 'gpu'"),
    ],
)
def test_nonsense_is_refused(space, digits, arguments, message):
    with pytest.raises(SpecError, match=message):
        ZeroCost(**{"space": space, "task": digits, **arguments})


def test_a_search_by_proxy_is_opened_again(space, digits, tmp_path):
    estimator = ZeroCost(space, digits, "naswot", batch_size=8)
    sampler = nl.searchers.RegularizedEvolution(space, population=3, sample=2, seed=1)
    search = nl.Search(sampler, tmp_path / "run", estimator=estimator, budget=6)
    events = list(itertools.islice(search, 4))
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert [event.fitness for event in list(again.events)[:4]] == [event.fitness for event in events]
    rest = list(again)
    assert rest[-1].fitness == estimator(rest[-1].architecture)
    again.close()


@pytest.mark.parametrize(("stride", "beside"), [(1, True), (2, False)])
def test_the_layout_of_the_images_is_the_fast_one_where_that_is_safe(stride, beside):
    seen = []
    with seeded("layout"):
        network = nn.Sequential(nn.Conv2d(3, 8, 1, stride=stride), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        x, y = torch.randn(4, 3, 6, 6), torch.arange(4)
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0].stride(1) == 1))
    look(network, x, y, F.cross_entropy, {Need.GRADIENTS, Need.JACOBIAN})
    assert seen == [beside]
