"""Spaces and searchers of the user's own are kept in runs like naslab's, as long as their classes are there."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass

import networkx as nx
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.registry import named
from naslab.searchers import gradient
from naslab.searchers.gradient.parts import from_json, to_json
from naslab.spaces.fixed_space import FixedSpace


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
        suggestion = super().propose()
        return suggestion._replace(architecture=self.space.architecture(suggestion.architecture.choices[::-1]))


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


@pytest.mark.slow
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
    with pytest.raises(SpecError, match=r"unknown space 'thrice'"):
        nl.spaces.from_spec({"space": "thrice"})


# --- estimators, parts of a method, tasks -------------------------------------------------------------


class Counting:
    """An estimator that extends nothing."""

    name = "counting of my own"

    def __init__(self, space, letter="a"):
        self.space, self.letter = space, letter

    def __call__(self, architecture):
        return float(architecture.choices.count(self.letter))

    def spec(self):
        return {"estimator": self.name, "space": self.space.spec(), "letter": self.letter}

    def fingerprint(self):
        return f"counting {self.letter}"

    @classmethod
    def from_spec(cls, spec, task=None):
        return cls(nl.spaces.from_spec(spec["space"]), spec["letter"])


class Doubled(nl.estimators.Wrapped):
    """Around another."""

    name = "doubled by me"

    def judge(self, architecture, score):
        return nl.estimators.Score(2 * score.fitness, score.metrics)

    def options(self):
        return {}

    @classmethod
    def from_parts(cls, spec, inside, task):
        return cls(inside)


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_estimator_of_ones_own_is_made_again(wrapped, tmp_path):
    estimator = Counting(Letters(5), "b")
    made = Doubled(estimator) if wrapped else estimator

    def begin(run=None):
        return nl.Search(Backwards(Letters(5), seed=2), estimator=made, budget=9, run=run)

    whole = list(begin())
    with begin(tmp_path / "run") as begun:
        for _ in range(4):
            next(begun)
    with nl.Search.open(tmp_path / "run") as again:
        assert list(again)[-1] == whole[-1]
        found = again.searcher.estimator
        assert type(found) is type(made)
        assert (found.inside if wrapped else found).letter == "b"


def test_an_estimator_that_cannot_be_made_again_says_so_at_once(tmp_path):
    class Bare(Counting):
        name = "bare"
        from_spec = None

    class Nameless(Counting):
        pass

    for number, cls in enumerate((Bare, Nameless)):
        with pytest.warns(UserWarning, match=f"{cls.__name__} cannot be made again from the run: pass it"):
            run = nl.Search(
                Backwards(Letters(3), seed=2), estimator=cls(Letters(3)), budget=3, run=tmp_path / str(number)
            )
        list(run)
        run.close()
    with pytest.raises(SpecError, match=r"unknown estimator 'bare'.*or pass the estimator itself as estimator="):
        nl.Search.open(tmp_path / "0")
    nl.Search.open(tmp_path / "0", estimator=Bare(Letters(3))).close()


def test_a_class_without_a_name_of_its_own_is_not_exchanged_silently(tmp_path):
    class Other(Letters):
        pass

    class Forwards(nl.searchers.RandomSearch):
        pass

    for searcher in (Backwards(Other(3)), Forwards(Letters(3))):
        with pytest.raises(SpecError, match=r"write name = '(other|forwards)' into its class"):
            nl.Search(searcher, estimator=count, budget=3, run=tmp_path / "run")
        assert not (tmp_path / "run").exists()


@dataclass(frozen=True, kw_only=True)
class Hotter(gradient.Mixing):
    """A softmax at another temperature."""

    heat: float = 2.0

    def simplexes(self, *given):
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Shy(gradient.Entropy):
    """Another weight."""

    weight: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Dimmed(nl.tasks.Augmentation):
    """Another augmentation."""

    dim: float = 0.5

    def cut(self, x, draws):
        return super().cut(x, draws) * self.dim


class Mine(nl.tasks.Images):
    """A task of one's own."""

    def loss(self, logits, labels, **options):
        return 2 * super().loss(logits, labels, **options)


def own_task():
    task = nl.tasks.Digits().subset(64, 20)
    fields = {field.name: getattr(task, field.name) for field in dataclasses.fields(task) if field.init}
    return Mine(**{**fields, "augmentation": Dimmed(padding=1, dim=0.25)})


def test_parts_tasks_and_augmentations_of_ones_own_are_made_again(tmp_path):
    space = nl.spaces.NASBench201(channels=4, cells=1)

    def begin(run=None):
        searcher = nl.searchers.GradientSearch(
            space, own_task(), regularizers=(Shy(weight=0.25),), epochs=1, batch_size=16, seed=0
        )
        return nl.Search(searcher, run=run)

    whole = list(begin())
    with begin(tmp_path / "run") as begun:
        next(begun)
    with nl.Search.open(tmp_path / "run") as again:
        assert list(again)[-1] == whole[-1]
        assert again.searcher.parts.regularizers == (Shy(weight=0.25),)
        assert type(again.searcher.parts.regularizers[0]) is Shy
        assert type(again.searcher.task) is Mine
        assert again.searcher.task.augmentation == Dimmed(padding=1, dim=0.25)
    for mixing in (Hotter(heat=3.0), gradient.Softmax()):
        told = json.loads(json.dumps(to_json(mixing)))
        assert from_json("mixing", told) == mixing
    with pytest.raises(SpecError, match=r"unknown part of the kind mixing 'Colder'.*run the code that defines"):
        from_json("mixing", {"part": "Colder"})
    with pytest.raises(SpecError, match=r"unknown class of tasks 'Yours'.*hand the task over as task="):
        nl.tasks.from_spec({**own_task().spec(), "class": "Yours"})
