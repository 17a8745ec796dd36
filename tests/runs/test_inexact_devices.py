"""A device that does not compute the same bits twice: every run goes on, and says where its steps are not the logged
ones. Here the small searcher is told that it were on a GPU, and a noise of no seed is added to its outputs.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.errors import Diverged, OutOfMemory, SpecError
from naslab.events import ChildTrained, SupernetStep
from naslab.numerics import Numerics
from naslab.runs import about as run_json
from naslab.runs import environment
from naslab.runs.rounding import TOLERANCE, deviation

ROUNDING, CHAOS = 1e-5, 1.0
WHY = "cuda need not compute the same bits twice, with deterministic=False"
CUDA = torch.device("cuda")


@pytest.fixture
def noisy(small, monkeypatch):
    """Makes the small searcher with an amount of noise in each forward pass."""

    def make(noise, **sizes):
        kind = nl.searchers.SEARCHERS["small"]
        whole, calls = kind._logits, itertools.count(1)  # so no two passes have the same noise
        monkeypatch.setattr(kind, "numerics", Numerics(device=CUDA, deterministic=False))
        monkeypatch.setattr(kind, "_logits", lambda self, x: whole(self, x) * (1 + noise * next(calls)))
        return small(**sizes)

    return make


@pytest.fixture(scope="module")
def few():
    return nl.tasks.Digits().subset(96, 20)


def said(search):
    return [event.message for event in search.events if event.kind == "recovered"]


def go(search, step):
    while search.step < step:
        next(search)


def broken_off(search):
    """Leave a run as a kill does: without the snapshot that closing takes."""
    search.close()
    if (last := search.run / "snapshots" / f"step-{search.step:08d}.snapshot").exists():
        last.unlink()
    return search.run


@pytest.mark.parametrize("noise", [ROUNDING, CHAOS])
def test_a_run_that_was_killed_is_opened_and_goes_on(noisy, tmp_path, noise):
    search = nl.Search(noisy(noise), run=tmp_path / "run", snapshot_every=4)
    go(search, 7)
    run = broken_off(search)
    with pytest.warns(UserWarning, match=WHY):
        search = nl.Search.open(run)
    if noise == ROUNDING:
        assert search.step == 7
        assert "the steps after step 4 were done again, and their figures differ by up to" in said(search)[0]
        assert said(search)[-1] == "broken off at step 7; 3 steps done again"
    else:
        assert search.step == 4
        assert "step 5 was done again and came out differently" in said(search)[0]
        assert said(search)[0].endswith("goes on from the state of step 4, and keeps the steps after it as abandoned")
    assert next(search).step == search.step == (8 if noise == ROUNDING else 5)
    search.close()
    if noise == CHAOS:
        assert [event.step for _, _, event in nl.runs.read(run).abandoned()] == [5, 6, 7]


FAILURES = {
    "interrupt": KeyboardInterrupt(),
    "out of memory": torch.OutOfMemoryError("CUDA out of memory"),  # which is raised as OutOfMemory
    "diverged": Diverged("step 8: the train loss is nan; lower w_lr"),
}


@pytest.mark.parametrize("noise", [ROUNDING, CHAOS])
@pytest.mark.parametrize("failure", FAILURES)
def test_after_a_step_that_was_broken_off_the_next_one_goes_on(noisy, monkeypatch, tmp_path, failure, noise):
    for run in (None, tmp_path / "run"):
        search = nl.Search(noisy(noise), run=run, snapshot_every=4)
        go(search, 7)
        with monkeypatch.context() as broken, pytest.raises((type(FAILURES[failure]), OutOfMemory)):
            broken.setattr(type(search.searcher), "_logits", lambda *_: (_ for _ in ()).throw(FAILURES[failure]))
            next(search)
        search.set("w_lr", 0.01)
        with pytest.warns(UserWarning, match=WHY):
            event = next(search)
        assert event.step == (8 if noise == ROUNDING else 5)
        assert event.settings["w_lr"] == 0.01, "what was wished before is not lost with the steps"
        assert [each.step for each in search.events if each.kind == "supernet_step"] == [*range(1, event.step + 1)]
        assert next(search).step == event.step + 1
        search.close()


@pytest.mark.parametrize("noise", [ROUNDING, CHAOS])
def test_rewind_and_fork_come_as_near_as_they_can(noisy, tmp_path, noise):
    search = nl.Search(noisy(noise), run=tmp_path / "run", snapshot_every=4)
    go(search, 7)
    reached = 6 if noise == ROUNDING else 4
    with pytest.warns(UserWarning, match=WHY):
        fork = search.fork(tmp_path / "fork", step=6)
    assert fork.step == fork.searcher.step == reached
    assert len(said(fork)) == 1
    assert search.step == 7
    with pytest.warns(UserWarning, match=WHY):
        search.rewind(6)
    assert search.step == search.searcher.step == reached
    for one in (search, fork):
        assert next(one).step == reached + 1
        one.close()


def test_the_state_goes_on_that_was_stored_last_and_not_a_repeated_one(noisy, state_of):
    """The repeated steps leave no copies in memory, and the searcher is in the stored state again."""
    search = nl.Search(noisy(CHAOS), snapshot_every=4)
    go(search, 4)
    stored = state_of(search)
    go(search, 7)
    with pytest.warns(UserWarning, match="state of step 4"):
        search.rewind(6)
    assert state_of(search) == stored
    assert search._ring.steps == []


def test_the_message_names_the_gpu_and_its_libraries(noisy, monkeypatch):
    of_gpu = {"gpu": "NVIDIA X", "capability": "9.0", "cuda": "13.0", "cudnn": 91500, "driver": "580.1"}
    monkeypatch.setattr(environment, "gpu", lambda device: of_gpu)
    search = nl.Search(noisy(CHAOS), snapshot_every=4)
    go(search, 6)
    words = r"cuda \(NVIDIA X, CUDA 13.0, cuDNN 91500\) need not compute the same bits twice, with deterministic=False"
    with pytest.warns(UserWarning, match=words):
        search.rewind(5)


@pytest.mark.slow
def test_a_real_kill(few, tmp_path, monkeypatch):
    """The same, with a process that is killed, and a searcher of naslab's own."""
    run = tmp_path / "run"
    script = f"""
import os, signal
import naslab as nl
space, task = nl.spaces.NASBench201(channels=2, cells=1), nl.tasks.Digits().subset(96, 20)
searcher = nl.searchers.Darts(space, task, batch_size=8, epochs=2, device="cpu")
search = nl.Search(searcher, {str(run)!r}, snapshot_every=3)
for _ in range(5):
    next(search)
os.kill(os.getpid(), signal.SIGKILL)
"""
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    begun = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, env=alone)
    assert begun.returncode == -signal.SIGKILL, begun.stderr
    whole, numerics = type(few).loss, Numerics(device=CUDA, deterministic=False)
    monkeypatch.setattr(type(few), "loss", lambda self, *given: whole(self, *given) * (1 + ROUNDING))
    monkeypatch.setattr(nl.searchers.Darts, "numerics", property(lambda self: numerics, lambda *_: None), raising=False)
    with pytest.warns(UserWarning, match=WHY):
        search = nl.Search.open(run, few)
    assert [search.step, next(search).step] == [5, 6]
    search.close()


