"""Several GPUs, old GPUs, no GPU and full GPUs, on a machine that need not have any."""

import os
import time

import pytest
import torch
from torch import nn

import naslab as nl
from naslab import device as devices
from naslab.device import gpus_of, take_gpu, usable_device, visible_gpus, why_no_cuda
from naslab.errors import OutOfMemory, SpecError
from naslab.estimators import Function, Resources, Training, WithMetrics, Workers, ZeroCost, resources
from naslab.out_of_memory import placed
from naslab.precision import check_precision
from naslab.searchers.evaluations import _gpus
from naslab.trainers.processes import Group

CELL = nl.spaces.NASBench201(channels=2, cells=1)
DATA = nl.tasks.Digits().subset(300, 20)


@pytest.fixture
def gpus(monkeypatch):
    """Makes torch say that there are GPUs; `CUDA_VISIBLE_DEVICES` is restored afterwards, whoever sets it."""

    def make(count, listed=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(devices, "_own_gpu", None)
        monkeypatch.setenv(devices.VISIBLE, "") if listed is None else monkeypatch.setenv(devices.VISIBLE, listed)
        if listed is None:
            monkeypatch.delenv(devices.VISIBLE)

    return make


def test_gpus_have_the_names_that_cuda_knows_them_by(gpus):
    gpus(2)
    assert visible_gpus() == ("0", "1")
    gpus(2, "3, GPU-8932f937,7")
    assert visible_gpus() == ("3", "GPU-8932f937"), "torch did not find the third"
    gpus(0)
    assert visible_gpus() == ()


def test_a_process_with_a_gpu_of_its_own_knows_it_by_the_number_of_its_parent(gpus):
    gpus(1)
    take_gpu(2, "7")
    assert os.environ[devices.VISIBLE] == "7"
    assert usable_device("cuda:2") == torch.device("cuda", 0)
    assert usable_device("cuda") == torch.device("cuda")
    with pytest.raises(SpecError, match=r"computes on GPU 2 alone, so not on cuda:1; say device='cuda'.*gpus=\[1\]"):
        usable_device("cuda:1")


@pytest.mark.parametrize(
    ("listed", "given", "expected"),
    [
        (None, {}, [(0, "0"), (1, "1"), (0, "0")]),
        ("5,6", {}, [(0, "5"), (1, "6"), (0, "5")]),
        ("5,6", {"gpus": [1]}, [(1, "6")] * 3),
        (None, {"gpus": ()}, [None] * 3),
    ],
)
def test_workers_are_spread_over_the_gpus(gpus, listed, given, expected):
    gpus(2, listed)
    with Workers(2, **given) as pool:
        pool.grow(3)
        assert [lane._limits.gpu for lane in pool._lanes] == expected


def seen():
    time.sleep(0.5)  # long enough for the other worker to take the next call
    return os.environ.get("CUDA_VISIBLE_DEVICES"), devices._own_gpu


@pytest.mark.slow
@pytest.mark.parametrize("given", [{}, {"gpus": ()}])
def test_each_worker_sees_its_gpu_alone(gpus, given):
    gpus(2, "5,6")
    with Workers(2, **given) as pool:
        found = {one.result(120) for one in [pool.submit(seen) for _ in range(6 if not given else 1)]}
    assert found == ({("", None)} if given else {("5", 0), ("6", 1)})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gpus": [2]}, r"gpus=\[2\] names GPU 2, and there are 2, counted from 0"),
        ({"gpus": [-1]}, "the number of a GPU must be a whole number from 0 up"),
        ({"gpus": "01"}, r"gpus are the numbers of GPUs, such as \[0, 1\]"),
        ({"gpus": 1}, r"gpus are the numbers of GPUs, such as \[0, 1\]"),
    ],
)
def test_a_gpu_that_there_is_not_is_refused(gpus, given, message):
    gpus(2)
    with pytest.raises(SpecError, match=message):
        Workers(1, **given)


def test_without_a_gpu_the_reason_is_given():
    if torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA")
    with pytest.raises(SpecError, match=r"gpus=\[0\] names GPU 0, and there is none \(.+\)"):
        Workers(1, gpus=[0])


