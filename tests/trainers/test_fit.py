import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import naslab as nl
from naslab.errors import Diverged, SpecError
from naslab.networks.darts import DartsNetwork
from naslab.networks.genotype import Genotype
from naslab.operations import kernels
from naslab.operations.norms import BatchNorm2d
from naslab.randomness import seeded
from naslab.trainers import Recipe
from naslab.trainers.fit import train


def weights(network):
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


@pytest.mark.slow
def test_a_small_network_learns_fashion_mnist():
    with seeded(0):
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(784, 10)
        )
    report = nl.trainers.fit(network, nl.tasks.FashionMNIST(), epochs=1, learning_rate=0.1, threads=1)
    assert report.test_accuracy > 0.70
    assert report.parameters == 9098
    task = nl.tasks.FashionMNIST()
    x, y = task.batch(torch.arange(2000), split="test")
    assert task.accuracy(network(x), y) == report.test_accuracy, "the report is about the network as it is now"
    assert not network.training


def test_the_same_seed_gives_the_same_training_and_leaves_global_randomness_alone(digits, network):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, same, other = network(), network(), network()
    first = nl.trainers.fit(one, digits, epochs=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert nl.trainers.fit(same, digits, epochs=2, seed=3) == first
    assert torch.equal(weights(one), weights(same))
    assert nl.trainers.fit(other, digits, epochs=2, seed=4) != first
    assert not torch.equal(weights(one), weights(other))


def test_reports_are_equal_whatever_the_time(digits, network):
    report = nl.trainers.fit(network(), digits, epochs=2)
    assert dataclasses.replace(report, seconds=9.9) == report
    assert report.seconds > 0
    assert report.epochs == report.best_epoch == 2
    assert report.history[1].train_loss < report.history[0].train_loss
    assert f"test_accuracy={report.test_accuracy:.4f}" in repr(report)
    assert len(str(report).splitlines()) == 4


def test_one_step_is_plain_sgd_on_the_gradient_of_the_mean_loss(digits, network):
    trained, expected = network(plain=True), network(plain=True)
    task = digits.subset(96)
    recipe = Recipe(epochs=1, batch_size=96, learning_rate=0.1, weight_decay=0.01, augment=False, gradient_clipping=0)
    report = nl.trainers.fit(trained, task, recipe=recipe)
    x, y = task.batch(torch.arange(96))
    loss = task.loss(expected(x), y)
    loss.backward()
    for got, parameter in zip(trained.parameters(), expected.parameters(), strict=True):
        want = parameter - 0.1 * (parameter.grad + 0.01 * parameter)
        assert torch.allclose(got, want, atol=1e-6)
    assert report.history[0].train_loss == pytest.approx(loss.item(), rel=1e-5)
    assert report.history[0].train_accuracy == task.accuracy(expected(x), y)


def test_the_gradient_is_clipped_to_its_norm(digits, network):
    trained, start = network(plain=True), network(plain=True)
    recipe = Recipe(epochs=1, batch_size=96, learning_rate=1.0, weight_decay=0, gradient_clipping=0.01)
    nl.trainers.fit(trained, digits.subset(96), recipe=recipe)
    assert float((weights(trained) - weights(start)).norm()) == pytest.approx(0.01, rel=1e-3)


def test_label_smoothing_raises_the_training_loss_only(digits, network):
    plain, smooth = (
        nl.trainers.fit(network(), digits, epochs=1, label_smoothing=smoothing, learning_rate=1e-9)
        for smoothing in (0.0, 0.5)
    )
    assert smooth.history[0].train_loss != plain.history[0].train_loss
    assert smooth.test_loss == pytest.approx(plain.test_loss, rel=1e-3)


class TwoHeads(nn.Module):
    """Gives a pair in training, as a network with an auxiliary head does."""

    def __init__(self):
        super().__init__()
        with seeded(0):
            self.head, self.auxiliary_head = nn.Linear(64, 10), nn.Linear(64, 10)
        self.drop_path_probability = 0.7
        self.seen = []

    def forward(self, x):
        x = x.flatten(1)
        if self.training:
            self.seen.append(self.drop_path_probability)
            return self.head(x), self.auxiliary_head(x)
        return self.head(x)


def test_the_auxiliary_loss_counts_with_its_weight(digits):
    task = digits.subset(96)
    moved = {}
    for weight in (0.0, 0.4, 0.8):
        network, start = TwoHeads(), TwoHeads()
        recipe = Recipe(epochs=1, weight_decay=0, gradient_clipping=0, auxiliary_weight=weight, augment=False)
        nl.trainers.fit(network, task, recipe=recipe)
        moved[weight] = weights(network.auxiliary_head) - weights(start.auxiliary_head)
        head = weights(network.head)
        assert torch.equal(head, moved.setdefault("head", head)), "the main head knows nothing of it"
    start = TwoHeads()
    x, y = task.batch(torch.arange(96))
    task.loss(start(x)[1], y).backward()
    gradient = torch.cat([parameter.grad.flatten().double() for parameter in start.auxiliary_head.parameters()])
    for weight in (0.0, 0.4, 0.8):
        assert torch.allclose(moved[weight], -0.025 * weight * gradient, atol=1e-6)
    assert gradient.abs().max() > 0.01


def test_drop_path_grows_linearly_from_zero(digits):
    network = TwoHeads()
    nl.trainers.fit(network, digits.subset(96), epochs=4, drop_path=0.2)
    assert network.seen == pytest.approx([0.0, 0.05, 0.10, 0.15])
    network = TwoHeads()
    nl.trainers.fit(network, digits.subset(96), epochs=1)
    assert network.seen == [0.7], "not asked for, not touched"


@pytest.mark.slow
def test_drop_path_and_the_auxiliary_head_of_the_darts_network(digits):
    task = nl.tasks.FashionMNIST().subset(96, 50)
    space = nl.spaces.DartsCell(nodes=1, channels=4, cells=3)
    from numpy.random import default_rng

    architecture = space.sample(default_rng(0))
    with seeded(0):
        network = space.build(architecture, task, auxiliary=True)
    report = nl.trainers.fit(network, task, epochs=2, batch_size=32, drop_path=0.3)
    assert network.drop_path_probability == pytest.approx(0.15)
    assert report == nl.trainers.fit(_again(space, architecture, task), task, epochs=2, batch_size=32, drop_path=0.3)


def _again(space, architecture, task):
    with seeded(0):
        return space.build(architecture, task, auxiliary=True)


def test_the_best_held_out_epoch_is_kept_and_patience_ends_the_training(digits, network):
    task = digits.subset(300)
    trained = network()
    report = nl.trainers.fit(
        trained, task, epochs=40, held_out=0.2, patience=3, batch_size=16, learning_rate=0.1, schedule="constant"
    )
    accuracies = [row.valid_accuracy for row in report.history]
    assert report.epochs < 40
    assert report.best_epoch == accuracies.index(max(accuracies)) + 1
    assert report.epochs == report.best_epoch + 3
    _, held_out = task.split_train_valid(0, 0.8)
    x, y = task.batch(held_out)
    with torch.no_grad():
        loss = float(task.loss(trained(x), y))
    assert loss == pytest.approx(report.best.valid_loss, rel=1e-5), "the weights of that epoch"
    assert loss != pytest.approx(report.history[-1].valid_loss, rel=1e-4)
    assert report.test_accuracy == report.history[report.best_epoch - 1].test_accuracy


def test_held_out_images_are_not_trained_on(digits, network):
    _, held_out = digits.split_train_valid(0, 0.7)
    task = digits.subset()  # the same data, its own copy
    scrambled = task.train.labels.clone()
    scrambled[held_out] = (scrambled[held_out] + 1) % 10
    other = dataclasses.replace(task, train=nl.tasks.ImageSet(task.train.images, scrambled))
    one, two = network(), network()
    recipe = Recipe(epochs=1, held_out=0.3)
    first, second = nl.trainers.fit(one, task, recipe=recipe), nl.trainers.fit(two, other, recipe=recipe)
    assert torch.equal(weights(one), weights(two))
    assert first.history[0].valid_accuracy > second.history[0].valid_accuracy


def test_bf16_trains_in_bf16_and_keeps_float32_weights(digits, network):
    seen = []
    trained = network()
    trained[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    report = nl.trainers.fit(trained, digits, epochs=3, precision="bf16")
    assert set(seen) == {torch.bfloat16}
    assert {parameter.dtype for parameter in trained.parameters()} == {torch.float32}
    assert report.test_accuracy > 0.7


def test_channels_last_computes_the_same(digits, network):
    plain, last = network(), network()
    first = nl.trainers.fit(plain, digits, epochs=1, channels_last=False)
    second = nl.trainers.fit(last, digits, epochs=1, channels_last=True)
    assert last[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert second.test_loss == pytest.approx(first.test_loss, rel=1e-2)


def test_channels_last_is_the_default_where_it_pays(digits):
    """Not for a network with PyTorch's own normalisation, nor where PyTorch writes out of bounds."""
    found = {}
    for name, norm, stride in (("ours", BatchNorm2d, 1), ("theirs", nn.BatchNorm2d, 1), ("strided", BatchNorm2d, 2)):
        layers = nn.Conv2d(1, 4, 3), norm(4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1, stride), nn.Flatten()
        trained = nn.Sequential(*layers, nn.Linear(64 // stride**2, 10))
        nl.trainers.fit(trained, digits, epochs=1)
        found[name] = trained[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert found == {"ours": kernels.available(), "theirs": False, "strided": False}


@pytest.mark.slow
def test_compile_goes_through_torch_compile(digits, network, monkeypatch):
    compiled, compiler = [], torch.compile

    def cheap(module):
        compiled.append(module)
        return compiler(module, backend="eager")  # the real tracing, without minutes of C++

    monkeypatch.setattr(torch, "compile", cheap)
    plain, traced = network(), network()
    first = nl.trainers.fit(plain, digits.subset(192), epochs=1)
    second = nl.trainers.fit(traced, digits.subset(192), epochs=1, compile=True)
    assert compiled == [traced]
    assert second.test_loss == pytest.approx(first.test_loss, rel=1e-3)


@pytest.mark.slow
def test_a_schedule_of_drop_path_changes_no_graph(digits, monkeypatch):
    from torch._dynamo.utils import counters

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: compiler(module, backend="eager", fullgraph=True))
    torch._dynamo.reset()
    counters.clear()
    cell = (("skip_connect", 0), ("dil_conv_3x3", 1)), (2,)
    network = DartsNetwork(Genotype(*cell, *cell), (1, 8, 8), 10, channels=2, cells=1)
    recipe = Recipe(epochs=4, batch_size=32, drop_path=0.4, compile=True)
    graphs = []
    for _ in train(network, task=digits.subset(64), recipe=recipe, seed=0, test=False):
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs == [1, 1, 1, 1]
    assert network.drop_path_probability == pytest.approx(0.3)
    network.train()
    x = digits.example(32)[0]
    compiled = torch.compile(network)
    assert not torch.equal(compiled(x), compiled(x)), "masks are drawn"
    network.drop_path_probability = 0.0
    torch.testing.assert_close(compiled(x), network(x))
    assert counters["stats"]["unique_graphs"] == 1


def test_more_outputs_than_classes_are_learnt(digits):
    report = nl.trainers.fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 12)), digits, epochs=2, learning_rate=0.1)
    assert report.test_accuracy > 0.7


def test_numbers_may_be_numpys(digits, network, tmp_path):
    numpys = {"epochs": np.int64(1), "batch_size": np.int32(32), "seed": np.uint8(3), "processes": np.int64(1)}
    report = nl.trainers.fit(network(), digits, **numpys, checkpoint=tmp_path / "fit")
    assert nl.trainers.fit(network(), digits, epochs=1, batch_size=32, seed=3, checkpoint=tmp_path / "fit") == report


def test_threads_are_as_before_afterwards(digits, network):
    seen = []
    trained = network()
    trained[0].register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    nl.trainers.fit(trained, digits.subset(96), epochs=1, threads=2)
    assert set(seen) == {2}
    assert torch.get_num_threads() == 1


def test_the_bar_is_shown_when_asked_for(digits, network, capsys):
    nl.trainers.fit(network(), digits.subset(96), epochs=2)
    assert capsys.readouterr().err == "", "nobody is looking"
    nl.trainers.fit(network(), digits.subset(96), epochs=2, progress=True)
    assert "2/2" in capsys.readouterr().err


@pytest.mark.gpu
class TestOnAGpu:
    @pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
    def test_it_learns_there_by_default(self, digits, network, precision):
        trained = network()
        report = nl.trainers.fit(trained, digits, epochs=5, precision=precision, channels_last=True)
        assert next(trained.parameters()).device.type == "cuda"
        assert report.test_accuracy > 0.7

    def test_it_resumes_there(self, digits, network, tmp_path):
        report = nl.trainers.fit(network(), digits, epochs=2, precision="fp16", checkpoint=tmp_path / "fit")
        again = nl.trainers.fit(network(1), digits, epochs=2, precision="fp16", checkpoint=tmp_path / "fit")
        assert again == report


@pytest.mark.parametrize("why", [KeyboardInterrupt, Diverged, SpecError])
def test_the_network_is_in_evaluation_mode_however_the_training_ends(digits, network, why, monkeypatch):
    made = network().train()
    if why is KeyboardInterrupt:

        def stop(*given, **more):
            assert made.training, "in the middle of an epoch"
            raise KeyboardInterrupt

        monkeypatch.setattr(type(digits), "batch", stop)
    recipe = {Diverged: dict(learning_rate=1e30, gradient_clipping=0), SpecError: dict(drop_path=0.1)}.get(why, {})
    with pytest.raises(why):
        nl.trainers.fit(made, digits, epochs=2, progress=False, **recipe)
    assert not any(module.training for module in made.modules())
