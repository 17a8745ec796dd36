"""What a run promises on the device: the same bits again, whatever happens in between."""

import json
import signal
import subprocess
import sys

import pytest
import torch

import naslab as nl
from naslab.runs import environment
from naslab.snapshot import digest


@pytest.fixture(params=["nasbench201", "darts"])
def searcher(request, darts):
    """Makes the same searcher on a device, again and again."""
    return lambda device: darts(device, request.param)


@pytest.fixture
def undisturbed(searcher, device):
    """What eight steps come to if nothing happens: the events, and the digest of the state."""
    search = nl.Search(searcher(device))
    events = [next(search) for _ in range(8)]
    return events, digest(search.searcher.state_dict())


def outcome(search):
    while search.step < 8:
        next(search)
    return [event for event in search.events if event.kind == "supernet_step"], digest(search.searcher.state_dict())


def test_two_runs_are_equal_bit_for_bit(searcher, device, undisturbed):
    assert outcome(nl.Search(searcher(device))) == undisturbed


@pytest.mark.filterwarnings("ignore:.*does not have a deterministic implementation")  # which is what warning is for
@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_two_strict_runs_are_equal_bit_for_bit(space, device, darts, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def state():
        search = darts(device, space, deterministic="strict")
        for _ in range(3):
            search.advance()
        return digest(search.state_dict())

    assert state() == state()


def test_rewinding_repeats_the_steps(searcher, device, undisturbed):
    search = nl.Search(searcher(device))
    for _ in range(7):
        next(search)
    search.rewind(5)
    assert outcome(search) == undisturbed


def test_a_fork_begins_as_an_exact_copy(searcher, device, undisturbed, tmp_path):
    search = nl.Search(searcher(device), run=tmp_path / "run")
    for _ in range(7):
        next(search)
    fork = search.fork(tmp_path / "fork", step=6)
    assert outcome(fork) == undisturbed
    search.close()
    fork.close()


def test_an_interrupt_in_the_middle_of_a_step_costs_that_step_alone(searcher, device, undisturbed, monkeypatch):
    search = nl.Search(searcher(device))
    for _ in range(4):
        next(search)
    task, losses = type(search.searcher.task), iter(range(100))
    loss = task.loss

    def interrupted(self, *given, **more):
        if next(losses) == 1:  # that of the architecture is computed, that of the weights is not
            raise KeyboardInterrupt
        return loss(self, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(task, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(search)
    assert outcome(search) == undisturbed


KILLED = """
import os, signal, sys
import naslab as nl

space = nl.spaces.NASBench201(channels=4, cells=1)
searcher = nl.searchers.Darts(space, nl.tasks.Digits(), device=sys.argv[2], batch_size=16, epochs=2, seed=1)
search = nl.Search(searcher, run=sys.argv[1], snapshot_every=50)
for _ in range(6):
    next(search)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_goes_on(device, darts, tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "run"), device], check=False, timeout=250)
    assert killed.returncode == -signal.SIGKILL
    search = nl.Search.open(tmp_path / "run")
    assert search.step == 6
    whole = nl.Search(darts(device))
    assert outcome(search) == outcome(whole)
    search.close()


def test_a_run_of_a_gpu_opens_where_there_is_none(gpu, darts, tmp_path, monkeypatch):
    search = nl.Search(darts(gpu), run=tmp_path / "run", snapshot_every=4)
    for _ in range(4):
        next(search)
    search.close()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.warns(UserWarning, match="cuda|gpu was"):
        opened = nl.Search.open(tmp_path / "run")
    assert next(opened).step == 5
    assert next(opened.searcher.network.parameters()).device.type == "cpu"
    opened.close()


@pytest.mark.filterwarnings("ignore:.*gpu was")  # the last bits are those of another device, which is said
def test_a_run_goes_on_on_the_device_that_is_asked_for_and_back(quick_device, darts, tmp_path):
    search = nl.Search(darts(quick_device), run=tmp_path / "run")
    next(search)
    search.close()
    for device in ("cpu", quick_device):
        opened = nl.Search.open(tmp_path / "run", device=device)
        assert next(opened.searcher.network.parameters()).device.type == device
        next(opened)
        opened.close()
    again = nl.Search.open(tmp_path / "run")
    assert again.step == 3
    assert next(again.searcher.network.parameters()).device.type == quick_device, "the device of the run stays its own"
    again.close()


def test_what_does_not_compute_the_same_bits_twice_goes_on(gpu, darts, tmp_path):
    """With `deterministic=False` a repeated step may differ; the search says so, and which GPU it was, and goes on."""
    search = nl.Search(darts(gpu, "darts", deterministic=False), run=tmp_path / "run")
    for _ in range(7):
        next(search)
    search.rewind(5)
    assert search.step in (0, 5), "from the snapshot, if the steps could not be repeated"
    assert next(search).step == search.step
    notes = [event.message for event in search.events if event.kind == "recovered"]
    assert all(torch.cuda.get_device_name() in note for note in notes)
    search.close()


def test_the_environment_names_the_gpu_and_what_computes_on_it(gpu, darts):
    found = environment.of_spec(darts(gpu).spec())
    assert json.loads(json.dumps(found)) == found
    assert found["gpu"] == torch.cuda.get_device_name()
    assert found["cudnn"] == torch.backends.cudnn.version()
    of_cpu, other = environment.of_spec(darts("cpu").spec()), environment.of_spec(darts(gpu, precision="tf32").spec())
    assert "gpu" not in of_cpu
    assert any(found["gpu"] in change for change in environment.differences(of_cpu, found))
    assert environment.differences(found, other), "TF32 changes the last bits"
    assert not environment.differences(found, environment.of_spec(darts(gpu).spec()))
