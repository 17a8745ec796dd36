"""What follows from `next_choice`: sampling, mutation, neighbours, crossover, size, codes, distances, JSON."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import pickle
from typing import Any

import numpy as np

from naslab.architecture import Architecture, Choice
from naslab.randomness import numpy_generator
from naslab.spaces import Space, from_spec
from naslab.testing.case import Case, refused, why_not
from naslab.testing.examples import task_for

MOST_LISTED = 2000
"""A space of no more architectures is listed in full, if the case names no smaller one."""
MANY = 100
"""A space of so many architectures seldom draws one twice."""


class SpaceChecks(Case):
    """What a case of a space can say, and what its checks have in common."""

    expected_size: int | None = None
    """Number of architectures, by a formula; None: only `small` is counted."""

    def make(self) -> Space:
        """The space, at an ordinary size."""
        raise NotImplementedError("make() gives the space to be checked: def make(self): return MySpace()")

    def small(self) -> Space | None:
        """The space so small that all its architectures can be listed; None if there is no such size."""
        listed = sum(1 for _ in itertools.islice(self.space.enumerate(), MOST_LISTED + 1))
        return self.space if listed <= MOST_LISTED else None

    def task(self) -> Any:
        """A small task for networks of the space; None: networks are not checked."""
        task = task_for(self.space)
        assert task is not None, (
            f"networks of {self.space.name!r} read {self.space.reads} and give {self.space.gives}: say in task() what "
            "small task they can serve, or return None"
        )
        return task

    @functools.cached_property
    def space(self) -> Any:
        """What `make` gives, made once for each check."""
        return self.make()

    @property
    def subject(self) -> Any:
        return self.space

    def samples(self, count: int = 30, name: str = "samples", space: Space | None = None) -> list[Architecture]:
        """The same architectures every time.

        Args:
            count: how many.
            name: of the random numbers.
            space: that they are drawn from; None: the one of this case.
        """
        rng = numpy_generator(name)
        return [(space or self.space).sample(rng) for _ in range(count)]

    def check_legal(self, architecture: Any, whence: str, given: Space | None = None) -> None:
        """An architecture belongs to the space."""
        space: Space = given or self.space
        assert architecture in space, (
            f"{whence} gave {architecture!r:.300}, which the space refuses: "
            f"{why_not(lambda: space.check(architecture))}"
        )


def varies(space: Space) -> bool:
    """Whether the space draws more than one architecture."""
    rng = numpy_generator("varies")
    return len({space.sample(rng) for _ in range(20)}) > 1


def _up_to_the_first_change(old: Architecture, new: Architecture) -> tuple[Any, ...]:
    pairs = enumerate(itertools.zip_longest(old.choices, new.choices), start=1)
    return new.choices[: next(position for position, (a, b) in pairs if a != b)]


class ChoiceChecks(SpaceChecks):
    """Checks of the choices and of what follows from them."""

    def test_a_space_is_a_frozen_dataclass_with_a_name(self) -> None:
        space = self.space
        assert isinstance(space, Space), f"make() gave {space!r:.200}; expected a naslab.spaces.Space"
        assert dataclasses.is_dataclass(space), f"{type(space).__name__} is no dataclass; write @dataclass(frozen=True)"
        parameters = getattr(type(space), "__dataclass_params__")  # noqa: B009
        assert parameters.frozen, f"{type(space).__name__} can be changed; write @dataclass(frozen=True)"
        assert isinstance(space.name, str), f"the name of {type(space).__name__} is {space.name!r}; expected a text"
        assert hash(space) == hash(self.make()), "two spaces of equal parameters have different hashes"
        assert space == self.make(), "two spaces of equal parameters are not equal; expected all parameters in fields"

    def test_the_next_choice_follows_from_the_answers_alone(self) -> None:
        space = self.space
        for architecture in self.samples(5):
            for length in range(len(architecture.choices) + 1):
                prefix = architecture.choices[:length]
                one, other = space.next_choice(prefix), space.next_choice(prefix)
                assert one == other, f"next_choice({prefix!r:.200}) gave {one!r:.200}, and then {other!r:.200}"
                expected = Choice if length < len(architecture.choices) else type(None)
                assert isinstance(one, expected), (
                    f"next_choice({prefix!r:.200}) gave {one!r:.200}; expected a naslab.architecture.Choice, or None "
                    "when the architecture is complete"
                )

    def test_samples_are_legal_varied_and_repeatable(self) -> None:
        space, drawn = self.space, self.samples()
        for architecture in drawn:
            self.check_legal(architecture, "sample(rng)")
        listed = sum(1 for _ in itertools.islice(space.enumerate(), MANY))
        least = 16 if listed >= MANY else min(2, listed)
        found = len(set(drawn))
        assert found >= least, f"30 samples hold {found} different architectures, expected at least {least}"
        assert drawn == self.samples(), (
            "sample(rng) gave other architectures for the same random numbers; draw from rng"
        )

    def test_sampling_reaches_every_option_of_the_first_choices(self) -> None:
        options = self.space.next_choice(()).options
        count = max(300, 12 * len(options))
        seen = {next(iter(self.space.answers(one).values())) for one in self.samples(count)}
        assert seen == set(options), f"{count} samples never took {set(options) - seen} as their first choice"

    def test_choices_have_different_names(self) -> None:
        space = self.space
        for architecture in self.samples():
            names = [choice.name for choice, _ in space.walk(architecture.choices)]
            answers = space.answers(architecture)
            assert list(answers) == names, f"answers() has the choices {list(answers)}, expected {names}"

    def test_a_mutation_is_another_legal_architecture(self) -> None:
        space, rng = self.space, numpy_generator("mutation")
        for architecture in self.samples():
            child = space.mutate(architecture, rng)
            self.check_legal(child, "mutate(architecture, rng)")
            assert child != architecture, f"mutate(architecture, rng) gave the architecture itself, {architecture}"
            far = space.distance(architecture, child)
            same = space.active(child) == space.active(architecture)
            assert far >= 1 or same, f"a mutation of {architecture} has the distance {far} from it, expected 1 or more"

    def test_a_mutation_of_each_choice_is_another_legal_architecture(self) -> None:
        space, rng = self.space, numpy_generator("each")
        for architecture in self.samples():
            for rate in (1e-6, 0.3, 1.0):
                child = space.mutate_each(architecture, rate, rng)
                self.check_legal(child, f"mutate_each(architecture, {rate}, rng)")
                assert child != architecture, f"mutate_each(..., {rate}, rng) gave the architecture itself"
                if space.fixed_choices is None:
                    continue
                changed = sum(one != other for one, other in zip(child.choices, architecture.choices, strict=True))
                several = sum(len(choice.options) > 1 for choice in space.fixed_choices)
                expected = {1e-6: 1, 1.0: several}.get(rate, changed)
                assert changed == expected, f"mutate_each(..., {rate}, rng) changed {changed} choices, not {expected}"

    def test_mutation_can_reach_every_neighbour(self) -> None:
        space, rng = self.space, numpy_generator("neighbours")
        architecture = self.samples(1)[0]
        neighbours = set(space.neighbours(architecture))
        assert architecture not in neighbours, f"{architecture} is among its own neighbours"
        for neighbour in neighbours:
            self.check_legal(neighbour, "neighbours(architecture)")
        reached = {space.mutate(architecture, rng) for _ in range(80 * len(neighbours))}
        first_change = functools.partial(_up_to_the_first_change, architecture)
        missed = set(map(first_change, neighbours)) - set(map(first_change, reached))
        assert not missed, f"no mutation of {architecture} begins with {next(iter(missed))}, as a neighbour does"
        if (
            space.fixed_choices is not None
        ):  # else what no longer fits is drawn anew, and seldom as the neighbour has it
            missed = neighbours - reached
            assert not missed, f"no mutation of {architecture} is its neighbour {next(iter(missed))}"

    def test_neighbours_come_once_and_in_full(self) -> None:
        space = self.space
        for architecture in self.samples(5):
            neighbours = list(space.neighbours(architecture))
            expected = sum(len(choice.options) - 1 for choice, _ in space.walk(architecture.choices))
            assert len(neighbours) == expected, f"{len(neighbours)} neighbours, expected {expected}: one each option"
            assert len(set(neighbours)) == expected, f"{expected - len(set(neighbours))} neighbours come twice"

    def test_a_child_of_two_is_legal_and_has_nothing_of_its_own(self) -> None:
        space, rng = self.space, numpy_generator("crossover")
        for first, second in itertools.pairwise(self.samples()):
            child = space.crossover(first, second, rng)
            self.check_legal(child, "crossover(first, second, rng)")
            parents = space.answers(first), space.answers(second)
            for choice, value in space.walk(child.choices):
                given = [parent[choice.name] for parent in parents if choice.name in parent]
                legal = [option for option in given if option in choice.options]
                assert not legal or value in legal, (
                    f"the child of {first} and {second} has {value!r} at {choice.name!r}, its parents have {legal}"
                )
            assert space.crossover(first, first, rng) == first, f"a child of {first} and itself is another architecture"

    def test_size(self) -> None:
        if self.expected_size is not None:
            came = self.space.size
            assert came == self.expected_size, f"the size is {came}, expected {self.expected_size} (expected_size)"
        if (small := self.small()) is None:
            return
        listed = list(small.enumerate())
        assert len(set(listed)) == len(listed), f"enumerate() gives {len(listed) - len(set(listed))} twice"
        assert small.size == len(listed), (
            f"the size is {small.size}, and enumerate() gives {len(listed)}; if `future(prefix)` is your own, two "
            "prefixes with equal futures must be followed by equal choices"
        )
        for architecture in listed[:200]:
            self.check_legal(architecture, "enumerate()", small)

    def test_one_architecture_stands_for_those_that_are_the_same_network(self) -> None:
        space = self.space
        for architecture in self.samples(10) if space.has_inactive_choices else ():
            one = space.canonical(architecture)
            self.check_legal(one, "canonical(architecture)")
            again = space.canonical(one)
            assert again == one, f"canonical({architecture}) is {one}, and canonical of that is {again}: expected {one}"
            far = space.distance(architecture, one)
            assert far == 0, f"{architecture} and its canonical form have the distance {far}, expected 0"

    def test_json_round_trip(self) -> None:
        for architecture in self.samples():
            again = self.space.from_json(architecture.to_json())
            assert again == architecture, f"{architecture} comes back from its JSON as {again}"

    def test_encode_tells_architectures_apart(self) -> None:
        space, drawn = self.space, set(self.samples(100))
        codes = {space.encode(architecture).tobytes() for architecture in drawn}
        assert len(codes) == len(drawn), f"{len(drawn)} architectures have {len(codes)} codes; expected one each"
        for architecture in list(drawn)[:5]:
            code = space.encode(architecture)
            assert code.dtype == np.float32, f"encode() gives {code.dtype}, expected float32"
            expected = len(architecture.choices)
            assert code.sum() == expected, f"the code sums to {code.sum()}, expected {expected}: one hot each choice"

    def test_distance_is_a_metric(self) -> None:
        space, drawn = self.space, self.samples(10)
        far = {(a, b): space.distance(a, b) for a, b in itertools.product(drawn, repeat=2)}
        for (a, b), one in far.items():
            same = space.active(a) == space.active(b)
            assert (one == 0) == same, f"the distance of {a} and {b} is {one}, expected {'0' if same else 'above 0'}"
            assert one == far[b, a], f"the distance of {a} and {b} is {one}, and the other way {far[b, a]}"
        for a, b, c in itertools.product(drawn, repeat=3):
            direct, by_way = far[a, c], far[a, b] + far[b, c]
            assert direct <= by_way, f"the distance of {a} and {c} is {direct}, and {by_way} by way of {b}"

    # --- bad architectures -----------------------------------------------------------------------------------

    def test_bad_architectures_are_refused(self) -> None:
        space, rng = self.space, numpy_generator("bad")
        good, task = self.samples(1)[0], self.task()
        bad = {
            "unknown option": Architecture(space.name, (*good.choices[:-1], "no such option")),
            "too few": Architecture(space.name, good.choices[:-1]),
            "too many": Architecture(space.name, (*good.choices, good.choices[-1])),
            "none at all": Architecture(space.name, ()),
            "foreign": Architecture("elsewhere", good.choices),
        }
        uses = {
            "check": space.check,
            "encode": space.encode,
            "graph": space.graph,
            "answers": space.answers,
            "build": lambda one: space.build(one, task) if task is not None else space.check(one),
            "mutate": lambda one: space.mutate(one, rng),
            "neighbours": lambda one: list(space.neighbours(one)),
            "distance": lambda one: space.distance(good, one),
            "crossover": lambda one: space.crossover(good, one, rng),
            "from_json": lambda one: space.from_json(one.to_json()),
        }
        for what, architecture in bad.items():
            assert architecture not in space, f"{architecture} ({what}) is in the space"
            for name, use in uses.items():
                with refused(f"{name} of {architecture} ({what}; begin with self.check(architecture))"):
                    use(architecture)
        assert "architecture" not in space, "a text is in the space"

    def test_the_sentence_names_the_choice_and_the_options(self) -> None:
        space, good = self.space, self.samples(1)[0]
        last = list(space.answers(good))[-1]
        with refused("an unknown option", rf"{last}.*unknown option 'no such option'"):
            space.architecture((*good.choices[:-1], "no such option"))
        with refused("an architecture that lacks its last choice", rf"too few.*{last}"):
            space.architecture(good.choices[:-1])

    # --- from JSON -------------------------------------------------------------------------------------------

    def test_a_space_is_made_again_from_its_spec(self) -> None:
        space = self.space
        again = from_spec(json.loads(json.dumps(space.spec())))
        assert again == space, (
            f"the spec {space.spec()} makes {again}, expected {space}; JSON has lists for tuples: make them tuples in "
            "__post_init__"
        )
        assert hash(again) == hash(space), f"{space} has another hash when it is made again from its spec"
        assert pickle.loads(pickle.dumps(space)) == space, f"{space} is another when it was pickled"  # noqa: S301
        fields = dataclasses.fields(space)
        if all(
            one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING for one in fields
        ):
            assert from_spec({"space": space.name}) == type(space)(), "a spec without parameters has no defaults"
        for field in fields:
            with refused(f"the parameter {field.name[:-1]!r}", f"did you mean '{field.name}'"):
                from_spec({**space.spec(), field.name[:-1]: 3})