# --- how far two steps are apart -----------------------------------------------------------------

ARCHITECTURES = [nl.architecture.Architecture("small", (name,)) for name in ("identity", "conv_3x3")]


def step(**changes):
    given = {
        "step": 3,
        "epoch": 0,
        "metrics": {"train/loss": 2.0, "valid/accuracy": 0.5, "count/skip_connect": 1.0, "discretisation_gap": 0.2},
        "probabilities": {"cell": np.array([[0.2, 0.8]], dtype=np.float32)},
        "best": ARCHITECTURES[0],
        "settings": {"w_lr": 0.05},
    }
    return SupernetStep(**{**given, **changes})


def test_deviation_is_the_largest_relative_difference_of_a_number():
    plain = step()
    assert deviation(plain, step()) == 0
    assert deviation(plain, step(metrics={**plain.metrics, "train/loss": 2.5})) == pytest.approx(0.5 / 2.5)
    assert deviation(plain, step(metrics={**plain.metrics, "valid/accuracy": 0.6})) == pytest.approx(0.1)
    moved = step(probabilities={"cell": np.array([[0.3, 0.7]], dtype=np.float32)})
    assert deviation(plain, moved) == pytest.approx(0.1)
    nan = step(metrics={**plain.metrics, "train/loss": float("nan")})
    assert deviation(nan, nan) == 0
    assert deviation(plain, nan) == deviation(nan, plain) == np.inf


def test_a_derived_architecture_may_jump_and_a_drawn_one_may_not():
    jumped = {"count/skip_connect": 0.0, "discretisation_gap": 3.0}
    plain = step()
    assert deviation(plain, step(best=ARCHITECTURES[1], metrics={**plain.metrics, **jumped})) == 0
    assert deviation(plain, step(metrics={**plain.metrics, **jumped})) > TOLERANCE
    trained = [
        ChildTrained(step=1, epoch=0, metrics={}, best=ARCHITECTURES[0], settings={}, architecture=drawn)
        for drawn in ARCHITECTURES
    ]
    assert deviation(*trained) == np.inf
    assert deviation(plain, step(settings={"w_lr": 0.05, "mask": 1})) == np.inf
    assert deviation(plain, step(epoch=1)) == deviation(plain, step(metrics={})) == np.inf
    other = step(probabilities={"cell": np.zeros((2, 2), dtype=np.float32)})
    assert deviation(plain, other) == np.inf


# --- another device ------------------------------------------------------------------------------

SPACE = nl.spaces.NASBench201(channels=2, cells=1)


