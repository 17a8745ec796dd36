"""Algorithm 1 of Real et al. 2019, step by step."""

import json
import math
from typing import Any

import numpy as np
import pytest

import naslab as nl
from naslab.searchers import RegularizedEvolution


def told(sampler, fitness):
    trial = sampler.ask()
    sampler.tell(trial, fitness)
    return trial


@pytest.fixture
def space():
    return nl.spaces.NASBench201()


def test_the_paper_defaults(space):
    assert RegularizedEvolution(space).hyperparameters == nl.searchers.RegularizedEvolutionHyperparameters(
        population=100, sample=25
    )


def test_numpy_sizes_and_seeds_are_welcome(space):
    sampler = RegularizedEvolution(space, population=np.int64(4), sample=np.int64(2), seed=np.int64(3))
    assert json.dumps(sampler.spec()) == json.dumps(RegularizedEvolution(space, population=4, sample=2, seed=3).spec())
    search = nl.Search(sampler, estimator=lambda architecture: np.float32(1), budget=np.int64(6))
    assert len(list(search)) == 6


def test_first_the_population_at_random_then_children(space):
    sampler = RegularizedEvolution(space, population=5, sample=2)
    trials = [told(sampler, 1.0) for _ in range(9)]
    assert [trial.origin for trial in trials] == ["random"] * 5 + ["mutation"] * 4


def test_the_oldest_dies_even_if_it_is_the_fittest(space):
    sampler = RegularizedEvolution(space, population=3, sample=3)
    for fitness in (9.0, 1.0, 2.0, 3.0):
        told(sampler, fitness)
    assert [member.number for member in sampler.population] == [2, 3, 4]
    assert [member.fitness for member in sampler.population] == [1.0, 2.0, 3.0]


def test_a_child_is_one_mutation_away_from_its_parent(space):
    sampler = RegularizedEvolution(space, population=4, sample=2, seed=3)
    seen = {}
    for _ in range(40):
        trial = told(sampler, float(len(seen) % 5))
        seen[trial.number] = trial.architecture
        if trial.parents:
            assert space.distance(seen[trial.parents[0]], trial.architecture) == 1


def test_the_parent_is_the_fittest_of_the_sample(space):
    """With a sample far larger than the population everyone is drawn, so the fittest is the parent."""
    sampler = RegularizedEvolution(space, population=4, sample=4)
    sampler._sample = 400
    for fitness in (1.0, 5.0, 3.0, 2.0):
        told(sampler, fitness)
    assert sampler.ask().parents == (2,)


@pytest.mark.parametrize(("sample", "share"), [(1, 1 / 4), (2, 7 / 16), (3, 37 / 64)])
def test_the_sample_is_drawn_with_replacement(space, sample, share):
    """The fittest of 4 is among s draws with probability 1 - (3/4)^s."""
    sampler = RegularizedEvolution(space, population=4, sample=sample, seed=1)
    for fitness in (1.0, 5.0, 3.0, 2.0):
        told(sampler, fitness)
    times = sum(sampler.ask().parents == (2,) for _ in range(4000))
    assert times / 4000 == pytest.approx(share, abs=4 * (share * (1 - share) / 4000) ** 0.5)


def test_a_failed_candidate_does_not_join(space):
    sampler = RegularizedEvolution(space, population=2, sample=1)
    told(sampler, None)
    told(sampler, 1.0)
    assert told(sampler, 2.0).origin == "random"
    assert told(sampler, None).origin == "mutation"
    assert [member.number for member in sampler.population] == [2, 3]


def test_the_sample_can_be_turned(space):
    sampler = RegularizedEvolution(space, population=8, sample=2)
    knob = sampler.settings["sample"]
    assert (knob.value, knob.low, knob.high) == (2, 1, 8)
    assert knob.check("sample", 3.6) == 4.0
    sampler.set("sample", 5.0)
    assert sampler.settings["sample"].value == 5


# --- the first ones are given ---------------------------------------------------------------------------


def test_the_first_are_those_that_were_given(space):
    given = [space.sample(np.random.default_rng(n)) for n in range(3)]
    sampler = RegularizedEvolution(
        space, population=5, sample=2, seed=4, first=[given[0], *(g.choices for g in given[1:])]
    )
    trials = [told(sampler, 1.0) for _ in range(7)]
    assert [trial.architecture for trial in trials[:3]] == given
    assert [trial.origin for trial in trials] == ["first"] * 3 + ["random"] * 2 + ["mutation"] * 2
    again = nl.searchers.from_spec(json.loads(json.dumps(sampler.spec())))
    assert again.spec() == sampler.spec()
    assert [told(again, 1.0) for _ in range(7)] == trials


