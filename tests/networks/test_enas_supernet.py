"""A child of the shared weights of ENAS is the network built alone, and nothing else is touched."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from naslab.errors import SpecError
from naslab.networks import enas_macro, enas_micro
from naslab.networks.darts import Stem
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import EnasMacro, EnasMicro

TASK = SimpleNamespace(input_shape=(1, 13, 10), classes=3)
SPACES = {"macro": EnasMacro(layers=7, channels=4), "micro": EnasMicro(nodes=3, channels=4, cells=5)}
ALONE = {"macro": enas_macro.EnasMacroNetwork, "micro": enas_micro.EnasMicroNetwork}


@pytest.fixture(params=SPACES)
def variant(request):
    return request.param


@pytest.fixture
def child(variant):
    space = SPACES[variant]
    return lambda seed: space.layers_of(space.sample(numpy_generator(seed, "child")))


@pytest.fixture
def shared(variant):
    """With statistics and weights that no fresh network has."""
    with seeded(5, "shared"):
        network = SPACES[variant].shared_weights(TASK)
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape) if "var" in name else 0.1 * torch.randn(tensor.shape))
    return network


@pytest.fixture
def images():
    with seeded(6, "images"):
        return torch.randn(5, *TASK.input_shape)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.slow
def test_a_child_computes_what_it_would_alone(variant, shared, child, images, seed, training):
    """In float64: the network alone has another layout, and so other roundings."""
    shared, images = shared.double().train(training), images.double()
    alone = shared.alone(child(seed))
    assert type(alone) is ALONE[variant]
    torch.testing.assert_close(shared(images, child(seed)), alone(images), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_a_child_has_the_gradients_that_it_would_have_alone(shared, child, images, seed):
    """Float64: each weight of the network alone, put beside the one that it is a copy of."""
    shared, images = shared.double(), images.double()
    alone = shared.alone(child(seed))
    labels = torch.arange(len(images)) % TASK.classes
    for logits in (shared(images, child(seed)), alone(images)):
        F.cross_entropy(logits, labels).backward()
    ours = {name: weight.grad for name, weight in shared.named_parameters() if weight.grad is not None}
    with torch.no_grad():  # a copy of the gradients, in the way in which weights are copied
        for weight in shared.parameters():
            weight.copy_(torch.zeros_like(weight) if weight.grad is None else weight.grad)
    copied = dict(shared.alone(child(seed)).named_parameters())
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(copied[name], weight.grad, rtol=1e-9, atol=1e-12)
    total = sum(grad.pow(2).sum() for grad in ours.values())
    assert total.item() == pytest.approx(sum(weight.grad.pow(2).sum().item() for weight in alone.parameters()))
    assert total > 0


def test_children_differ(shared, child, images):
    """The comparison above would be empty if all of them computed the same."""
    shared.eval()
    outputs = [shared(images, child(seed)) for seed in range(4)]
    assert all(not torch.allclose(one, other) for i, one in enumerate(outputs) for other in outputs[:i])


def test_a_child_alone_has_a_copy(shared, child, images):
    before = shared(images, child(0)).detach()
    with torch.no_grad():
        for weight in shared.eval().alone(child(0)).parameters():
            weight.zero_()
    assert not before.eq(0).all()
    assert all(weight.any() for weight in shared.parameters() if weight.dim() > 1)


def macro_parts(layers):
    starts = {"stem.", "classifier."}
    for number, (operation, skips) in enumerate(layers, start=1):
        starts.add(f"layers.{number - 1}.operations.{operation}.")
        if number > 1:
            starts.add(f"layers.{number - 1}.norm.")
            starts |= {f"layers.{number - 1}.merge.{state}" for state in (*skips, number - 1)}
    for number in enas_macro.reductions(len(layers)):
        later = {state for _, skips in layers[number:] for state in skips if state <= number}
        starts |= {f"reductions.{number}.{state}." for state in later | {number}}
    return starts


def micro_parts(cells):
    starts = {"stem.", "classifier."}
    for position, nodes in enumerate(cells):
        starts |= {f"cells.{position}.entrance.", f"cells.{position}.norm."}
        read = {source for node in nodes for source in node.inputs}
        starts |= {f"cells.{position}.pieces.{state}" for state in range(2 + len(nodes)) if state not in read}
        for number, node in enumerate(nodes):
            for side, (source, operation) in enumerate(zip(node.inputs, node.operations, strict=True)):
                starts.add(f"cells.{position}.nodes.{number}.{side}.{source}.{operation}.")
    return starts


def parts_of(child, names):
    """Those of the names that belong to a child."""
    starts = macro_parts(child) if isinstance(child[0], tuple) else micro_parts(child)
    return {name for name in names if any(name == one or (one[-1] == "." and name.startswith(one)) for one in starts)}


@pytest.mark.parametrize("seed", range(4))
def test_only_the_child_gets_a_gradient(shared, child, images, seed):
    shared(images, child(seed)).pow(2).sum().backward()
    touched = {name for name, weight in shared.named_parameters() if weight.grad is not None}
    assert touched == parts_of(child(seed), dict(shared.named_parameters()))
    assert len(touched) < 0.7 * len(list(shared.parameters()))


@pytest.mark.parametrize("seed", range(4))
def test_only_the_child_is_computed(shared, child, images, seed):
    """Whatever is computed moves its statistics."""
    before = {name: value.clone() for name, value in shared.named_buffers()}
    shared.train()(images, child(seed))
    moved = {name for name, value in shared.named_buffers() if not torch.equal(value, before[name])}
    assert moved == parts_of(child(seed), before)


def test_a_child_of_another_depth_is_refused(shared, child, images):
    what = {"macro": "7 layers", "micro": "5 cells"}["macro" if len(child(0)) == 7 else "micro"]
    with pytest.raises(SpecError, match=f"has {what}, not {len(child(0)) - 1}"):
        shared(images, child(0)[:-1])
    with pytest.raises(SpecError, match=f"has {what}, not {len(child(0)) + 1}"):
        shared.alone([*child(0), child(0)[0]])


def test_the_sides_of_a_node_have_weights_of_their_own():
    """So have the states that they may read, and the cells; the paper's search has 8 cells of 5 nodes."""
    network = EnasMicro().shared_weights(SimpleNamespace(input_shape=(3, 32, 32), classes=10), channels=2)
    convolutions = [name for name, _ in network.named_parameters() if name.endswith("sep_conv_3x3.0.1.weight")]
    assert len(convolutions) == 8 * 2 * (2 + 3 + 4 + 5 + 6)
    assert isinstance(network.stem, Stem)
    assert [len(cell.pieces) for cell in network.cells] == [7] * 8
