"""A path of a single-path supernet is the network built alone, and nothing else is computed or touched."""

import re

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from naslab.errors import SpecError
from naslab.networks import single_path
from naslab.networks.single_path import Candidates
from naslab.randomness import numpy_generator, seeded
from naslab.spaces import DartsCell, MobileChain, NASBench201, NASBenchMacro

SPACES = {
    "nasbench201": NASBench201(channels=3, cells=2),
    "darts": DartsCell(nodes=3, channels=3, cells=3),
    "mobile_chain": MobileChain(channels=4, stages=3, layers=3, stem_stride=1),
    "nasbench_macro": NASBenchMacro(channels=2),
}
SHAPES = {"nasbench_macro": (2, 16, 11)}
every_space = pytest.mark.parametrize("name", SPACES)


class Task:
    classes = 3

    def __init__(self, name):
        self.input_shape = SHAPES.get(name, (2, 13, 10))


def path(name, seed):
    space = SPACES[name]
    return space.layers_of(space.sample(numpy_generator(seed, "path")))


def shared(name):
    """In float64, with statistics and weights that no fresh network has."""
    with seeded(5, "shared"):
        network = SPACES[name].shared_weights(Task(name)).double()
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape) if "var" in key else 0.1 * torch.randn(tensor.shape))
    return network


def images(name):
    return torch.randn(5, *Task(name).input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


@every_space
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.slow
def test_a_path_computes_what_the_network_alone_does(name, seed, training):
    """Outputs, and the statistics afterwards."""
    whole, x = shared(name).train(training), images(name)
    alone = whole.alone(path(name, seed))
    assert type(alone) is type(SPACES[name].build(SPACES[name].sample(numpy_generator(0)), Task(name)))
    assert alone.training == training
    one, other = whole(x, path(name, seed)), alone(x)
    assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)
    after = whole.alone(path(name, seed)).state_dict()
    for key, value in alone.state_dict().items():
        assert torch.allclose(after[key], value, rtol=1e-12, atol=1e-12), key


@every_space
def test_gradients_are_those_of_the_network_alone_one_by_one(name):
    """By swapping the gradients in for the weights: what is copied is then the gradient of that very weight."""
    whole, x = shared(name).train(), images(name)
    alone = whole.alone(path(name, 1))
    whole(x, path(name, 1)).pow(2).sum().backward()
    alone(x).pow(2).sum().backward()
    with torch.no_grad():
        for weight in whole.parameters():
            weight.copy_(torch.full_like(weight, torch.nan) if weight.grad is None else weight.grad)
    gradients = dict(whole.alone(path(name, 1)).named_parameters())
    for key, weight in alone.named_parameters():
        if weight.grad is not None:  # else it reads what nothing reads any more
            assert torch.allclose(gradients[key], weight.grad, rtol=1e-9, atol=1e-12), key


@every_space
def test_paths_differ(name):
    whole, x = shared(name).eval(), images(name)
    outputs = [whole(x, path(name, seed)) for seed in range(4)]
    assert all(not torch.allclose(one, other) for i, one in enumerate(outputs) for other in outputs[:i])


def candidate_calls(name, whole, chosen):
    """(candidates of a place, name) of all that were run."""
    run, names = [], {}
    for key, module in whole.named_modules():
        if isinstance(module, Candidates):
            for option, candidate in module.items():
                names[candidate] = (key, option)
    hooks = [module.register_forward_pre_hook(lambda module, _: run.append(names[module])) for module in names]
    whole(images(name), chosen)
    for hook in hooks:
        hook.remove()
    return run


@every_space
@pytest.mark.parametrize("seed", range(3))
def test_only_the_path_is_run(name, seed):
    whole, chosen = shared(name), path(name, seed)
    run = candidate_calls(name, whole, chosen)
    assert len(set(run)) == len(run)
    if name == "darts":
        parts = whole.parts
        rows = {
            part: [(n * (n + 3) // 2 + s, o) for i, (o, s) in enumerate(e) for n in [i // 2]]
            for part, e in chosen.items()
        }
        expected = {(f"cells.{cell}.edges.{row}", o) for cell, part in enumerate(parts) for row, o in rows[part]}
    elif name == "nasbench201":
        cells = [i for i, layer in enumerate(whole.layers) if hasattr(layer, "operations")]
        expected = {(f"layers.{c}.operations.{e}", o) for c in cells for e, o in enumerate(chosen) if o != "none"}
    else:
        expected = {(f"chain.{layer}", option) for layer, option in enumerate(chosen)}
    assert set(run) == expected


class Operations(TorchDispatchMode):
    """Counts what is computed."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@every_space
def test_a_path_takes_no_more_operations_than_the_network_alone(name, monkeypatch):
    """Forward and backward; fewer where nothing is added as zeros."""
    monkeypatch.setattr(single_path, "pixels_together", lambda x: x)  # in another layout PyTorch computes otherwise
    whole, x = shared(name).train(), images(name)
    for seed in range(3):
        chosen = path(name, seed)
        alone = whole.alone(chosen)
        with Operations() as of_path:
            whole(x, chosen).sum().backward()
        with Operations() as of_alone:
            alone(x).sum().backward()
        whole.zero_grad()
        assert of_path.count <= of_alone.count


@every_space
def test_only_the_path_gets_gradients_and_moves_its_statistics(name):
    whole, chosen = shared(name).train(), path(name, 2)
    before = {key: value.clone() for key, value in whole.named_buffers()}
    whole(images(name), chosen).pow(2).sum().backward()
    run = {f"{place}.{option}." for place, option in candidate_calls(name, shared(name), chosen)}

    def on_path(key):
        return not re.search(r"\.edges\.|layers\.\d+\.operations\.|^chain\.", key) or any(map(key.startswith, run))

    touched = {key for key, weight in whole.named_parameters() if weight.grad is not None}
    moved = {key for key, value in whole.named_buffers() if not torch.equal(value, before[key])}
    assert all(map(on_path, touched))
    assert all(map(on_path, moved))
    assert {key for key in before if on_path(key)} == moved
    assert len(touched) < 0.6 * len(list(whole.parameters()))


@every_space
def test_a_network_alone_has_a_copy(name):
    whole = shared(name).eval()
    before = whole(images(name), path(name, 0)).detach()
    with torch.no_grad():
        for weight in whole.alone(path(name, 0)).parameters():
            weight.zero_()
    assert torch.equal(whole(images(name), path(name, 0)), before)


def test_sizes_that_cannot_be_are_refused():
    for bad in ({"channels": 0}, {"cells": -1}):
        with pytest.raises(SpecError, match="at least 1"):
            SPACES["darts"].shared_weights(Task("darts"), **bad)
    with pytest.raises(SpecError, match="too small"):
        NASBenchMacro().shared_weights(Small())


class Small:
    input_shape, classes = (1, 4, 4), 2
