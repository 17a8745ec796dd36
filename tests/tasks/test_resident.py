"""Data on a device: the same mini-batches as on the CPU, without waiting for the device."""

import gc
import weakref

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.tasks import resident
from naslab.tasks.metrics import Mean
from naslab.testing.pretended_cuda import PretendedCuda
from naslab.trees import tensors

TEXT = "to be or not to be, that is the question:\nwhether it is nobler in the mind to suffer\n" * 9
TASKS = {
    "digits": lambda: nl.tasks.Digits().subset(60, 9),
    "mirrored": lambda: nl.tasks.FashionMNIST().subset(40, 10).augmented(padding=3, flip=True, cutout=9),
    "floats": lambda: nl.tasks.Images.from_arrays(torch.rand(60, 3, 6, 6), torch.arange(60) % 3),
    "text": lambda: nl.tasks.LanguageModel.from_text(TEXT * 2, bptt=5),
}


def batches(task, device):
    """Mini-batches of either split, some augmented, one with every other row, and the example."""
    found = []
    for split in ("train", "test"):
        stream = task.stream(split)
        for step, rows in enumerate((slice(None), slice(1, None, 2))):
            augment = torch.Generator().manual_seed(step) if split == "train" else None
            where = stream.where(4, 0, step, 1)
            found.append(task.batch(where, split=stream.split, augment=augment, device=device, rows=rows))
    return [*found, task.example(3, device=device)]


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("name", TASKS)
def test_mini_batches_are_those_of_the_cpu_and_nothing_waits_for_them(name, fits, monkeypatch):
    monkeypatch.setattr(resident, "SMALL", 100)
    if not fits:
        monkeypatch.setattr(resident, "available", lambda device: 100)
    task = TASKS[name]()
    with PretendedCuda() as gpu:
        first = batches(task, "cuda")
        gpu.reset()
        again = batches(task, torch.device("cuda", 0))
        assert gpu.waits == 0, gpu.report()
        assert all(tensor.is_cuda for tensor in tensors([first, again]))
        found = [[tensor.cpu() for tensor in tensors(one)] for one in (first, again)]
    expected = tensors(batches(task, "cpu"))
    for each in found:
        assert len(each) == len(expected)
        for one, other in zip(each, expected, strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
    owner = getattr(task, "train", task)
    assert [copy is not None for copy in resident._kept[owner].values()] == [fits]


def test_the_data_is_sent_once_and_goes_with_the_task():
    task = nl.tasks.Digits()
    with PretendedCuda() as gpu:
        task.batch(torch.arange(4), device="cuda")
        assert gpu.waits == 4, gpu.report()  # images, labels, mean and standard deviation
        gpu.reset()
        task.subset(None, 5).batch(torch.arange(4), device="cuda")
        assert gpu.waits == 2, "the training images are those of the whole task; the moments belong to the task"
        gpu.reset()
        batch = task.batch(torch.arange(4), device="cuda")
        batch[0].zero_(), batch[1].zero_()
        assert bool(task.batch(torch.arange(4), device="cuda")[0].any()), "a mini-batch is a copy"
        images = weakref.ref(resident._kept[task.train][torch.device("cuda", 0)][0])
        del task
        gc.collect()
        assert images() is None


def test_a_quarter_of_the_free_memory_is_the_most(monkeypatch):
    data = lambda: (torch.zeros(100, dtype=torch.uint8), torch.zeros(25))  # noqa: E731
    with PretendedCuda():
        for free, fits in ((800, True), (799, False), (None, False)):
            monkeypatch.setattr(resident, "available", lambda device, free=free: free)
            monkeypatch.setattr(resident, "SMALL", 199)
            assert (resident.resident(frozenset([object()]), data, torch.device("cuda")) is not None) == fits
            monkeypatch.setattr(resident, "SMALL", 200)
            assert resident.resident(frozenset([object()]), data, torch.device("cuda")) is not None
    assert resident.resident(object, data, torch.device("cpu")) is None


class Unaware(nl.tasks.Images):
    """Knows no devices, and counts the five likeliest classes."""

    def batch(self, where, *, split="train", augment=None, device="cpu", rows=slice(None), view=None):
        return super().batch(where, split=split, augment=augment, rows=rows)

    def accuracy(self, logits, y):
        return float((logits.topk(5, dim=1).indices == y[:, None]).any(dim=1).float().mean())


class Counting(nl.tasks.Images):
    """Measures and rewards in its own way."""

    def measured(self, outputs, batch, *, loss=None):
        return {**super().measured(outputs, batch, loss=loss), "seen": 1.0}

    def reward_of(self, outputs, batch):
        return 3 * super().reward_of(outputs, batch)

    def metrics(self):
        return {**super().metrics(), "seen": Mean(lambda outputs, batch: 1.0, self.size, direction="max")}


@pytest.mark.parametrize("kind", [Unaware, Counting])
def test_a_task_of_a_stranger_needs_nothing_new(kind):
    task = nl.tasks.Digits().subset(64, 16)
    object.__setattr__(task, "__class__", kind)
    space = nl.spaces.NASBench201(channels=2, cells=1)
    network = space.build(space.sample(np.random.default_rng(0)), task)
    values, found = {}, {}
    for device in ("cpu", "cuda"):
        with PretendedCuda():
            search = nl.searchers.SPOS(space, task, device=device, batch_size=8, epochs=1, train_portion=0.5)
            values[device] = dict(search.advance().metrics)
            batch = task.batch(torch.arange(4), device=device)
            outputs = network.to(device)(task.inputs(batch))
            found[device] = [task.reward_of(outputs, batch), task.measured(outputs, batch)]
            assert float(task.pending_reward(outputs, batch)) == found[device][0]
    assert values["cuda"] == pytest.approx(values["cpu"])
    assert values["cpu"].keys() >= {"train/accuracy"}
    assert ("train/seen" in values["cpu"]) == (kind is Counting)
    assert found["cuda"][1] == pytest.approx(found["cpu"][1], abs=1e-5)
    assert found["cuda"][0] == found["cpu"][0]


def test_lengths_that_a_task_leaves_on_the_cpu_stay_there():
    class Lengths(nl.tasks.Images):
        def batch(self, where, **options):
            return *super().batch(where, **options), torch.tensor([3, 2])

    task = nl.tasks.Digits().subset(60, 9)
    object.__setattr__(task, "__class__", Lengths)
    with PretendedCuda():
        images, _, lengths = task.batch(torch.arange(4), device="cuda")
        assert images.is_cuda
        assert not lengths.is_cuda


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("name", TASKS)
def test_mini_batches_of_a_real_gpu(name, fits, monkeypatch):
    monkeypatch.setattr(resident, "SMALL", 100)
    if not fits:
        monkeypatch.setattr(resident, "available", lambda device: 100)
    task = TASKS[name]()
    batches(task, "cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = batches(task, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for one, other in zip(tensors(found), tensors(batches(task, "cpu")), strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-6, atol=1e-6)
