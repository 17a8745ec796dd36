"""A child of the shared weights is the network built alone, and nothing else is touched."""

import pytest
import torch

from naslab.errors import SpecError
from naslab.networks.enas_macro import EnasMacroNetwork, reductions
from naslab.networks.enas_supernet import EnasMacroSupernet
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import EnasMacro

LAYERS = 7
SPACE = EnasMacro(layers=LAYERS, channels=4)


def child(seed):
    return SPACE.layers_of(SPACE.sample(numpy_generator(seed, "child")))


@pytest.fixture
def shared():
    """With statistics and weights that no fresh network has."""
    with seeded(5, "shared"):
        network = EnasMacroSupernet(LAYERS, (1, 13, 10), 3, channels=4)
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape) if "var" in name else 0.1 * torch.randn(tensor.shape))
    return network


@pytest.fixture
def images():
    with seeded(6, "images"):
        return torch.randn(5, 1, 13, 10)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("training", [True, False])
def test_a_child_computes_what_it_would_alone(shared, images, seed, training):
    shared.train(training)
    alone = shared.alone(child(seed))
    assert type(alone) is EnasMacroNetwork
    assert torch.equal(shared(images, child(seed)), alone(images))


def test_children_differ(shared, images):
    """The comparison above would be empty if all of them computed the same."""
    shared.eval()
    outputs = [shared(images, child(seed)) for seed in range(4)]
    assert all(not torch.allclose(one, other) for i, one in enumerate(outputs) for other in outputs[:i])


def test_a_child_alone_has_a_copy(shared, images):
    before = shared(images, child(0)).detach()
    with torch.no_grad():
        for weight in shared.eval().alone(child(0)).parameters():
            weight.zero_()
    assert not before.eq(0).all()
    assert all(weight.any() for weight in shared.parameters() if weight.dim() > 1)


def parts_of(layers, names):
    """Those of the names that belong to a child."""
    starts = {"stem.", "classifier."}
    for number, (operation, skips) in enumerate(layers, start=1):
        starts.add(f"layers.{number - 1}.operations.{operation}.")
        if number > 1:
            starts.add(f"layers.{number - 1}.norm.")
            starts |= {f"layers.{number - 1}.merge.{state}" for state in (*skips, number - 1)}
    for number in reductions(LAYERS):
        later = {state for _, skips in layers[number:] for state in skips if state <= number}
        starts |= {f"reductions.{number}.{state}." for state in later | {number}}
    return {name for name in names if any(name == one or (one[-1] == "." and name.startswith(one)) for one in starts)}


@pytest.mark.parametrize("seed", range(4))
def test_only_the_child_gets_a_gradient(shared, images, seed):
    shared(images, child(seed)).pow(2).sum().backward()
    touched = {name for name, weight in shared.named_parameters() if weight.grad is not None}
    assert touched == parts_of(child(seed), dict(shared.named_parameters()))
    assert len(touched) < 0.7 * len(list(shared.parameters()))


@pytest.mark.parametrize("seed", range(4))
def test_only_the_child_is_computed(shared, images, seed):
    """Whatever is computed moves its statistics."""
    before = {name: value.clone() for name, value in shared.named_buffers()}
    shared.train()(images, child(seed))
    moved = {name for name, value in shared.named_buffers() if not torch.equal(value, before[name])}
    assert moved == parts_of(child(seed), before)


def test_a_child_of_another_depth_is_refused(shared, images):
    with pytest.raises(SpecError, match="has 7 layers, not 6"):
        shared(images, child(0)[:-1])
    with pytest.raises(SpecError, match="has 7 layers, not 8"):
        shared.alone([*child(0), child(0)[0]])
