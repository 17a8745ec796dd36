"""Networks of the laptop sizes learn to tell two digits apart in seconds."""

import pytest
import torch

import naslab as nl
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import ChainSkips, EnasMacro, Hierarchical, MetaQNN, MnasNet, NASBench101, NASNetCell


@pytest.fixture(scope="module")
def task():
    from sklearn.datasets import load_digits

    images, labels = load_digits(n_class=2, return_X_y=True)
    return nl.tasks.Images.from_arrays((images / 16).reshape(-1, 8, 8).astype("float32"), labels)


@pytest.mark.slow
@pytest.mark.parametrize("space", [MetaQNN, ChainSkips, EnasMacro, Hierarchical, NASBench101, NASNetCell, MnasNet])
def test_a_laptop_s_network_learns(space, task):
    rng, space = numpy_generator("laptop", 1), space.laptop()
    with seeded(0, "weights"):
        network = space.build(space.sample(rng), task)
    report = nl.trainers.fit(network, task, epochs=6, batch_size=32, seed=0, threads=1, progress=False)
    assert report.test_accuracy > 0.9
    assert report.history[-1].train_loss < report.history[0].train_loss
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
