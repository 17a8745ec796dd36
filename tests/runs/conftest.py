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
