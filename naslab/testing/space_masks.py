"""A space with fewer options (`space.without`): the same space, and nothing that is forbidden comes out of it."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.spaces import Mixable, Space, from_spec
from naslab.testing.case import needs, refused, skip
from naslab.testing.space_choices import SpaceChecks, varies

Forbidden = dict[str, list[Any]]
FEW = 700
"""A space of so many architectures is listed twice in a moment."""


def obeys(forbidden: Mapping[str, Sequence[Any]], space: Space, architecture: Architecture) -> bool:
    """Whether an architecture of the whole space holds nothing that is forbidden."""
    answers = space.answers(architecture)
    return not any(answers.get(name) in options for name, options in forbidden.items())


def masks(space: Space, count: int = 2) -> list[tuple[Architecture, Forbidden, Space]]:
    """Up to `count` masks that leave at least two architectures: one that is forbidden, the mask, and what is left."""
    rng, found = numpy_generator("masks"), []
    held_rng = numpy_generator("held")
    for held in [space.sample(held_rng) for _ in range(40)]:
        answers = space.answers(held)
        names = [name for name, options in space.offered.items() if len(options) > 1 and name in answers]
        chosen = [names[place] for place in rng.permutation(len(names))[:2]]
        forbidden = {name: [answers[name]] for name in chosen}
        try:
            fewer = space.without(forbidden)
        except SpecError:
            continue  # elsewhere one of them is all there is
        if chosen and varies(fewer):
            found.append((held, forbidden, fewer))
        if len(found) == count:
            break
    return found


class MaskChecks(SpaceChecks):
    """Checks of `without`."""

    def masks(self) -> list[tuple[Architecture, Forbidden, Space]]:
        """Some masks of the space; the check is skipped where there is none."""
        return masks(self.space) or skip("no option can be forbidden without leaving a single architecture")

    def check_obeys(self, forbidden: Forbidden, architecture: Architecture, whence: str) -> None:
        """Nothing that is forbidden is in the architecture."""
        space = self.space
        self.check_legal(architecture, whence)
        assert obeys(forbidden, space, architecture), (
            f"{whence} of space.without({forbidden}) gave {space.answers(architecture)}, which is forbidden; "
            "draw what a method of your own draws by next_choice of the space that it is called on"
        )

    def test_what_is_forbidden_is_never_drawn(self) -> None:
        space, rng = self.space, numpy_generator("without")
        for held, forbidden, fewer in self.masks():
            assert fewer.name == space.name, f"with fewer options the name is {fewer.name!r}, expected {space.name!r}"
            parents = [held, *self.samples(4, "parents"), *self.samples(3, space=fewer)]
            drawn = [("sample", one) for one in self.samples(20, space=fewer)]
            for one, other in itertools.pairwise(parents):
                drawn += [
                    ("mutate", fewer.mutate(one, rng)),
                    ("mutate_node_first", fewer.mutate_node_first(one, rng)),
                    ("mutate_each", fewer.mutate_each(one, 0.5, rng)),
                    ("crossover", fewer.crossover(one, other, rng)),
                    ("repaired", fewer.repaired(one, rng)),
                    *(("neighbours", each) for each in itertools.islice(fewer.neighbours(one), 10)),
                ]
            for method, architecture in drawn:
                self.check_obeys(forbidden, architecture, method)
                self.check_legal(architecture, method, fewer)
                assert fewer.allows(architecture), (
                    f"{method} gave {architecture}, and allows() says that it is forbidden"
                )
            for choice in fewer.fixed_choices or ():
                offered = set(choice.options) & set(forbidden.get(choice.name, ()))
                assert not offered, f"fixed_choices offers {offered} at {choice.name!r}, which is forbidden"
            assert held not in fewer, f"{held} is in space.without({forbidden})"
            again = [("sample", one) for one in self.samples(20, space=fewer)]
            assert again == drawn[:20], "sample(rng) with fewer options gave others for the same random numbers"

    def test_a_parent_is_repaired_where_it_must_be_and_nowhere_else(self) -> None:
        space, rng = self.space, numpy_generator("repair")
        for held, forbidden, fewer in self.masks():
            repaired = fewer.repaired(held, rng)
            old, new = space.answers(held), space.answers(repaired)
            changed = {name for name in old if old[name] != new.get(name)}
            assert changed & set(forbidden), f"repaired({old}) is {new}, which keeps what is forbidden, {forbidden}"
            if space.fixed_choices is not None:
                assert changed == set(forbidden), f"repaired() changed {changed}, expected {set(forbidden)} alone"
            assert fewer.repaired(repaired, rng) is repaired, "an architecture that obeys is repaired to another object"
            first, expected = next(iter(fewer.neighbours(held))), fewer.repaired(held)
            assert first == expected, f"the first neighbour of a forbidden architecture is {first}, not {expected}"
            assert fewer.mutate(repaired, rng) != repaired, f"a mutation of {repaired} with fewer options is itself"
            assert fewer.mutate_each(held, 0.0, rng) != held, f"mutate_each kept {held}, which is forbidden"

    def test_fewer_options_change_no_name_code_or_picture(self) -> None:
        space = self.space
        for held, forbidden, fewer in self.masks():
            for one in (held, *self.samples(3, space=fewer)):
                for what, came, expected in (
                    ("JSON", fewer.from_json(one.to_json()), one),
                    ("answers", fewer.answers(one), space.answers(one)),
                    ("code", fewer.encode(one).tolist(), space.encode(one).tolist()),
                    ("distance", fewer.distance(held, one), space.distance(held, one)),
                ):
                    assert came == expected, f"the {what} of {one} with fewer options is {came}, expected {expected}"
                same = nx.utils.graphs_equal(fewer.graph(one), space.graph(one))
                assert same, f"with fewer options {one} has another graph"
            mixable = isinstance(space, Mixable)
            assert isinstance(fewer, Mixable) == mixable, "with fewer options a space must be Mixable if it was before"
            assert pickle.loads(pickle.dumps(fewer)) == fewer, "fewer options do not survive pickle"  # noqa: S301
            for nothing in ({}, {name: [] for name in forbidden}):
                assert space.without(nothing) is space, f"without({nothing}) is another space, expected the same object"
            assert fewer.without(forbidden) == fewer, "to forbid the same again makes another space"
            again = from_spec(json.loads(json.dumps(fewer.spec())))
            assert again == fewer, f"the spec {fewer.spec()} makes {again}, expected {fewer}"
            one, other = self.samples(5, space=again), self.samples(5, space=fewer)
            assert one == other, "a space with fewer options, made again from its spec, draws other architectures"

    def test_the_size_with_fewer_options(self) -> None:
        small = self.small()
        if small is None or small.size > FEW:
            return
        whole = list(small.enumerate())
        for _, forbidden, fewer in masks(small, 1):
            expected = [one for one in whole if obeys(forbidden, small, one)]
            listed = list(fewer.enumerate())
            assert listed == expected, (
                f"enumerate() of without({forbidden}) gives {len(listed)} architectures, expected the {len(expected)} "
                "of the whole space that obey, in the same order"
            )
            assert fewer.size == len(expected), f"the size of without({forbidden}) is {fewer.size}, not {len(expected)}"

    def test_a_mask_that_makes_no_sense_is_refused(self) -> None:
        offered = self.space.offered
        if (name := next((name for name, options in offered.items() if len(options) > 1), None)) is None:
            skip("no choice has two options")
        options = offered[name]
        for bad, said in (
            ([name], "is a dictionary"),
            ({"no such choice": [options[0]]}, "unknown choice 'no such choice'"),
            ({3: [options[0]]}, "unknown choice 3"),
            ({name: ["no such option"]}, "unknown option 'no such option'"),
            ({name: options[0]}, "expected a list of options" if isinstance(options[0], str) else "list of options"),
            ({name: list(options)}, f"nothing would be left of the choice {name!r}"),
        ):
            with refused(f"without({bad!r})", said):
                self.space.without(bad)

    @needs(Mixable)
    def test_derivation_takes_nothing_that_is_forbidden(self) -> None:
        space = self.space
        for held, forbidden, fewer in self.masks():
            derived = fewer.discretize(space.one_hot(held))  # type: ignore[attr-defined]
            self.check_obeys(forbidden, derived, "discretize(weights)")
            free = self.samples(1, space=fewer)[0]
            derived = fewer.discretize(space.one_hot(free))  # type: ignore[attr-defined]
            assert derived == free, (
                f"with fewer options discretize(one_hot(architecture)) is {derived}, expected {free}"
            )
