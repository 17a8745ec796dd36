from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import naslab as nl
from naslab import snapshot

HERE = Path(__file__).parent


def _module(name):
    spec = importlib.util.spec_from_file_location(f"naslab_tests_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(digits, monkeypatch):
    """Makes the small searcher, and lets a run folder find it by name."""
    module = _module("small")
    monkeypatch.setitem(nl.searchers.SEARCHERS, "small", module.Small)
    # Data is looked up by its spec; here it is read once for all tests.
    monkeypatch.setattr(nl.tasks, "from_spec", lambda spec, task=None: task or digits)
    return lambda **sizes: module.Small(digits, **sizes)


@pytest.fixture(scope="session")
def state_of():
    """Hex digest of all that a search's next step depends on."""
    return lambda search: snapshot.digest(search.searcher.state_dict())


@pytest.fixture(scope="session")
def harness():
    """Runs `harness.py` with a job; gives back its answer. It is a process of its own, for it forks."""

    def run(job, *, timeout=280, **arguments):
        done = subprocess.run(
            [sys.executable, str(HERE / "harness.py"), job, json.dumps(arguments, default=str)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
