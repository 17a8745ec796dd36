"""One path of shared weights in channels-last layout, in which the CPU computes it faster."""

import pytest
import torch
from torch import nn

import naslab as nl
from naslab.operations.layout import channels_last_pays, strided_pointwise
from naslab.operations.norms import BatchNorm2d
from naslab.randomness import numpy_generator, torch_generator

SPACES = {
    "enas macro": nl.spaces.EnasMacro(layers=3, channels=4),
    "enas micro": nl.spaces.EnasMicro(nodes=2, cells=3, channels=4),
    "nasbench201": nl.spaces.NASBench201(channels=4, cells=1),
    "darts": nl.spaces.DartsCell(nodes=2, channels=4, cells=3),
}


class Task:
    input_shape, classes = (1, 12, 12), 3


@pytest.mark.parametrize("name", list(SPACES))
def test_all_that_is_normalised_behind_the_stem(name):
    space = SPACES[name]
    shared = space.shared_weights(Task()).train()
    seen = []
    for module in shared.modules():
        if isinstance(module, BatchNorm2d):
            module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.randn(2, 1, 12, 12, generator=torch_generator("layout"))
    shared(x, space.layers_of(space.sample(numpy_generator("layout"))))
    assert len(seen) > 3
    assert all(found.is_contiguous(memory_format=torch.channels_last) for found in seen[1:])


def test_every_normalisation_is_exact_in_that_layout():
    """No network of a space has PyTorch's, but for those that grow by weights of their own."""
    for name in nl.spaces.SPACES:
        space = nl.spaces.SPACES[name]
        made = space.laptop() if hasattr(space, "laptop") else None
        if made is None or not hasattr(made, "build") or name in ("morphing", "recurrent_cell"):
            continue
        network = made.build(made.sample(numpy_generator("norms")), nl.tasks.FashionMNIST())
        assert not [m for m in network.modules() if type(m) is nn.BatchNorm2d], name


def test_not_where_pytorch_writes_out_of_bounds():
    fine, risky = (nn.Sequential(nn.Conv2d(4, 4, 1, stride), BatchNorm2d(4)) for stride in (1, 2))
    assert (strided_pointwise(fine), strided_pointwise(risky)) == (False, True)
    assert not channels_last_pays(risky, torch.device("cpu"))
    assert not channels_last_pays(fine, torch.device("cuda"))
