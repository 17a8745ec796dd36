"""What a training refuses, and what it says of a divergence."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import DataError, Diverged, SpecError


def weights(network):
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


def test_divergence_is_told_with_advice_and_the_step_is_not_kept(digits, network):
    trained = network(plain=True)
    with pytest.raises(Diverged, match=r"became (nan|inf) at step \d+ .*lower learning_rate, for instance to 1e\+29"):
        nl.trainers.fit(trained, digits, learning_rate=1e30, gradient_clipping=0)
    start = network(plain=True)
    with torch.no_grad():
        start[0].weight[0, 0, 0, 0] = math.nan
    kept = [parameter.clone() for parameter in start.parameters()]
    with pytest.raises(Diverged, match="loss became nan at step 1"):
        nl.trainers.fit(start, digits)
    assert all(torch.equal(a, b) for a, b in zip(kept[1:], list(start.parameters())[1:], strict=True))


class NanGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


class FiniteLossBadGradient(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return NanGradient.apply(self.linear(x.flatten(1)))


def test_a_gradient_that_is_not_finite_is_divergence_too(digits):
    network = FiniteLossBadGradient()
    before = weights(network)
    with pytest.raises(Diverged, match="gradient norm became nan"):
        nl.trainers.fit(network, digits)
    assert torch.equal(weights(network), before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 2000}, DataError, "batch of 2000 cannot be filled from 1438"),
        ({"precision": "fp16", "device": "cpu"}, SpecError, "float16 needs CUDA"),
        ({"drop_path": 0.2}, SpecError, "no drop_path_probability"),
        ({"epoch": 3}, SpecError, "did you mean 'epochs'"),
        ({"processes": 0}, SpecError, "processes must be"),
        ({"seed": -1}, SpecError, "seed must be a whole number from 0 up, not -1"),
        ({"seed": 1.0}, SpecError, "seed must be a whole number"),
        ({"device": "gpu"}, SpecError, "there is no device 'gpu'; give 'cpu', 'cuda'"),
        ({"device": 1.5}, SpecError, "there is no device 1.5"),
        ({"recipe": {"epochs": 1}}, SpecError, "must be a Recipe, not dict"),
        ({"processes": 7}, SpecError, "96 cannot be shared evenly by 7 processes; take batch_size=91"),
        ({"held_out": 0.9999999}, DataError, "cannot be split"),
    ],
)
def test_what_cannot_be_done_is_said(digits, network, options, error, message):
    with pytest.raises(error, match=message):
        nl.trainers.fit(network(), digits, **options)


def test_a_network_without_parameters_is_refused(digits):
    with pytest.raises(SpecError, match="no parameter that can be trained"):
        nl.trainers.fit(nn.Flatten(), digits)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_gpu_that_is_not_there_is_refused(digits, network):
    with pytest.raises(
        SpecError, match=r"device='cuda' was asked for, but torch finds no CUDA here \(.*\); use device='cpu'"
    ):
        nl.trainers.fit(network(), digits, device="cuda")
    with pytest.raises(SpecError, match="device='xpu' cannot be computed on here"):
        nl.trainers.fit(network(), digits, device="xpu")


def test_arguments_of_the_wrong_kind_are_refused(digits, network):
    architecture = nl.spaces.NASBench201().sample(np.random.default_rng(0))
    for trained, task, message in (
        (architecture, digits, r"build it first: fit\(space.build\(architecture, task\), task\)"),
        ("resnet", digits, "torch.nn.Module, not str"),
        (digits, network(), "torch.nn.Module, not Images"),
        (network(), (digits.train.images, digits.train.labels), r"not tuple; .*Images.from_arrays\(x, y\)"),
    ):
        with pytest.raises(SpecError, match=message):
            nl.trainers.fit(trained, task)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [nn.Flatten(), nn.Linear(64, 7)],
            "the network has 7 outputs, and the task 10 classes; give its last layer 10",
        ),
        (
            [nn.Conv2d(1, 10, 3)],
            r"logits of shape \[96, 10\] for images of shape \[96, 1, 8, 8\].*not \[96, 10, 6, 6\]",
        ),
        ([nn.Flatten(), nn.Linear(64, 10), nn.Flatten(0)], r"not \[960\]"),
        ([nn.Flatten(), nn.LSTM(64, 10)], "not tuple"),
    ],
)
def test_outputs_that_do_not_fit_the_task_are_refused(digits, layers, message, tmp_path):
    for options in ({}, {"checkpoint": tmp_path / "fit"}):
        with pytest.raises(SpecError, match=message):
            nl.trainers.fit(nn.Sequential(*layers), digits, **options)


def test_batch_norm_of_one_value_is_explained(digits):
    network = nn.Sequential(nn.AvgPool2d(8), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 10))
    with pytest.raises(SpecError, match=r"more than one value a channel.*1 x 1 pixel; take batch_size=2 or more"):
        nl.trainers.fit(network, digits.subset(20, 20), epochs=1, batch_size=1)


def test_weights_that_cannot_be_trained_are_refused(digits):
    def linear(**options):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, **options))

    with torch.inference_mode():
        never = linear()
    for made, said in (
        (never, r"made inside torch.inference_mode\(\), and its weights can never be trained"),
        (linear(device="meta"), "meta device, where weights have shapes and no numbers"),
        (
            linear(dtype=torch.float64),
            r"weights of torch.float64, and images are torch.float32; call network.float\(\)",
        ),
    ):
        with pytest.raises(SpecError, match=said):
            nl.trainers.fit(made, digits, epochs=1, progress=False)
