"""Evolution on inherited weights: who is drawn, from whom, and what when there is nobody left."""

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

from naslab.architecture import Choice
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.searchers.one_shot import Evolution, OneShotHyperparameters
from naslab.searchers.one_shot.evolution import redrawn
from naslab.spaces import NASBench101, NASBench201, Space

CELL = NASBench201()


@dataclass(frozen=True)
class Bits(Space):
    """2 to the power of `length` architectures."""

    name: ClassVar[str] = "bits"
    length: int = 3

    def next_choice(self, prefix):
        return Choice(f"bit_{len(prefix)}", (0, 1)) if len(prefix) < self.length else None

    def build(self, architecture, task):
        raise NotImplementedError

    graph = build


def evolution(space=CELL, seed=0, excess=lambda architecture: (0.0, ""), **given):
    sizes = {"population": 10, "generations": 4, "parents": 3, "crossovers": 4, "mutations": 4, **given}
    return Evolution(space, seed, OneShotHyperparameters(**sizes), excess)


def run(evolution, worth=lambda child: sum(value == "nor_conv_3x3" for value in child.choices)):
    """All children in order, each with its number and fitness."""
    found = []
    while evolution.left:
        child = evolution.next
        found.append((len(found) + 1, child, worth(child)))
        evolution.update(len(found), worth(child))
    return found


def test_generations_are_made_as_told():
    found = run(evolution(parents=9))
    assert len(found) == 40
    assert len({child.choices for _, child, _ in found}) == 40
    for generation in range(4):
        origins = [child.origin for _, child, _ in found[10 * generation : 10 * generation + 10]]
        bred = [] if generation == 0 else ["mutation"] * 4 + ["crossover"] * 4
        assert origins == bred + ["random"] * (10 - len(bred))


def test_parents_are_the_best_of_all_before():
    found = run(evolution())
    for generation in range(1, 4):
        before = found[: 10 * generation]
        best = {number for number, _, _ in sorted(before, key=lambda each: (-each[2], each[0]))[:3]}
        now = [child for _, child, _ in found[10 * generation : 10 * generation + 10]]
        assert all(set(child.parents) <= best for child in now)
        assert all(len(child.parents) == 1 for child in now if child.origin == "mutation")
        assert all(len(child.parents) in (1, 2) for child in now if child.origin == "crossover")
        assert all(child.parents == () for child in now if child.origin == "random")


def test_a_crossing_has_nothing_of_its_own():
    found = run(evolution())
    by_number = {number: child.choices for number, child, _ in found}
    for _, child, _ in found:
        if child.origin == "crossover":
            given = [by_number[parent] for parent in child.parents]
            assert all(value in options for value, options in zip(child.choices, zip(*given, strict=True), strict=True))


def test_a_choice_is_drawn_anew_with_the_probability_told():
    """A drawn choice stays the same one time in five: 0.1 x 0.8 differ."""
    rng, parent = numpy_generator(0), CELL.at(42)
    differ = sum(CELL.distance(parent, redrawn(CELL, parent, 0.1, rng)) for _ in range(3000))
    assert differ / (3000 * 6) == pytest.approx(0.08, abs=0.008)
    assert redrawn(CELL, parent, 0.0, rng) == parent


def test_what_no_longer_fits_is_drawn_anew():
    space, rng = NASBench101.laptop(), numpy_generator(1)
    for _ in range(200):
        assert redrawn(space, space.sample(rng), 0.3, rng) in space


def test_what_is_good_is_found():
    evolving = evolution(generations=12, seed=4)
    run(evolving)
    assert -evolving.best.loss == 6


def test_the_best_is_the_earliest_of_equals():
    evolving = evolution()
    run(evolving, worth=lambda child: 0.5)
    assert evolving.best.number == 1


def test_a_space_that_is_exhausted_ends_the_evolution():
    """All eight, each once, and it is said beforehand that no more will come."""
    evolving = evolution(Bits(3), population=5, parents=2, crossovers=1, mutations=1, generations=50)
    found = run(evolving, worth=lambda child: sum(child.choices))
    assert len({child.choices for _, child, _ in found}) == len(found) == 8
    assert evolving.ended
    assert evolving.left == 0
    assert evolving.best.choices == (1, 1, 1)


def test_limits_hold_for_everybody():
    evolving = evolution(excess=lambda a: (float(a.choices.count("none")), ""))
    assert all(child.choices.count("none") <= 1 for _, child, _ in run(evolving))


def test_limits_that_leave_nothing_are_refused():
    with pytest.raises(SpecError, match=r"none of 100 .* the cheapest has 2\. Give a larger max_flops"):
        evolution(excess=lambda a: (2.0 + a.choices.count("none"), str(2 + a.choices.count("none"))))


def test_it_goes_on_from_what_was_remembered():
    straight = evolution(seed=5)
    for number in range(1, 26):
        straight.update(number, number % 7)
    straight.mutation_rate = 0.5
    resumed = evolution(seed=5)
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    assert resumed.left == straight.left == 15
    assert run(resumed) == run(straight)
    assert resumed.state_dict() == straight.state_dict()


def test_a_turned_mutation_rate_acts_on_the_next_generation():
    def mutants(rate):
        evolving = evolution(seed=6)
        evolving.mutation_rate = rate
        found = run(evolving, worth=lambda child: 0.0)  # the parents are the first three
        return [
            CELL.distance(CELL.architecture(c.choices), CELL.architecture(found[c.parents[0] - 1][1].choices))
            for _, c, _ in found
            if c.origin == "mutation"
        ]

    assert sum(mutants(0.9)) > 2 * sum(mutants(0.1))


@pytest.mark.parametrize(
    "bad",
    [
        {"population": 2},
        {"crossovers": 7},
        {"mutation_rate": 0.0},
        {"mutation_rate": 1.1},
        {"max_parameters": -1},
        {"schedule": "steps"},
        {"batch_norm": "none"},
        {"valid_images": 0},
        {"label_smoothing": 1.0},
    ],
)
def test_nonsense_is_refused(bad):
    with pytest.raises(SpecError):
        evolution(**bad)


def test_schedules():
    linear, cosine = (OneShotHyperparameters(w_lr=0.5, w_lr_min=0.1, schedule=s) for s in ("linear", "cosine"))
    assert [linear.rate(share) for share in (0, 0.25, 0.5, 1)] == pytest.approx([0.5, 0.4, 0.3, 0.1])
    assert [cosine.rate(share) for share in (0, 0.5, 1)] == pytest.approx([0.5, 0.3, 0.1])
    assert cosine.rate(0.25) > linear.rate(0.25)
