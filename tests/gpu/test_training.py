"""`fit` on the device: precisions, checkpoints, several processes."""

import pytest
import torch

import naslab as nl

RECIPE = {"epochs": 3, "batch_size": 64, "learning_rate": 0.05, "progress": False}
SETTINGS = [
    {},
    {"precision": "bfloat16"},
    pytest.param({"precision": "float16"}, marks=pytest.mark.gpu),  # which the CPU refuses
    {"channels_last": True},
    {"precision": "bfloat16", "channels_last": True},
]


def skip_off_gpu(request, device):
    """A setting that is marked gpu needs the device to be one."""
    if device == "cpu" and request.node.get_closest_marker("gpu"):
        pytest.skip("needs CUDA")


def weights(network):
    return [tensor.cpu() for tensor in network.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize("given", SETTINGS, ids=lambda given: " ".join(map(str, given.values())) or "plain")
def test_a_training_resumes_bit_for_bit(given, device, request, child, digits, tmp_path):
    skip_off_gpu(request, device)
    whole, parts = child(), child()
    recipe = {**RECIPE, **given, "device": device, "schedule_epochs": 3}
    report = nl.trainers.fit(whole, digits, **recipe)
    nl.trainers.fit(parts, digits, **(recipe | {"epochs": 2}), checkpoint=tmp_path / "fit")
    again = child()
    assert nl.trainers.fit(again, digits, **recipe, checkpoint=tmp_path / "fit").history == report.history
    assert same(whole, again)
    assert not same(whole, child())


def test_it_learns_as_on_the_cpu(quick_device, child, digits, without_tf32):
    there, here = child(), child()
    recipe = RECIPE | {"epochs": 1}
    ours = nl.trainers.fit(there, digits, **recipe, device=quick_device)
    theirs = nl.trainers.fit(here, digits, **recipe, device="cpu")
    assert ours.history[0].train_loss == pytest.approx(theirs.history[0].train_loss, rel=1e-3)
    assert next(there.parameters()).device.type == quick_device


@pytest.mark.filterwarnings("ignore:.*was begun on cuda and goes on on cpu")  # which is said for its last bits
def test_a_checkpoint_goes_from_the_device_to_the_cpu_and_back(device, child, digits, tmp_path):
    kept = tmp_path / "fit"
    recipe = RECIPE | {"schedule_epochs": 3}
    for epochs, where in ((1, device), (2, "cpu"), (3, device)):
        network = child()
        report = nl.trainers.fit(network, digits, **(recipe | {"epochs": epochs}), device=where, checkpoint=kept)
        assert next(network.parameters()).device.type == where
    assert report.epochs == 3
    assert report.history[-1].train_loss < report.history[0].train_loss


@pytest.mark.parametrize("given", [{}, {"sync_batch_norm": True}], ids=["own statistics", "shared statistics"])
def test_two_processes_do_what_one_does(given, device, digits):
    """With NCCL on two GPUs; on the CPU with gloo, which has no shared statistics."""
    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    if device == "cpu" and given:
        pytest.skip("needs CUDA")

    def network():
        with nl.seeded(1, "child"):
            normalised = [torch.nn.BatchNorm2d(8)] if given else []
            layers = [torch.nn.Conv2d(1, 8, 3, padding=1), *normalised, torch.nn.ReLU(), torch.nn.Flatten()]
            return torch.nn.Sequential(*layers, torch.nn.Linear(512, 10))

    alone, shared = network(), network()
    one = nl.trainers.fit(alone, digits, **RECIPE, device=device)
    two = nl.trainers.fit(shared, digits, **RECIPE, **given, device=device, processes=2)
    losses = [[row.train_loss for row in report.history] for report in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert two.test_accuracy == pytest.approx(one.test_accuracy, abs=0.02)


def test_the_estimator_trains_there(device, cells, digits):
    space = cells["nasbench201"]
    training = nl.estimators.Training(space, digits.subset(256), device=device, epochs=1, batch_size=64)
    architecture = space.sample(nl.randomness.numpy_generator(1))
    assert training(architecture).fitness == training(architecture).fitness
