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
sys.path.append(str(HERE))  # so that tests find what several of them begin with


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
def harness(tmp_path_factory):
    """Does a job of `harness.py` and gives back its answer. A process of its own does it, for it forks."""
    folder = tmp_path_factory.mktemp("harness")
    words, environment = folder / "words", {**os.environ, "OMP_NUM_THREADS": "1"}
    with words.open("w") as log:
        server = subprocess.Popen(
            [sys.executable, str(HERE / "harness.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    def run(job, *, timeout=280, alone=False, **arguments):
        """`alone`: in a process of its own, so that what its children raise ends them as it ends a script."""
        answer, said = folder / "answer.json", words.stat().st_size
        answer.unlink(missing_ok=True)
        if alone:
            command = [sys.executable, str(HERE / "harness.py"), job, json.dumps(arguments, default=str), str(answer)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
            assert done.returncode == 0, done.stdout + done.stderr
            return json.loads(answer.read_text())
        server.stdin.write(json.dumps([job, arguments, str(answer), timeout], default=str) + "\n")
        server.stdin.flush()
        code = server.stdout.readline().strip()
        assert code == "0", f"{job} ended with {code or 'the whole harness'}: {words.read_text()[said:]}"
        return json.loads(answer.read_text())

    yield run
    server.stdin.close()
    server.wait(60)
    server.stdout.close()


@pytest.fixture(scope="session")
def table():
    return nl.benchmarks.NASBench201()


@pytest.fixture(params=["memory", "folder"])
def begin(request, small, tmp_path):
    """Begins a search of 12 steps with a snapshot every 5."""

    def begin(**sizes):
        run = None if request.param == "memory" else nl.runs.fresh(tmp_path / "run")
        return nl.Search(small(**{"total": 12, **sizes}), run=run, snapshot_every=5)

    return begin


@pytest.fixture
def run(small, tmp_path):
    """A run of 12 steps with two knobs turned, left at step 9 as by a kill (no tidy end); its path."""
    search = nl.Search(small(total=12), run=tmp_path / "run", snapshot_every=3)
    for step in range(9):
        if step == 4:
            search.set("w_lr", 0.3)
        next(search)
    search._store._journal.close()
    search._store._lock.release()
    search._left = "killed"
    return tmp_path / "run"


@pytest.fixture
def calm(small, state_of):
    """What the same run comes to undisturbed: digest and steps."""
    search = nl.Search(small(total=12))
    for step in range(12):
        if step == 4:
            search.set("w_lr", 0.3)
        next(search)
    return state_of(search), [event for event in search.events if event.kind != "recovered"]


@pytest.fixture
def begin_on_table(table, tmp_path):
    """A random search of a table in the folder "run"."""

    def make(steps=0, name="run", **sizes):
        search = nl.Search(
            nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=200, run=tmp_path / name, **sizes
        )
        for _ in range(steps):
            next(search)
        return search

    return make