def test_workers_of_a_search_take_the_gpu_of_their_estimator(gpus):
    gpus(3)
    estimators = {
        None: Training(CELL, DATA, epochs=1, batch_size=16),
        "cuda": Training(CELL, DATA, epochs=1, batch_size=16, device="cuda"),
        "cuda:1": ZeroCost(CELL, DATA, "grad_norm", device="cuda:1"),
        "cpu": Resources(CELL, DATA, ["latency"]),
        "cuda:2": WithMetrics(
            Training(CELL, DATA, epochs=1, batch_size=16, device="cuda:2"), Resources(CELL, DATA, ["latency"])
        ),
        "cuda:9": Training(CELL, DATA, epochs=1, batch_size=16, device="cuda:9"),
    }
    expected = {None: None, "cuda": None, "cuda:1": (1,), "cpu": (), "cuda:2": (2,), "cuda:9": None}
    assert {name: _gpus(estimator) for name, estimator in estimators.items()} == expected
    assert _gpus(Function(len)) is None, "it may compute on a GPU"
    assert gpus_of("mps") == ()


def test_a_memory_limit_is_one_of_the_gpu_where_there_is_one(monkeypatch):
    from naslab.estimators import worker_process

    class Properties:
        total_memory = 16e9

    limits = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: limits.append(given))
    worker_process._limit_gpu_memory(4e9)
    worker_process._limit_gpu_memory(64e9)
    assert limits == [(0.25, 0), (1.0, 0)]


# --- precision, drivers, full GPUs -----------------------------------------------------------------


@pytest.fixture
def old_gpu(monkeypatch):
    """A GPU before Ampere: torch emulates its bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")


def test_bfloat16_is_refused_where_a_gpu_has_none(old_gpu):
    with pytest.raises(SpecError, match=r"bfloat16'.* Tesla T4 has none; .*Use precision='float32'"):
        nl.searchers.Darts(CELL, DATA, batch_size=20, precision="bf16", device="cuda")
    with pytest.raises(SpecError, match=r"Tesla T4 has none; .*Use precision='float16', which is scaled"):
        nl.trainers.fit(nn.Linear(1, 1), DATA, precision="bfloat16", device="cuda", batch_size=20)
    check_precision("bfloat16", torch.device("cpu"), instead="")
    check_precision("float32", torch.device("cuda"), instead="")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (
            "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver ...",
            r"the driver is too old for torch \d.*: update the driver, or install a build of torch for an older CUDA",
        ),
        ("Found no NVIDIA driver on your system.", "Found no NVIDIA driver on your system"),
    ],
)
def test_why_there_is_no_cuda_is_said(monkeypatch, says, told):
    def init():
        raise RuntimeError(says)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    with pytest.raises(SpecError, match=told):
        usable_device("cuda")
    monkeypatch.setenv(devices.VISIBLE, "")
    assert "hides all GPUs" in why_no_cuda()
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert "build without CUDA" in why_no_cuda()


class Full(nn.Linear):
    """A network that finds no room on any device but the CPU."""

    def to(self, device, **given):
        if device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self


def test_a_gpu_that_is_full_at_the_start_is_said_to_be():
    with pytest.raises(OutOfMemory, match=r"moving 4 MB of a Full there .*20.00 MiB more.*nvidia-smi.*device='cpu'"):
        placed(Full(1000, 1000), torch.device("cuda"))


def test_a_gpu_named_for_several_processes_is_refused(gpus):
    gpus(2)
    with pytest.raises(SpecError, match=r"device='cuda:1' names one GPU, and 2 processes take one each"):
        nl.trainers.fit(nn.Linear(1, 1), DATA, device="cuda:1", processes=2, batch_size=20)
    with pytest.raises(SpecError, match=r"names one GPU"):
        Group(rank=1, size=2, local_rank=1).device("cuda:1")
    assert Group(rank=1, size=2, local_rank=1).device("cuda") == torch.device("cuda:1")
    assert Group().device("cuda:1") == torch.device("cuda:1")


# --- resources -------------------------------------------------------------------------------------


def test_resources_are_measured_on_the_device(monkeypatch):
    here = Resources(CELL, DATA, ["latency", "parameters"], repeats=1)
    assert "device" not in here.spec(), "runs that are older than the argument have the fingerprint that they had"
    there = Resources(CELL, DATA, ["latency", "parameters"], repeats=1, device="cuda:0")
    assert Resources.from_spec(there.spec(), DATA).device == there.device == "cuda:0"
    assert there.fingerprint() != here.fingerprint()
    asked = []
    monkeypatch.setattr(resources, "usable_device", lambda name: asked.append(name) or torch.device("cpu"))
    assert there.measure(CELL.sample(0))["latency"] > 0
    assert asked == ["cuda:0"]


def test_the_clock_waits_for_the_device(monkeypatch):
    waited = []
    monkeypatch.setattr(resources, "synchronise", lambda device: waited.append(str(device)))
    resources.latency(nn.Linear(2, 2), torch.zeros(1, 2), repeats=2)
    assert waited == ["cpu"] * (resources.WARM_UP + 2)
