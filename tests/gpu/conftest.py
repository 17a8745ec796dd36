"""What a GPU has to do as a CPU does, or better. `make gpu` runs it all where there is CUDA.

Without a GPU, `pytest tests/gpu -m "not gpu"` tries the tests themselves on the CPU, which takes a few minutes. So a
test that takes `device` runs on the CPU there and in `make bench-reliability`; one that takes `quick_device` in
`make test`, too; and one that takes `gpu` asks for what a CPU does not have.
"""

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.device import usable_device
from naslab.numerics import Numerics

CUDA = pytest.param("cuda", marks=pytest.mark.gpu)
DEVICES = {
    "quick_device": ["cpu", CUDA],
    "device": [pytest.param("cpu", marks=pytest.mark.reliability), CUDA],
    "gpu": [CUDA],
}


def pytest_generate_tests(metafunc):
    for name, devices in DEVICES.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, devices)


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="session")
def clothes():
    return nl.tasks.FashionMNIST().subset(1000, 200)


@pytest.fixture(autouse=True)
def one_thread():
    """As in the searchers, so that what is compared with them is computed as they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_tf32():
    """Products of float32 are in float32, also outside searches and trainings, which see to it themselves."""
    with Numerics(device=usable_device()).in_force():
        yield


@pytest.fixture(scope="session")
def cells():
    """The two sorts of supernet, small: name -> space."""
    return {
        "nasbench201": nl.spaces.NASBench201(channels=4, cells=1),
        "darts": nl.spaces.DartsCell(
            nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=4, cells=3
        ),
    }


@pytest.fixture
def darts(digits, cells):
    """Makes DARTS on a device: on NAS-Bench-201, or on the space of another name."""

    def make(device, space="nasbench201", *, task=digits, searcher="Darts", **given):
        made = getattr(nl.searchers, searcher)
        return made(cells[space], task, device=device, **{"batch_size": 16, "epochs": 2, "seed": 1, **given})

    return make


@pytest.fixture
def child(cells, digits):
    """Makes a network of NAS-Bench-201, always with the same weights."""

    def make(task=digits, **given):
        space = cells["nasbench201"]
        with nl.seeded(1, "child"):
            return space.build(space.sample(np.random.default_rng(1)), task, **given)

    return make
