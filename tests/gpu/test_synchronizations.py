"""How often a step makes the host wait for the GPU, as CUDA reports it. `PretendedCuda` counts the same without one."""

import pytest
import torch

import naslab as nl
from naslab.testing.synchronizations import synchronizations
from naslab.trainers.fit import train

MOST = {
    ("Darts", "nasbench201"): 4,
    ("Darts", "darts"): 4,
    ("IDarts", "darts"): 4,
    ("PCDarts", "darts"): 4,
    ("MiLeNAS", "nasbench201"): 4,
    ("SNAS", "nasbench201"): 4,
    ("DrNAS", "nasbench201"): 4,
    ("SmoothDarts", "nasbench201"): 4,
    ("GDAS", "darts"): 6,
    ("GDAS", "nasbench201"): 6,
    ("ProxylessNAS", "nasbench201"): 6,
    ("SPOS", "nasbench201"): 4,
    ("FairNAS", "nasbench201"): 4,
    ("EN2AS", "nasbench201"): 4,
}
"""Searcher, space -> synchronisations of a step."""
WARM = 3
"""Steps before the one that counts: they fill caches and make the optimisers' states."""


def of_a_step(search):
    for _ in range(WARM):
        search.advance()
    with synchronizations() as places:
        search.advance()
    return places


@pytest.mark.parametrize(("searcher", "space"), MOST, ids=" ".join)
def test_a_step(searcher, space, gpu, darts):
    places = of_a_step(darts(gpu, space, searcher=searcher))
    assert places.total() <= MOST[searcher, space], places.most_common()


def test_second_order(gpu, darts):
    places = of_a_step(darts(gpu, "darts", order=2))
    assert places.total() <= 4, places.most_common()


def test_a_child_of_enas(gpu, digits):
    space = nl.spaces.EnasMacro(layers=4, channels=4)
    places = of_a_step(nl.searchers.Enas(space, digits, batch_size=16, epochs=2, device=gpu))
    assert places.total() <= 4, places.most_common()


def test_a_step_of_a_training(gpu, child, digits):
    """The waits of an epoch with eight mini-batches more, divided by eight: what an epoch costs falls out."""
    found = []
    for images in (256, 512):
        recipe = nl.trainers.Recipe(epochs=2, batch_size=32)
        epochs = train(child(), task=digits.subset(images, 32), recipe=recipe, seed=0, device=gpu)
        next(epochs)
        with synchronizations() as places:
            next(epochs)
        found.append(places)
    assert (found[1].total() - found[0].total()) / 8 <= 2, found[1].most_common()


def test_a_live_ranking(gpu, darts):
    ranking = nl.LiveRanking(nl.benchmarks.NASBench201(), 12, every=1, images=64)
    search = nl.Search(darts(gpu), ranking=ranking)
    next(search)
    next(search)
    with synchronizations() as places:
        next(search)
    assert places.total() <= 60 + 4, places.most_common()


def test_reading_a_number_is_counted(gpu):
    """The counter itself: a wait, and none."""
    numbers = nl.tasks.Digits().batch(torch.arange(4), device=gpu)[0]
    with synchronizations() as places:
        numbers.sum().item()
    assert places.total() == 1
    with synchronizations() as places:
        (numbers * 2).sum()
    assert places.total() == 0
