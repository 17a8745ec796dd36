"""One image that has shrunk to one pixel cannot be normalised by itself: wherever that happens, it is explained."""

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.analysis import gradient_variance, loss_surface
from naslab.errors import SpecError

DARTS = nl.spaces.DartsCell(nodes=1, channels=2, cells=3, operations=("skip_connect", "sep_conv_3x3"))
CELL = DARTS.sample(np.random.default_rng(0))


@pytest.fixture(scope="module")
def task():
    """Images of 4 x 4, which two reductions shrink to one pixel; 49 + 49 of them."""
    x = np.random.default_rng(0).integers(0, 256, (49, 1, 4, 4), dtype=np.uint8)
    return nl.tasks.Images.from_arrays(x, np.arange(49) % 3, test=(x, np.arange(49) % 3))


def normalised(**options):
    with nl.randomness.seeded(0):
        return nn.Sequential(nn.Conv2d(1, 4, 4), nn.BatchNorm2d(4, **options), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))


def search(name, space, task, **given):
    return nl.Search(nl.searchers.SEARCHERS[name](space, task, epochs=1, batch_size=1, seed=0, **given))


def rewarded(task):
    """ENAS in whose second phase single images are judged."""
    steps = search("enas", nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), task, train_portion=0.5)
    steps.searcher._step = steps.searcher._feed.timetable.total(1)
    steps.searcher.advance()


DOORS = {
    "darts": lambda task: next(search("darts", DARTS, task)),
    "darts, second order": lambda task: next(search("darts", DARTS, task, order=2)),
    "gdas": lambda task: next(search("gdas", DARTS, task)),
    "idarts": lambda task: next(search("idarts", DARTS, task)),
    "a probe of the threads": lambda task: nl.searchers.Darts(DARTS, task, batch_size=1, epochs=1, threads="probe"),
    "measure": lambda task: search("darts", DARTS, task).measure("alpha_hessian_eigenvalue"),
    "enas": lambda task: next(search("enas", nl.spaces.EnasMicro(nodes=2, channels=2, cells=3), task)),
    "enas, a reward": rewarded,
    "fairnas": lambda task: next(search("fairnas", DARTS, task)),
    "a zero-cost proxy": lambda task: nl.estimators.ZeroCost(DARTS, task, "snip", batch_size=1)(CELL),
    "fit": lambda task: nl.trainers.fit(normalised(), task, epochs=1, batch_size=1, progress=False),
    "fit, the last images of an evaluation": lambda task: nl.trainers.fit(
        normalised(track_running_stats=False), task, epochs=1, batch_size=24, progress=False
    ),
    "compare": lambda task: nl.trainers.compare(
        {"a": [CELL]}, DARTS, task, seeds=[0], epochs=1, batch_size=1, progress=False
    ),
    "Training": lambda task: nl.estimators.Training(DARTS, task, epochs=1, batch_size=1)(CELL),
    "gradient_variance": lambda task: gradient_variance(normalised(), task, batch_size=1, batches=2),
    "loss_surface, the last images": lambda task: loss_surface(normalised(), task, images=49, batch_size=24, points=3),
    "the accuracy of a child": lambda task: search("darts", DARTS, task).searcher.accuracy(CELL, images=1),
}


@pytest.mark.parametrize("door", DOORS)
def test_it_is_explained(door, task):
    with pytest.raises(
        SpecError, match=r"1 image leaves it one where the image has shrunk to 1 x 1 pixel; .*(batch_size|images)"
    ):
        DOORS[door](task)


def test_larger_images_can_be_searched_one_by_one(task):
    larger = nl.tasks.Images.from_arrays(torch.zeros(24, 1, 8, 8), [0, 1] * 12)
    assert next(search("darts", DARTS, larger)).step == 1