def test_with_several_open_each_of_the_first_comes_once_and_one_that_fails_is_not_tried_again(space):
    given = [space.sample(np.random.default_rng(n)) for n in range(3)]
    sampler = RegularizedEvolution(space, population=3, sample=2, first=given)
    trials = [sampler.ask() for _ in range(4)]
    assert [trial.architecture for trial in trials[:3]] == given
    assert trials[3].origin == "random"
    other = RegularizedEvolution(space, population=3, sample=2, first=given)
    told(other, None)
    resumed = RegularizedEvolution(space, population=3, sample=2, first=given)
    resumed.load_state_dict(other.state_dict())
    assert [told(resumed, 1.0).architecture for _ in range(2)] == given[1:]


@pytest.mark.parametrize("first", [3, "cell", [3], ["cell"], [("none",) * 5], [("conv",) * 6], [("none",) * 6] * 4])
def test_first_ones_that_are_none_are_refused(space, first):
    with pytest.raises(nl.errors.SpecError):
        RegularizedEvolution(space, population=3, sample=2, first=first)


# --- the node first --------------------------------------------------------------------------------


class Scripted(np.random.Generator):
    """A generator that gives the numbers of a script, then zeros, and notes how many each could have been."""

    def __init__(self, script):
        super().__init__(np.random.PCG64(0))
        self.script, self.bounds = script, []

    def integers(self, bound):  # type: ignore[override]
        self.bounds.append(bound)
        return self.script[len(self.bounds) - 1] if len(self.bounds) <= len(self.script) else 0


def distribution(mutate):
    """Child -> its probability, exactly: all ways in which the generator may answer."""
    chances: dict[Any, float] = {}
    scripts: list[tuple[int, ...]] = [()]
    while scripts:
        script = scripts.pop()
        rng = Scripted(script)
        child = mutate(rng)
        if len(rng.bounds) > len(script):
            scripts.extend((*script, number) for number in range(rng.bounds[len(script)]))
        else:
            chances[child] = chances.get(child, 0) + 1 / math.prod(rng.bounds)
    return chances


def test_the_authors_mutation_of_nas_bench_201_draws_a_node_first(space):
    parent = space.at(6111)
    chances = distribution(lambda rng: space.mutate_node_first(parent, rng))
    assert len(chances) == 6 * 4
    assert sum(chances.values()) == pytest.approx(1)
    for child, chance in chances.items():
        ((name, _),) = set(space.answers(child).items()) - set(space.answers(parent).items())
        node = int(name.split("/")[1])  # cell/2/from_0 enters node 2, which two edges enter
        assert chance == pytest.approx(1 / 3 / node / 4)


def test_any_space_can_be_mutated_node_first():
    rng = np.random.default_rng(0)
    for space in (nl.spaces.DartsCell(nodes=2), nl.spaces.NASBench101.laptop(), nl.spaces.EnasMacro.laptop()):
        for _ in range(20):
            parent = space.sample(rng)
            child = space.mutate_node_first(parent, rng)
            assert child in space
            assert child != parent
    with pytest.raises(nl.errors.SpecError, match="nothing to mutate"):
        one = nl.spaces.DartsCell(nodes=1, operations=("skip_connect",))
        one.mutate_node_first(one.sample(rng), rng)


def test_evolution_by_the_node_first(space, monkeypatch):
    """As often as the method says: node 1 has one edge of six, and is changed in a third of the mutations."""
    sampler = RegularizedEvolution(space, population=2, sample=1, mutation="node_first")
    by, nodes = {}, []
    monkeypatch.setattr(space.__class__, "mutate", None)
    for _ in range(600):
        trial = told(sampler, 1.0)
        by[trial.number] = trial.architecture
        if trial.parents:
            old, new = (space.answers(by[number]) for number in (*trial.parents, trial.number))
            changed = [name for name in new if new[name] != old[name]]
            nodes.append(changed[0].split("/")[1])
    assert 598 / 3 - 50 < nodes.count("1") < 598 / 3 + 50
    again = RegularizedEvolution.from_spec(sampler.spec())
    assert again.hyperparameters.mutation == "node_first"
    old = sampler.spec()
    del old["hyperparameters"]["mutation"]
    assert RegularizedEvolution.from_spec(old).hyperparameters.mutation == "choice"
    with pytest.raises(nl.errors.SpecError, match="unknown mutation 'node'; known: choice, node_first"):
        RegularizedEvolution(space, mutation="node")
