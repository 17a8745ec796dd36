"""Which paths are trained: uniform, strictly fair, novel."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.searchers.one_shot import Archive, Fair, Novel, Uniform
from naslab.spaces import DartsCell, EnasMacro, MobileChain, NASBench101, NASBench201

CELL, CHAIN = NASBench201(), MobileChain.laptop()


def counts(space, paths):
    """For each choice, how often each of its options was taken."""
    pairs = zip(space.fixed_choices, zip(*(path.choices for path in paths), strict=True), strict=True)
    return [[taken.count(option) for option in choice.options] for choice, taken in pairs]


# --- uniform ---------------------------------------------------------------------------------------


def test_uniform_paths_are_uniform_and_independent():
    """Each option of each choice, and each pair of options of two choices (chi-squared, one in 10,000)."""
    paths = [Uniform(CHAIN, 7).path(number) for number in range(3000)]
    for row in counts(CHAIN, paths):
        assert stats.chisquare(row).pvalue > 1e-4
    for one, other in ((0, 1), (1, 3)):
        pairs = Counter((path.choices[one], path.choices[other]) for path in paths)
        options = CHAIN.fixed_choices[one].options, CHAIN.fixed_choices[other].options
        assert stats.chisquare([pairs[pair] for pair in itertools.product(*options)]).pvalue > 1e-4


def test_a_uniform_path_depends_on_seed_and_number_alone():
    one, other = Uniform(CELL, 3), Uniform(CELL, 3)
    assert [one.path(n) for n in (5, 2, 9)] == [other.path(n) for n in (5, 2, 9)]
    assert [one.path(n) for n in range(9)] != [Uniform(CELL, 4).path(n) for n in range(9)]


# --- fair ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [CELL, MobileChain(stages=2, operations=("mb3_k3", "mb6_k5", "mb6_k7"))])
def test_every_option_of_every_choice_comes_once_an_update(space):
    fair = Fair(space, 1)
    assert fair.strict
    assert fair.together == len(space.fixed_choices[0].options)
    for update in range(20):
        paths = [fair.path(update * fair.together + position) for position in range(fair.together)]
        assert all(row == [1] * fair.together for row in counts(space, paths))


def test_choices_are_paired_anew_in_each_update():
    """The orders of two choices are independent: uniform over the 25 pairs of first options."""
    fair = Fair(CELL, 1)
    firsts = [fair.path(5 * update).choices for update in range(2000)]
    pairs = Counter((one[0], one[1]) for one in firsts)
    assert len(pairs) == 25
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-4


@pytest.mark.parametrize("space", [DartsCell.laptop(), EnasMacro.laptop(), CHAIN])
def test_fewer_options_are_as_fair_as_can_be_at_every_moment(space):
    fair = Fair(space, 2)
    assert fair.together == max(len(choice.options) for choice in space.fixed_choices)
    assert fair.strict == all(fair.together % len(choice.options) == 0 for choice in space.fixed_choices)
    paths = [fair.path(number) for number in range(60)]
    for until in range(1, 61):
        assert all(max(row) - min(row) <= 1 for row in counts(space, paths[:until]))


def test_fairness_needs_the_same_choices_everywhere():
    with pytest.raises(SpecError, match="strict fairness needs a space whose architectures all have the same"):
        Fair(Conditional(), 0)


class Conditional(NASBench101):
    fixed_choices = None


# --- novel -----------------------------------------------------------------------------------------


def filled(space, size, seed=0):
    archive, rng = Archive(space), numpy_generator(seed, "archive")
    for _ in range(size):
        archive.put(space.sample(rng))
    return archive, rng


@pytest.mark.parametrize("space", [CELL, DartsCell(nodes=2), NASBench101.laptop()])
@pytest.mark.parametrize("nearest", [1, 4, 12])
def test_novelty_is_the_mean_distance_to_the_nearest(space, nearest):
    archive, rng = filled(space, 12)
    for _ in range(10):
        one = space.sample(rng)
        distances = [space.distance(one, member) for member in archive.members]
        assert archive.distances(one).tolist() == distances
        assert archive.novelty(one, nearest) == pytest.approx(sum(sorted(distances)[:nearest]) / nearest)


def test_a_member_that_is_replaced_counts_no_more():
    archive, rng = filled(CELL, 5)
    new, gone = CELL.sample(rng), archive.members[2]
    archive.put(new, 2)
    assert len(archive) == 5
    assert archive.distances(new)[2] == 0
    assert archive.distances(gone)[2] == CELL.distance(gone, new)


def test_an_archive_that_says_nothing_is_refused():
    archive = Archive(CELL)
    with pytest.raises(SpecError, match="the archive is empty"):
        archive.novelty(CELL.at(0), 1)
    archive.put(CELL.at(0))
    with pytest.raises(SpecError, match="the 2 nearest are more than the 1 members"):
        archive.novelty(CELL.at(1), 2)
    with pytest.raises(SpecError, match="nearest must be at most the size of the archive, 3, not 4"):
        Novel(CELL, 0, size=3, nearest=4, perturbations=2, rate=0.2)


def test_the_archive_fills_at_random_and_then_the_most_novel_perturbation_is_taken():
    """Each further path is the most novel of those that its own generator gives, measured by plain distances."""
    given = dict(size=6, nearest=2, perturbations=5, rate=0.3)
    novel = Novel(CELL, 3, **given)
    first = [novel.path(number) for number in range(6)]
    assert novel.archive.members == first
    uniform = Uniform(CELL, 3)
    assert first == [uniform.path(number) for number in range(6)]
    for number in range(6, 30):
        before = list(novel.archive.members)
        path = novel.path(number)
        rng = numpy_generator(3, "path", number)
        place = int(rng.integers(6))
        parent = before[place]
        assert novel.archive.members == [*before[:place], path, *before[place + 1 :]]
        novelty = []
        for _ in range(5):
            other = [
                choice.options[rng.integers(5)] if rng.random() < 0.3 else value
                for choice, value in zip(CELL.fixed_choices, parent.choices, strict=True)
            ]
            distances = sorted(sum(a != b for a, b in zip(other, m.choices, strict=True)) for m in before)
            novelty.append((sum(distances[:2]) / 2, other))
        assert list(path.choices) == max(novelty, key=lambda each: each[0])[1]


def test_novel_paths_stay_further_apart_than_uniform_ones():
    """What the method is for: the members' mean distance to their two nearest others, against as many random ones."""

    def spread(members):
        total = 0.0
        for place, one in enumerate(members):
            distances = sorted(CELL.distance(one, other) for other in members[:place] + members[place + 1 :])
            total += np.mean(distances[:2]) / len(members)
        return total

    gains = []
    for seed in range(5):
        novel = Novel(CELL, seed, size=20, nearest=3, perturbations=10, rate=0.2)
        for number in range(20):
            novel.path(number)
        before = spread(list(novel.archive.members))
        for number in range(20, 200):
            novel.path(number)
        gains.append(spread(list(novel.archive.members)) - before)
    assert min(gains) > 0.2


def test_paths_go_on_from_what_was_remembered():
    given = dict(size=4, nearest=2, perturbations=3, rate=0.3)
    one, other = (Novel(CELL, 3, **given) for _ in range(2))
    for number in range(9):
        one.path(number)
    one.set("nearest", 3.0)
    other.load_state_dict(one.state_dict())
    assert [one.path(n) for n in range(9, 15)] == [other.path(n) for n in range(9, 15)]
    assert one.state_dict() == other.state_dict()
