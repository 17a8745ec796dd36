"""Morphisms preserve the function; and what is new can learn."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from naslab.architecture import Architecture
from naslab.networks import parameters
from naslab.networks.morphism import Morphable, embedding, weights
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import NetworkMorphism

TASK = SimpleNamespace(input_shape=(3, 9, 9), classes=4)
SPACE = NetworkMorphism(layers=8, kernels=(1, 3, 5), filters=(3, 5, 8, 13), strides=(1, 2))


def trained(architecture: Architecture, seed: int, dtype: torch.dtype) -> nn.Module:
    """With weights of every kind, and batch statistics, that look as if it had been trained."""
    with seeded("parent", seed):
        network = SPACE.build(architecture, TASK).to(dtype)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if "var" in name else torch.randn_like(value) / 2)
    return network.eval()


def born(parent, child, network, seed, dtype=torch.float32):
    with seeded("child", seed):
        heir = SPACE.build(child, TASK).to(dtype)
    SPACE.inherit(heir, child, parent, network.state_dict())
    return heir.eval()


def differ(one, other, dtype, seed=0):
    """The largest difference of the logits, in units of their spread."""
    with seeded("images", seed), torch.no_grad():
        x = torch.randn(16, 3, 9, 9, dtype=dtype)
        a, b = one(x), other(x)
    return float((a - b).abs().max() / a.std())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", SPACE.moves)
@pytest.mark.slow
def test_each_morphism_preserves_the_function_of_random_networks(name, dtype, tolerance):
    rng = numpy_generator("morphisms", name)
    done = 0
    while done < 25:
        parent = SPACE.sample(rng)
        child = SPACE.move(parent, name, rng)
        if child is None:
            continue
        network = trained(parent, done, dtype)
        assert differ(network, born(parent, child, network, done, dtype), dtype, done) < tolerance
        done += 1


def test_any_number_of_morphisms_at_once():
    """As from a trained network to what the tree search finds."""
    rng = numpy_generator("many")
    for seed in range(25):
        parent = child = SPACE.start()
        for _ in range(int(rng.integers(2, 12))):
            child = SPACE.move(child, SPACE.moves[rng.integers(4)], rng) or child
        network = trained(parent, seed, torch.float64)
        assert differ(network, born(parent, child, network, seed, torch.float64), torch.float64) < 1e-12


def test_generations_of_morphisms():
    rng = numpy_generator("generations")
    architecture = SPACE.start()
    first = network = trained(architecture, 0, torch.float64)
    for seed in range(20):
        child = SPACE.move(architecture, SPACE.moves[rng.integers(4)], rng)
        if child is not None:
            architecture, network = child, born(architecture, child, network, seed, torch.float64)
    assert parameters(network) > 3 * parameters(first)
    assert differ(first, network, torch.float64) < 1e-11


def test_what_is_new_learns():
    """After some steps every new weight has moved, and copies of one channel are not copies of one another."""
    parent = SPACE.start()
    rng = numpy_generator("new")
    child = parent
    for name in ("widen", "widen", "widen", "deepen", "add", "concat"):
        child = SPACE.move(child, name, rng) or child
    with seeded("parent"):
        network = SPACE.build(parent, TASK)
    heir = born(parent, child, network, 0).train()
    before = {name: value.detach().clone() for name, value in heir.named_parameters()}
    optimizer = torch.optim.SGD(heir.parameters(), lr=0.01)
    with seeded("training"):
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(heir(torch.randn(32, 3, 9, 9)), torch.randint(4, (32,)))
            loss.backward()
            optimizer.step()
    for name, value in heir.named_parameters():
        assert (value != before[name]).float().mean() > 0.9, name
        if name.startswith("convolutions"):
            rows = value.detach().flatten(1)
            assert len(torch.unique(rows, dim=0)) == len(rows)


def test_who_embeds_whom():
    a, b = Morphable(3, 4, 1), Morphable(3, 4, 2)
    assert embedding([a, b], [a, b]) == (0, 1)
    assert embedding([a, b], [a, a, b]) == (0, 2)
    assert embedding([a, b], [a, Morphable(5, 4, 1), b]) == (0, 2)
    assert embedding([a, b], [a, Morphable(5, 3, 1), b]) is None, "too narrow to pass on four channels"
    assert embedding([a, b], [a, Morphable(5, 4, 2), b]) is None, "a stride passes nothing on"
    assert embedding([a, b], [Morphable(5, 4, 1), a, b]) is None, "the image is not rectified"
    assert embedding([b, a], [b, a._replace(channels=3)]) is None, "narrower"
    assert embedding([a, b], [a]) is None
    skip = Morphable(3, 4, 1, ((1, "add"),))
    assert embedding([a, b, skip], [a, b, a]) is None, "a skip is lost"
    assert embedding([a, b, skip], [a, b, Morphable(3, 4, 1, ((1, "concat"),))]) is None
    assert embedding([a, b, skip], [a, a, b, skip]) == (0, 2, 3)
    assert embedding([a, b, skip], [a, a, b, Morphable(3, 4, 1, ((2, "add"),))]) is None


def test_what_is_no_morph_inherits_what_fits():
    parent = SPACE.start()
    layers = SPACE.layers_of(parent)
    child = SPACE.of_layers([layers[0], layers[1]._replace(kernel=5), layers[2]])
    network = trained(parent, 0, torch.float32)
    state, heir = network.state_dict(), born(parent, child, network, 0).state_dict()
    kept = {name for name in state if state[name].shape == heir[name].shape and state[name].equal(heir[name])}
    assert kept == state.keys() - {"convolutions.1.weight"}


def test_weights_are_counted_without_building():
    rng = numpy_generator("weights")
    task = SimpleNamespace(input_shape=(3, 8, 8), classes=10)
    for _ in range(20):
        architecture = SPACE.sample(rng)
        counted = SPACE.weights(architecture)
        assert counted == parameters(SPACE.build(architecture, task))
        assert counted == weights(SPACE.layers_of(architecture), 3, 10)
