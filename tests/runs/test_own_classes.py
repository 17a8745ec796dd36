"""Spaces and searchers of the user's own are kept in runs like naslab's, as long as their classes are there."""

import subprocess
import sys
from dataclasses import dataclass

import networkx as nx
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.registry import named
from naslab.spaces.space import FixedSpace


@dataclass(frozen=True)
class Letters(FixedSpace):
    name = "letters of my own"
    length: int = 4

    def each_choice(self):
        return [nl.Choice(f"place/{i}", ("a", "b", "c")) for i in range(self.length)]

    def build(self, architecture, task):
        raise NotImplementedError

    def graph(self, architecture):
        return nx.path_graph(3, create_using=nx.DiGraph)


class Backwards(nl.searchers.RandomSearch):
    """The same in reverse."""

    name = "random search of my own"

    def propose(self):
        draft = super().propose()
        return draft._replace(architecture=self.space.architecture(draft.architecture.choices[::-1]))


def count(architecture):
    return float(architecture.choices.count("a"))


def search(**given):
    return nl.Search(Backwards(Letters(5), seed=2), estimator=count, budget=9, **given)


def test_a_run_is_opened_forked_and_read(tmp_path):
    whole = list(search())
    with search(run=tmp_path / "run") as begun:
        for _ in range(4):
            next(begun)
        fork = begun.fork(None, step=2)
    assert list(fork)[-1] == whole[-1]
    with nl.Search.open(tmp_path / "run", estimator=count) as again:
        assert list(again)[-1] == whole[-1]
        assert again.searcher.space == Letters(5)
        assert list(again.fork(tmp_path / "fork", step=3))[-1] == whole[-1]
    assert nl.runs.read(tmp_path / "run").space == Letters(5)


def test_a_race_is_opened(tmp_path):
    made = {"backwards": lambda seed: Backwards(Letters(5), seed=seed)}
    whole = nl.Race(made, count, seeds=(1, 2), budget=6).run()
    with nl.Race(made, count, seeds=(1, 2), budget=6, run=tmp_path / "race") as race:
        for _ in range(5):
            next(race)
    with nl.Race.open(tmp_path / "race", estimator=count) as again:
        assert (again.run().fitness == whole.fitness).all()


def test_where_the_class_is_not_defined_it_is_said(tmp_path):
    search(run=tmp_path / "run").close()
    program = f"import naslab as nl; nl.Search.open({str(tmp_path / 'run')!r}, estimator=len)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False).stderr
    assert "unknown searcher 'random search of my own'" in said
    assert "one of your own, run the code that defines its class first" in said


def test_the_latest_class_of_a_name_counts_and_none_stands_in_for_naslab_s():
    class First(Letters):
        name = "twice"

    class Second(Letters):
        name = "twice"

    class Impostor(Letters):
        name = "nasbench201"

    assert named("space", "twice", nl.spaces.SPACES, nl.spaces.Space) is Second
    assert nl.spaces.from_spec({"space": "nasbench201"}) == nl.spaces.NASBench201()
    with pytest.raises(SpecError, match="unknown space 'thrice'"):
        nl.spaces.from_spec({"space": "thrice"})
