"""What is defined in a notebook reaches child processes; what cannot is named."""

import functools
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from naslab.errors import SpecError
from naslab.notebook_code import Unsendable, packed, unpacked

NOTEBOOK = """
import functools
from dataclasses import dataclass
import numpy as np
import torch
import naslab as nl
from naslab.architecture import Choice
from naslab.errors import NaslabError, SpecError

@dataclass(frozen=True)
class Words(nl.spaces.Space):
    letters: int = 3
    name = "words"
    def next_choice(self, prefix):
        return Choice(f"letter/{len(prefix)}", ("a", "b", "c")) if len(prefix) < self.letters else None
    def build(self, architecture, task):
        return Net(sum(map(ord, architecture.choices)) % 3 + 2)
    def graph(self, architecture):
        raise NotImplementedError

class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = torch.nn.Linear(64, width)
        self.last = torch.nn.Linear(width, 10)
    def forward(self, x):
        return self.last(torch.relu(self.first(x.flatten(1))))

class Task(nl.tasks.Images):
    pass

class TooLong(Exception):
    def __init__(self, word, limit):
        super().__init__(f"{word} is longer than {limit}")

class Counts:
    space = None
    def __init__(self, letter):
        self.letter = letter
    def __call__(self, architecture):
        return architecture.choices.count(self.letter)
    def method(self, architecture):
        return self(architecture)
    def spec(self):
        return {"estimator": "counts"}
    def fingerprint(self):
        return self.letter

LETTER = "a"
def count(architecture):
    return architecture.choices.count(LETTER)
def of(architecture, letter):
    return architecture.choices.count(letter)
def closure(letter):
    def inside(architecture):
        return architecture.choices.count(letter)
    return inside
def local(letter):
    class Local(Counts):
        pass
    return Local(letter)
def raises(architecture):
    raise TooLong(architecture.choices[0], 0)

space = Words()
arrays = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8), np.arange(40) % 10
task = Task.from_arrays(*arrays)
estimators = {
    "function": count,
    "lambda": lambda architecture: architecture.choices.count(LETTER),
    "closure": closure("a"),
    "partial": functools.partial(of, letter="a"),
    "method": Counts("a").method,
    "object": Counts("a"),
    "local class": local("a"),
    "training": nl.estimators.Training(space, task, epochs=1, batch_size=8),
    "raises": raises,
}
with nl.estimators.Workers(2) as workers:
    for name, estimator in estimators.items():
        def events(**how):
            sampler = nl.searchers.RandomSearch(space, seed=0)
            with nl.Search(sampler, estimator=estimator, budget=4, **how) as search:
                return sorted((e.number, e.architecture.choices, e.status, e.fitness, e.message) for e in search)
        alone, together = events(), events(executor=workers)
        assert alone == together, (name, alone, together)
    # a class comes back as the class that it is here
    assert type(workers.submit(Counts, "b").result()) is Counts
    try:
        workers.submit(raises, space.sample(np.random.default_rng(0))).result()
    except NaslabError as error:
        assert "TooLong: " in str(error) and "is longer than 0" in str(error), error
    else:
        raise AssertionError("no exception came")
    file = open(__import__("os").devnull)
    try:
        workers.submit(lambda: file.read()).result()
    except SpecError as error:
        assert str(error).startswith("file, an object of type _io.TextIOWrapper, cannot be sent"), error
    else:
        raise AssertionError("an open file was sent")

with nl.Search(nl.searchers.RandomSearch(space, seed=0), estimator=count, budget=3, workers=2) as search:
    assert [event.status for event in search] == ["done"] * 3

print("all is well")
"""

TRAINING = """
torch.manual_seed(0)
one = Net(4)
torch.manual_seed(0)
two = Net(4)
few = dict(epochs=1, batch_size=8, augment=False, progress=False)
alone, together = nl.trainers.fit(one, task, **few), nl.trainers.fit(two, task, processes=2, **few)
assert abs(alone.history[0].train_loss - together.history[0].train_loss) < 1e-4
assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one.state_dict().values(), two.state_dict().values()))
print("all is well")
"""


def run(code, tmp_path, as_script=False):
    """Run the code as a notebook does, where `__main__` is no file, or as a script."""
    code = textwrap.dedent(code)
    (tmp_path / "script.py").write_text(code)
    what = ["script.py"] if as_script else ["-c", code]
    return subprocess.run([sys.executable, *what], capture_output=True, text=True, cwd=tmp_path, timeout=280)


@pytest.mark.slow
def test_whatever_a_notebook_defines_reaches_workers_and_processes(tmp_path):
    done = run(NOTEBOOK, tmp_path)
    assert done.stdout.endswith("all is well\n"), done.stderr


@pytest.mark.slow
def test_a_network_of_a_notebook_is_trained_by_several_processes(tmp_path):
    done = run(NOTEBOOK.split("\nestimators = {")[0] + TRAINING, tmp_path)
    assert done.stdout.endswith("all is well\n"), done.stderr


@pytest.mark.slow
def test_a_script_under_its_guard_does_the_same(tmp_path):
    code = 'if __name__ == "__main__":\n' + textwrap.indent(NOTEBOOK + TRAINING, "    ")
    done = run(code, tmp_path, as_script=True)
    assert done.stdout.endswith("all is well\n"), done.stderr


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path):
    code = """
        import torch, naslab as nl
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        nl.trainers.fit(net, nl.tasks.Digits().subset(32, 10), epochs=1, batch_size=8, processes=2, progress=False)
    """
    done = run(code, tmp_path, as_script=True)
    assert 'may stand only under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1], done.stderr


def test_an_object_comes_back():
    letter = "a"
    assert unpacked(packed(lambda word: word.count(letter)))("banana") == 3
    assert unpacked(packed(functools.partial(max, 3)))(2) == 3


class Holder:
    def __init__(self, held):
        self.held = held

    def method(self):
        return self.held


def holding(held):
    """Every way in which a function holds something, with the name that it is found by."""
    settings = {"deep": [held]}
    return {
        "held": lambda: held,
        "settings['deep'][0]": lambda: settings,
        "again": functools.partial(print, again=held),
        "held ": Holder(held).method,
        "[1]": (1, held),
    }


@pytest.mark.parametrize("way", holding(None))
@pytest.mark.parametrize("held", ["file", "lock", "generator"])
def test_what_cannot_be_sent_is_named(way, held):
    with open(os.devnull) as file:
        unfit = {"file": file, "lock": threading.Lock(), "generator": (number for number in range(3))}[held]
        kind = {"file": "_io.TextIOWrapper", "lock": "_thread.lock", "generator": "generator"}[held]
        with pytest.raises(Unsendable) as caught:
            packed(holding(unfit)[way])
    said = str(caught.value)
    assert isinstance(caught.value, SpecError)
    assert said.startswith(
        f"{way.strip()}, an object of type {kind}, cannot be sent to another process (TypeError: "
    ), said
    assert "workers=1" in said