def begun_on(device, run, few, **given):
    """A run of two steps that says it was begun on a device, and has a snapshot of the first step alone."""
    searcher = nl.searchers.Darts(SPACE, few, batch_size=8, epochs=1, device="cpu", **given)
    with nl.Search(searcher, run=run, snapshot_every=1) as search:
        next(search), next(search)
    (run / "snapshots" / "step-00000002.snapshot").unlink()
    about = json.loads((run / "run.json").read_text())
    about.pop("blake2b")
    about["spec"]["device"] = device
    (run / "run.json").write_bytes(run_json.sealed(about))


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_run_of_a_device_that_is_not_here_goes_on_on_the_cpu(few, tmp_path, device):
    begun_on(device, tmp_path / "run", few)
    words = f"it was begun on {device} and goes on on cpu"
    with pytest.warns(UserWarning, match=words):
        search = nl.Search.open(tmp_path / "run", few)
    assert words in said(search)
    assert search.step == 2
    assert next(search).step == 3
    search.close()


def test_where_other_steps_come_of_it_the_run_goes_on_from_the_snapshot(few, tmp_path, monkeypatch):
    begun_on("cuda", tmp_path / "run", few, precision="tf32")
    whole = type(few).loss
    monkeypatch.setattr(type(few), "loss", lambda self, *given: 2 * whole(self, *given))
    with pytest.warns(UserWarning, match="it was begun on cuda and goes on on cpu, where products are in float32"):
        search = nl.Search.open(tmp_path / "run", few)
    assert "and not in TF32: step 2 was done again and came out differently (" in said(search)[0]
    assert said(search)[0].endswith("goes on from the state of step 1, and keeps the steps after it as abandoned")
    assert [search.step, next(search).step] == [1, 2]
    search.close()


def test_a_device_that_was_asked_for_is_noted_without_a_warning(few, tmp_path):
    begun_on("cuda", tmp_path / "run", few)
    search = nl.Search.open(tmp_path / "run", few, device="cpu")
    assert "it was begun on cuda and goes on on cpu" in said(search)
    fork = search.fork(tmp_path / "fork")
    assert fork.spec["device"] == "cpu"
    search.close(), fork.close()
    with pytest.raises(SpecError, match="device='cuda' was asked for, but torch finds no CUDA here"):
        nl.Search.open(tmp_path / "run", few, device="cuda")


def test_a_sampler_has_no_device(tmp_path):
    table = nl.benchmarks.NASBench201()
    nl.Search(nl.searchers.RandomSearch(table.space), tmp_path / "run", estimator=table, budget=2).close()
    with pytest.raises(SpecError, match=r"device=\.\.\. is for searchers that train a supernet"):
        nl.Search.open(tmp_path / "run", device="cpu")
    nl.Search.open(tmp_path / "run").close()


def test_the_environment_of_a_gpu_and_what_has_changed_of_it(monkeypatch):
    plain = environment.fingerprint()
    assert not {*environment.GPU} & {*plain}
    assert environment.of_spec({"device": "cpu", "threads": 1}) == {**plain, "threads": 1}
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda device: "NVIDIA X",
        "get_device_capability": lambda device: (9, 0),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91500)
    monkeypatch.setattr(
        Path, "read_text", lambda self, **_: "NVRM version: NVIDIA UNIX Open Kernel Module  580.95.05  x"
    )
    monkeypatch.setattr(environment, "_processor", lambda: plain["cpu"])
    spec = {"device": "cuda", "precision": "float32", "deterministic": True}
    here = environment.of_spec(spec)
    assert {name: here[name] for name in ("gpu", "capability", "cuda", "cudnn", "driver")} == {
        "gpu": "NVIDIA X",
        "capability": "9.0",
        "cuda": torch.version.cuda,
        "cudnn": 91500,
        "driver": "580.95.05",
    }
    assert (here["tf32_convolutions"], here["cudnn_deterministic"]) == (False, True)
    assert environment.of_spec({"estimator": {"device": "cuda:0"}})["gpu"] == "NVIDIA X"
    assert environment.differences(here, here) == []
    assert environment.differences(here, {**here, "driver": "590.1"}) == ["driver was 580.95.05, is 590.1"]
    faster = environment.of_spec({**spec, "deterministic": False, "precision": "tf32"})
    assert environment.differences(here, faster)[0] == "tf32_convolutions was False, is True"
    assert environment.differences(here, plain) == ["gpu was NVIDIA X, is none"]
    assert environment.differences(plain, here) == ["gpu was not recorded, is NVIDIA X"]
    as_before = environment.of_spec({"device": "cuda"})
    assert (as_before["tf32_convolutions"], as_before["cudnn_deterministic"]) == (True, False)
    assert environment.of_spec({**spec, "deterministic": "sometimes"}) == plain


def test_an_older_environment_with_other_names_is_compared_as_before():
    now = environment.fingerprint()
    assert environment.differences({**now, "threads": 4}, {**now, "threads": 1}) == ["threads was 4, is 1"]
