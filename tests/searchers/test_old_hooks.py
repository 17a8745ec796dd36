"""A searcher that was written for an earlier version, with the hooks and keywords of that time, works and warns."""

import json
import warnings

import pytest

import naslab as nl
from naslab import lazy
from naslab.architecture import Architecture
from naslab.errors import NaslabDeprecationWarning
from naslab.searchers.one_shot import Paths


@pytest.fixture
def table():
    return nl.benchmarks.NASBench201("cifar10")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No warning has been shown yet."""
    monkeypatch.setattr(lazy, "_warned", set())


def renamed(warned):
    """[(old name without its class, new name)] of warnings."""
    texts = [str(one.message).partition("; ")[0].split(" is now called ") for one in warned]
    return [(old.rpartition(".")[2], new) for old, new in texts]


def test_a_subclass_with_the_earlier_hooks_searches_and_resumes(table, tmp_path):
    with pytest.warns(NaslabDeprecationWarning) as warned:

        class Earlier(nl.searchers.RegularizedEvolution):
            name = "earlier_evolution"

            def begin(self):
                super().begin()
                self._heard, self._bonus = 0, 1.0

            @property
            def settings(self):
                return {
                    **super().settings,
                    "bonus": nl.searchers.Slider(value=self._bonus, low=0.0, high=9.0, log=False),
                }

            def put(self, name, value):
                if name == "bonus":
                    self._bonus = value
                else:
                    super().put(name, value)

            def learn(self, trial, fitness, figures):
                self._heard += 1
                super().learn(trial, fitness, figures)

            @property
            def details(self):
                return {**super().details, "heard": float(self._heard)}

            def memory(self):
                return [self._heard, self._bonus, super().memory()]

            def remember(self, memory):
                self._heard, self._bonus, rest = memory
                super().remember(rest)

    assert sorted(renamed(warned)) == [
        ("details", "diagnostics"),
        ("memory", "algorithm_state"),
        ("put", "apply_setting"),
        ("remember", "load_algorithm_state"),
    ]
    assert {one.filename for one in warned} == {__file__}, "the warning points to the class"

    with warnings.catch_warnings(action="ignore"):  # of `super().put(...)` and its like
        search = nl.Search(
            Earlier(table.space, population=3, sample=2, seed=0), tmp_path / "run", estimator=table, budget=8
        )
        search.set("bonus", 2.0)
        search.set("sample", 1)
        first = [next(search) for _ in range(4)]
        assert first[-1].details["heard"] == 4.0
        assert first[-1].settings == {"bonus": 2.0, "sample": 1.0}
        search.close()
        again = nl.Search.open(tmp_path / "run", estimator=table)
        assert list(again.events)[-1] == first[-1]
        assert [event.details["heard"] for event in again] == [5.0, 6.0, 7.0, 8.0]


def test_a_mixin_with_the_earlier_hooks_counts(table):
    class Counting:
        def memory(self):
            return ["mixed in", super().memory()]

    with pytest.warns(NaslabDeprecationWarning, match=r"Counting.memory is now called algorithm_state"):

        class Mixed(Counting, nl.searchers.RandomSearch):
            name = "mixed_random"

    with pytest.warns(NaslabDeprecationWarning, match=r"RandomSearch.memory is now called algorithm_state"):
        assert json.loads(Mixed(table.space).state_dict()["memory"])[0] == "mixed in"


def test_the_newer_name_wins_where_a_class_has_both(table):
    class Both(nl.searchers.RandomSearch):
        name = "both_random"

        def memory(self):
            return "old"

        def algorithm_state(self):
            return "new"

    assert json.loads(Both(table.space).state_dict()["memory"]) == "new"


def test_a_sampler_without_either_hook_is_abstract():
    class Incomplete(nl.searchers.Sampler):
        name = "incomplete"
        Hyperparameters = nl.searchers.RandomSearchHyperparameters

        def begin(self): ...
        def propose(self): ...
        def learn(self, trial, fitness, metrics): ...
        def algorithm_state(self): ...

    with pytest.raises(TypeError, match="load_algorithm_state"):
        Incomplete(nl.spaces.NASBench201())


def test_the_earlier_names_can_still_be_called(table):
    sampler = nl.searchers.Hurdles(table.space, population=3, sample=2)
    with pytest.warns(NaslabDeprecationWarning, match=r"Hurdles.details is now called diagnostics"):
        assert sampler.details == sampler.diagnostics
    with pytest.warns(NaslabDeprecationWarning, match=r"Hurdles.memory is now called algorithm_state"):
        assert sampler.memory() == sampler.algorithm_state()


def test_tell_takes_metrics_and_figures(table):
    class Curious(nl.searchers.RandomSearch):
        name = "curious_random"

        def learn(self, trial, fitness, metrics):
            self.seen = metrics

    sampler = Curious(table.space)
    sampler.tell(sampler.ask(), 0.5, metrics={"seconds": 1.0})
    assert sampler.seen == {"seconds": 1.0}
    with pytest.warns(NaslabDeprecationWarning, match=r"figures=.* is now called tell\(metrics=...\)") as warned:
        sampler.tell(sampler.ask(), 0.5, figures={"seconds": 2.0})
    assert sampler.seen == {"seconds": 2.0}
    assert warned[0].filename == __file__


def test_paths_with_the_earlier_hooks_keep_their_state():
    with pytest.warns(NaslabDeprecationWarning) as warned:

        class Counted(Paths):
            def path(self, number):
                self.count = number
                return Architecture(self.space.name, ())

            def memory(self):
                return self.count

            def remember(self, memory):
                self.count = memory

    assert renamed(warned) == [("memory", "state_dict"), ("remember", "load_state_dict")]
    paths = Counted(nl.spaces.NASBench201(), 0)
    paths.load_state_dict(7)
    assert paths.state_dict() == 7
