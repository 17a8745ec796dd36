"""Costs of operations against the operations themselves, and against PyTorch's own counter."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from naslab.networks.operation_costs import multiply_adds, parameters
from naslab.operations.images import DARTS_OPERATIONS
from naslab.spaces import DartsCell, NASBench201

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)


def shapes(space):
    return {part: (rows, len(space.operations)) for part, rows in space.edges().items()}


def test_parameters_are_those_of_the_operations():
    space = DartsCell(nodes=2, channels=4, cells=3)
    found = parameters(space.supernet(TASK), (1, 8, 8), shapes(space))
    size = lambda name, channels, stride: sum(  # noqa: E731
        p.numel() for p in DARTS_OPERATIONS[name](channels, stride, False).parameters()
    )
    for column, name in enumerate(space.operations):
        # three cells: normal at 4, then reductions to 8 and to 16 channels
        assert found["normal"][:, column].tolist() == [size(name, 4, 1)] * 5
        reduce = [size(name, 8, s) + size(name, 16, s) for s in (2, 2, 2, 2, 1)]
        assert found["reduce"][:, column].tolist() == reduce


@pytest.mark.parametrize("space", [DartsCell(nodes=2, channels=4, cells=3), NASBench201(channels=4, cells=1)])
@pytest.mark.parametrize("one_in", [1, 2])
@pytest.mark.slow
def test_multiply_adds_are_what_the_flop_counter_sees(space, one_in):
    network = space.supernet(TASK, one_in=one_in).eval()
    found = multiply_adds(network, (1, 8, 8), shapes(space))

    def flops(part=None, row=0, column=0):
        weights = {name: torch.zeros(shape) for name, shape in shapes(space).items()}
        if part:
            weights[part][row, column] = 1.0
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 1, 8, 8), weights)
        return counter.get_total_flops() // 2

    for part, (rows, columns) in shapes(space).items():
        for row, column in ((0, columns - 1), (rows - 1, 3), (2, 2), (1, 2)):
            if found[part][row, column]:  # the counter sees the blending of the operations without parameters, too
                assert found[part][row, column] == flops(part, row, column) - flops()
        free = [name in ("none", "max_pool_3x3", "avg_pool_3x3") for name in space.operations]
        assert not found[part][:, free].any()
        assert found[part][:, [name.endswith(("conv_3x3", "conv_5x5", "conv_1x1")) for name in space.operations]].all()
