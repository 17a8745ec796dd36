import pytest
import torch
from torch import nn
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.networks.cost import cost, parameters
from naslab.networks.darts import AuxiliaryHead, DartsNetwork, drop_path, plan, reductions
from naslab.networks.genotype import DARTS_V1, DARTS_V2, Genotype
from naslab.operations.images import DARTS_OPERATIONS, FactorizedReduce
from naslab.randomness import seeded, torch_generator

SMALL = Genotype((("skip_connect", 0), ("sep_conv_3x3", 1)), (2,), (("max_pool_3x3", 0), ("dil_conv_3x3", 1)), (2,))


@pytest.mark.slow
def test_cost_of_the_second_published_network():
    network = DartsNetwork(DARTS_V2, (3, 32, 32), 10, channels=36, cells=20)
    assert cost(network, (3, 32, 32)).multiply_adds == 528_359_040


@pytest.mark.parametrize(
    ("cells", "positions"), [(1, (0,)), (2, (0, 1)), (3, (1, 2)), (4, (1, 2)), (8, (2, 5)), (20, (6, 13))]
)
def test_reductions_at_one_and_two_thirds(cells, positions):
    assert reductions(cells) == positions
    assert tuple(i for i, cell in enumerate(plan(4, cells, {"normal": 2, "reduce": 2})) if cell.reduction) == positions


def test_plan_of_four_cells():
    plans = list(plan(4, 4, {"normal": 3, "reduce": 2}))
    assert [cell.channels for cell in plans] == [4, 8, 16, 16]
    assert [cell.channels_last for cell in plans] == [12, 12, 16, 32]
    assert [cell.channels_before_last for cell in plans] == [12, 12, 12, 16]
    assert [cell.after_reduction for cell in plans] == [False, False, True, True]


def test_a_cell_is_what_the_paper_says():
    """The first cell, written out by hand."""
    network = DartsNetwork(SMALL, (1, 8, 8), 3, channels=4, cells=3).double().eval()
    cell = network.cells[0]
    x = torch.randn(2, 12, 8, 8, dtype=torch.float64)
    first, second = cell.preprocess.before_last(x), cell.preprocess.last(x)
    by_hand = first + cell.operations[1](second)
    assert_close(cell(x, x, 0.0), by_hand)


def test_after_a_reduction_the_older_input_is_halved():
    network = DartsNetwork(SMALL, (1, 8, 8), 3, channels=4, cells=4)
    halved = [isinstance(cell.preprocess.before_last, FactorizedReduce) for cell in network.cells]
    assert halved == [False, False, True, True]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 7, 13), (1, 4, 4), (3, 5, 9)])
@pytest.mark.parametrize("cells", [1, 2, 4, 5])
def test_images_of_any_size(shape, cells):
    network = DartsNetwork(DARTS_V1, shape, 7, channels=2, cells=cells).eval()
    assert network(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("operation", DARTS_OPERATIONS)
def test_every_operation_builds_and_learns(operation):
    cell = ((operation, 0), (operation, 1))
    network = DartsNetwork(Genotype(cell, (2,), cell, (2,)), (3, 8, 8), 5, channels=4, cells=3)
    network(torch.randn(4, 3, 8, 8)).logsumexp(dim=1).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


# --- the auxiliary head ----------------------------------------------------------------------------


def test_auxiliary_head_at_the_published_size():
    head = AuxiliaryHead(576, 10, 8, 8)
    assert parameters(head) == 576 * 128 + 2 * 128 + 4 * 128 * 768 + 2 * 768 + 7690
    pool = head[1]
    assert isinstance(pool, nn.AvgPool2d)
    assert (pool.kernel_size, pool.stride) == ((5, 5), (3, 3))


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (4, 5), (7, 7), (8, 8), (2, 9), (16, 16)])
def test_auxiliary_head_at_any_size(size):
    head = AuxiliaryHead(8, 10, *size)
    assert head[1](torch.randn(1, 8, *size)).shape[-2:] == (2, 2)
    assert head(torch.randn(2, 8, *size)).shape == (2, 10)
    assert parameters(head) == parameters(AuxiliaryHead(8, 10, 8, 8))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 9, 11)])
def test_auxiliary_logits_in_training_only(shape):
    network = DartsNetwork(SMALL, shape, 7, channels=2, cells=4, auxiliary=True)
    x = torch.randn(2, *shape)
    logits, auxiliary = network(x)
    assert logits.shape == auxiliary.shape == (2, 7)
    assert network.eval()(x).shape == (2, 7)


def test_auxiliary_head_reads_the_second_reduction():
    network = DartsNetwork(SMALL, (1, 8, 8), 3, channels=2, cells=6, auxiliary=True)
    seen = []
    network.cells[4].register_forward_hook(lambda module, inputs, output: seen.append(output))
    network.auxiliary_head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    network(torch.randn(2, 1, 8, 8))
    assert seen[0] is seen[1]


# --- ImageNet --------------------------------------------------------------------------------------


