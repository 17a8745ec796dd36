import pytest
import torch
from torch import nn

import naslab as nl
from naslab.randomness import seeded


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture
def network():
    """Makes a small network for the digits, always with the same weights. It has all that is hard to resume."""

    def make(seed=0, *, plain=False):
        with seeded(seed, "test network"):
            extra = [] if plain else [nn.BatchNorm2d(8), nn.Dropout(0.2)]
            return nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1, bias=plain), *extra, nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
            )

    return make
