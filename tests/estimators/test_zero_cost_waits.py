"""How often a zero-cost score waits for a GPU, counted on a pretended one."""

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.estimators.zero_cost.proxies import PROXIES
from naslab.testing.pretended_cuda import PretendedCuda
from naslab.transfer import network_to_device

MOST = 3
"""The inputs, the outputs and the score are each looked at once."""


@pytest.mark.parametrize("proxy", [name for name in PROXIES if name not in ("parameters", "flops")])
def test_a_score_is_that_of_the_cpu_and_waits_three_times(proxy):
    task, space = nl.tasks.Digits().subset(32, 8), nl.spaces.NASBench201(channels=2, cells=1)
    architecture = space.sample(np.random.default_rng(3))
    expected = nl.estimators.ZeroCost(space, task, proxy, batch_size=8, device="cpu")(architecture)
    with PretendedCuda() as gpu:
        estimator = nl.estimators.ZeroCost(space, task, proxy, batch_size=8, device="cuda")
        estimator(architecture)  # the data is sent to the device
        gpu.reset()
        found = estimator(architecture)
        assert 1 <= gpu.waits <= MOST, gpu.report()
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_network_goes_to_the_device_in_one_copy():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
            self.other = nn.Conv2d(3, 3, 3)
            self.other.weight = self.one.weight

    network = Tied().to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with PretendedCuda() as gpu:
        assert network_to_device(network, "cuda") is network
        assert gpu.waits == 0, gpu.report()
        assert all(tensor.is_cuda for tensor in network.state_dict().values())
        assert network.one.weight.is_contiguous(memory_format=torch.channels_last)
        assert isinstance(network.one.weight, nn.Parameter)
        assert network.one.weight.requires_grad
        assert network.one.weight.held.data_ptr() == network.other.weight.held.data_ptr()
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor.cpu(), before[name])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_network_on_a_real_gpu():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before, weight = [tensor.clone() for tensor in network.state_dict().values()], network[0].weight
    network_to_device(network, "cuda")
    assert network[0].weight is weight
    for tensor, expected in zip(network.state_dict().values(), before, strict=True):
        assert tensor.is_cuda
        assert torch.equal(tensor.cpu(), expected)