def test_multiply_adds_of_the_published_network_for_imagenet():
    """Counted a second time, by the shapes of what the layers give out. (The paper states 574 million.)"""
    counted = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal counted
        per_output = module.weight[0].numel()  # type: ignore[index]
        counted += output[0].numel() * per_output

    with torch.device("meta"):
        network = DartsNetwork(DARTS_V2, (3, 224, 224), 1000, channels=48, cells=14, stem="imagenet").eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, 224, 224))
    assert counted == 529_911_552
    small = DartsNetwork(SMALL, (3, 64, 64), 10, channels=4, cells=3, stem="imagenet")
    counted = 0
    for module in small.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    assert cost(small, (3, 64, 64)).multiply_adds == counted > 0


def test_the_stem_for_imagenet_written_out():
    """Three convolutions of stride 2; the first cell reads both what comes before the last and what comes after."""
    network = DartsNetwork(SMALL, (3, 32, 32), 5, channels=4, cells=3, stem="imagenet").double().eval()
    seen = []
    network.cells[0].register_forward_pre_hook(lambda module, inputs: seen.extend(inputs[:2]))
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    network(x)
    first, norm, _, second, last_norm = network.stem.quarter
    assert [tuple(module.stride) for module in network.stem.modules() if isinstance(module, nn.Conv2d)] == [(2, 2)] * 3
    quarter = last_norm(second(norm(first(x)).relu()))
    relu_conv_norm = network.stem.eighth
    eighth = relu_conv_norm[2](relu_conv_norm[1](quarter.relu()))
    assert first.out_channels == 2
    assert (seen[0].shape, seen[1].shape) == ((2, 4, 8, 8), (2, 4, 4, 4))
    assert_close(seen[0], quarter)
    assert_close(seen[1], eighth)
    assert isinstance(network.cells[0].preprocess.before_last, FactorizedReduce)


def test_the_network_for_imagenet_learns():
    network = DartsNetwork(DARTS_V1, (3, 224, 224), 10, channels=2, cells=14, stem="imagenet", auxiliary=True)
    logits, auxiliary = network(torch.randn(2, 3, 224, 224))
    pool = network.auxiliary_head[1]  # type: ignore[index]
    assert (pool.kernel_size, pool.stride) == ((5, 5), (2, 2)), "as published, on 7 x 7"
    assert not [m for m in network.auxiliary_head.modules() if isinstance(m, nn.BatchNorm2d)][1:]  # type: ignore[union-attr]
    (logits + 0.4 * auxiliary).logsumexp(dim=1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.eval()(torch.randn(1, 3, 224, 224)).shape == (1, 10)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 65, 97), (2, 100, 40)])
def test_the_stem_for_imagenet_at_any_size(shape):
    network = DartsNetwork(SMALL, shape, 7, channels=3, cells=4, stem="imagenet", auxiliary=True)
    assert [y.shape for y in network(torch.randn(2, *shape))] == [(2, 7), (2, 7)]


# --- drop path -------------------------------------------------------------------------------------


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    with seeded("drop path"):
        dropped = drop_path(torch.ones(4000, 2, 3, 3), 0.25)
    per_image = dropped.flatten(1)
    assert_close(per_image.amin(dim=1), per_image.amax(dim=1))
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 4 / 3])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)


def test_drop_path_acts_in_training_only_and_spares_the_identity():
    network = DartsNetwork(SMALL, (1, 8, 8), 3, channels=2, cells=3, drop_path=0.5)
    x = torch.randn(8, 1, 8, 8, generator=torch_generator("drop path"))

    def twice() -> tuple[torch.Tensor, torch.Tensor]:
        return network(x), network(x)

    assert not torch.equal(*twice())
    network.drop_path_probability = 0.0
    assert torch.equal(*twice())
    network.drop_path_probability = 0.5
    network.eval()
    assert torch.equal(*twice())

    skips = ((("skip_connect", 0), ("skip_connect", 1)), (2,))
    cell = DartsNetwork(Genotype(*skips, *skips), (1, 8, 8), 3, channels=2, cells=3).cells[0]
    y = torch.randn(8, 6, 8, 8)
    assert torch.equal(cell(y, y, 0.9), cell(y, y, 0.0))


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "sizes", "sentence"),
    [
        ((1, 8, 8), {"channels": 0}, "channels must be a whole number of at least 1, not 0"),
        ((1, 8, 8), {"cells": -1}, "cells must be"),
        ((1, 8, 8), {"cells": 2.0}, "cells must be"),
        ((1, 8, 8), {"channels": True}, "channels must be"),
        ((1, 8, 8), {"classes": 0}, "classes must be"),
        ((1, 8, 8), {"drop_path": 1.0}, "from 0 to below 1"),
        ((1, 3, 8), {}, "too small to be halved 2 times; use images of at least 4 x 4"),
        ((64,), {}, "images of shape"),
        ((1, 4, 4), {"auxiliary": True}, "use larger images or auxiliary=False"),
        ((1, 32, 32), {"auxiliary": True, "stem": "imagenet"}, "use larger images or auxiliary=False"),
        ((1, 28, 28), {"stem": "imagenet"}, "too small to be halved 5 times"),
        ((1, 28, 28), {"stem": "image_net"}, "unknown stem 'image_net'; did you mean 'imagenet'"),
    ],
)
def test_nonsense_is_refused(shape, sizes, sentence):
    arguments = {"classes": 3, "channels": 2, "cells": 4, **sizes}
    with pytest.raises(SpecError) as caught:
        DartsNetwork(SMALL, shape, arguments.pop("classes"), **arguments)
    assert sentence in str(caught.value)
