"""A space with forbidden options, which none of its choices offers.

    Without(of, forbidden).next_choice(prefix)  =  of.next_choice(prefix), less the options forbidden at that choice

Everything that samples architectures uses `next_choice` and therefore respects the restriction: sampling, mutation,
crossover, neighbours, enumeration, size, and controllers. Everything that reads or builds them is delegated to the
whole space: names, JSON, encodings, graphs and networks stay the same, also of an architecture that holds a forbidden
option. Such an architecture is repaired when it becomes a parent: another option is taken at the choices concerned, and
all other answers are kept wherever they are still legal.

Where later choices depend on earlier ones, a prefix of allowed options may lead to a choice with none left (`DeadEnd`).
No look-ahead avoids that; the caller draws again, with fewer and fewer of the wished answers (`_retried`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError
from naslab.randomness import generator_of
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.offered import DeadEnd, nothing_left
from naslab.spaces.space import Space
from naslab.spaces.wrapping import Wrapping

Forbidden = tuple[tuple[str, tuple[Option, ...]], ...]
"""(name of a choice, the options that are forbidden there), sorted by name."""
MAX_MUTATIONS = 20
"""Attempts with the mutation operator of the whole space before the general one, which always succeeds, is used."""
MAX_REDRAWS = 200
"""Attempts to draw an architecture that runs into no dead end; after the last one the error is raised."""


@dataclass(frozen=True)
class Without(Wrapping):
    """A space with fewer options. Made by `space.without(...)`, which checks the forbidden ones."""

    name: ClassVar[str] = "without"
    """Name in a spec. An instance has the name of `of`, whose family its architectures belong to."""

    of: Space
    """The whole space."""
    forbidden: Forbidden
    """The forbidden options of each choice."""

    def __post_init__(self) -> None:
        # The fields have been checked already; what is a class attribute elsewhere is here one of the instance.
        for each in ("name", "reads", "gives", "has_inactive_choices"):
            object.__setattr__(self, each, getattr(self.of, each))

    def __getattr__(self, name: str) -> Any:
        """Returns any other attribute of the whole space: its supernet, published form, moves, ...

        Methods that make architectures otherwise than by `next_choice` are replaced by restricted ones (`_RESTRICTED`).
        """
        if name.startswith("_") or name in ("of", "forbidden"):  # not set yet while unpickling: no endless recursion
            raise AttributeError(name)
        found = getattr(self.of, name)
        return partial(_RESTRICTED[name], self) if name in _RESTRICTED else found

    def spec(self) -> dict[str, Any]:
        forbidden = {name: list(options) for name, options in self.forbidden}
        return {"space": Without.name, "of": self.of.spec(), "forbidden": forbidden}

    # --- choices ---------------------------------------------------------------------------------

    @cached_property
    def _forbidden_options(self) -> dict[str, frozenset[Option]]:
        return {name: frozenset(options) for name, options in self.forbidden}

    @cached_property
    def _reduced_choices(self) -> dict[Choice, Choice]:
        """Cache: choice of the whole space -> the same choice with fewer options."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled for a worker process: all but the caches."""
        return {name: value for name, value in vars(self).items() if name not in ("_reduced_choices", "_cache")}

    def _reduced(self, choice: Choice) -> Choice:
        """Returns the choice without its forbidden options. Raises `DeadEnd` if none is left."""
        if (forbidden := self._forbidden_options.get(choice.name)) is None:
            return choice
        if (fewer := self._reduced_choices.get(choice)) is None:
            left = tuple(option for option in choice.options if option not in forbidden)
            if not left:
                raise nothing_left(choice.name, self.of.name, choice.options, DeadEnd)
            self._reduced_choices[choice] = fewer = Choice(choice.name, left)
        return fewer

    def next_choice(self, prefix: Prefix) -> Choice | None:
        choice = self.of.next_choice(prefix)
        return None if choice is None else self._reduced(choice)

    def future(self, prefix: Prefix) -> Any:
        """Returns the whole prefix.

        The key of the whole space will not do: two prefixes may continue alike through choices of different names, and
        options are forbidden by name.
        """
        return prefix

    @property
    def fixed_choices(self) -> Any:
        """The fixed choices of the whole space with fewer options; None if its choices are not fixed."""
        fixed = self.of.fixed_choices
        return None if fixed is None else tuple(map(self._reduced, fixed))

    def allows(self, architecture: Architecture) -> bool:
        return not any(
            value in self._forbidden_options[choice.name]
            for choice, value in self.of.walk(architecture.choices)
            if choice.name in self._forbidden_options
        )

    def repaired(self, architecture: Architecture, rng: np.random.Generator | int | None = None) -> Architecture:
        if self.allows(architecture):
            return architecture
        answers = self.of.answers(architecture)
        if rng is None:
            with suppress(DeadEnd):
                return self._complete((), answers, None)
        return self._redrawn(answers, generator_of(0 if rng is None else rng))

    def __contains__(self, architecture: object) -> bool:
        return architecture in self.of and self.allows(architecture)  # type: ignore[arg-type]

    # --- sampling, mutation and neighbours -------------------------------------------------------

    def _retried(
        self,
        draw: Callable[[Mapping[str, Option]], Architecture],
        wished: Mapping[str, Option],
        rng: np.random.Generator,
        unlike: Architecture | None = None,
    ) -> Architecture:
        """Returns `draw(wished)`, repeated with fewer of the wished answers while it runs into dead ends.

        Args:
            draw: makes an architecture from wished answers; may raise `DeadEnd`.
            wished: name of a choice -> preferred answer.
            rng: selects the wished answers that are dropped: attempt t drops each with probability t / `MAX_REDRAWS`.
            unlike: an architecture that is not accepted as the result.
        """
        kept = wished
        for tried in range(MAX_REDRAWS):
            with suppress(DeadEnd):
                if (drawn := draw(kept)) != unlike:
                    return drawn
            kept = {name: value for name, value in wished.items() if rng.random() * MAX_REDRAWS > tried}
        return draw(kept)  # now a dead end is the caller's to see

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        return self._retried(lambda _: super(Without, self).sample(rng), {}, rng)

    def mutate_each(self, architecture: Architecture, rate: float, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        try:
            return super().mutate_each(architecture, rate, rng)
        except DeadEnd:
            return self._redrawn(self.of.answers(architecture), rng, architecture)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        try:
            return super().crossover(first, second, rng)
        except DeadEnd:
            # of a choice that both parents answered, the first parent's answer is wished
            return self._redrawn(self.of.answers(second) | self.of.answers(first), rng)

    def _redrawn(
        self, wished: Mapping[str, Option], rng: np.random.Generator, unlike: Architecture | None = None
    ) -> Architecture:
        """Returns an architecture with the wished answers where they are allowed, and random ones elsewhere."""
        return self._retried(lambda kept: self._complete((), kept, rng), wished, rng, unlike)

    def enumerate(self) -> Iterator[Architecture]:
        """Yields every allowed architecture once, and of equal networks the first allowed one.

        Their representative (`canonical`) is not yielded, because it may itself hold a forbidden option.
        """
        if not self.has_inactive_choices:
            yield from filter(self.allows, self.of.enumerate())
            return
        known: set[Architecture] = set()
        for architecture in filter(self.allows, self.of._all()):
            if (one := self.active(architecture)) not in known:
                known.add(one)
                yield architecture

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of allowed architectures, counted one by one."""
        return sum(1 for _ in self.enumerate())

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """Returns a mutation by the whole space's operator, if it soon gives an allowed one, else by a general one."""
        rng = generator_of(rng)
        self._check_family(architecture)
        # A space with its own operator (Hierarchical, for instance) keeps the distribution of the paper where possible.
        if type(self.of).mutate not in (Space.mutate, FixedSpace.mutate) and self.allows(architecture):
            for _ in range(MAX_MUTATIONS):
                if self.allows(child := self.of.mutate(architecture, rng)):
                    return child
        alternatives = self._alternatives(architecture)
        if not alternatives:
            raise self._single()
        return self._with_another(architecture, alternatives[rng.integers(len(alternatives))], rng)

    def mutate_node_first(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        self._check_family(architecture)
        nodes: dict[str, list[tuple[str, list[Option]]]] = {}
        for alternative in self._alternatives(architecture):
            nodes.setdefault(alternative[0].rpartition("/")[0], []).append(alternative)
        if not nodes:
            raise self._single()
        of_node = list(nodes.values())[rng.integers(len(nodes))]
        return self._with_another(architecture, of_node[rng.integers(len(of_node))], rng)

    def _alternatives(self, architecture: Architecture) -> list[tuple[str, list[Option]]]:
        """Returns (name of a choice, its other allowed options) for each choice that has any."""
        found = []
        for choice, value in self.of.walk(architecture.choices):
            forbidden = self._forbidden_options.get(choice.name, ())
            if others := [option for option in choice.options if option != value and option not in forbidden]:
                found.append((choice.name, others))
        return found

    def _with_another(
        self, architecture: Architecture, alternative: tuple[str, list[Option]], rng: np.random.Generator
    ) -> Architecture:
        """Returns the architecture with a random one of the alternatives at one choice, and repaired elsewhere."""
        name, options = alternative
        wished = {**self.of.answers(architecture), name: options[rng.integers(len(options))]}
        return self._redrawn(wished, rng, architecture)

    def _single(self) -> SpecError:
        return SpecError(f"{self.of.name} holds a single architecture that is allowed: there is nothing to mutate")

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yields the allowed neighbours; of a parent with a forbidden option, the repaired one and its neighbours."""
        self._check_family(architecture)
        here = self.repaired(architecture)
        if here != architecture:
            yield here
        walked = [(self._reduced(choice), value) for choice, value in self.of.walk(here.choices)]
        kept, old = {choice.name: value for choice, value in walked}, tuple(value for _, value in walked)
        for position, (choice, value) in enumerate(walked):
            for option in choice.options:
                if option != value:
                    with suppress(DeadEnd):
                        yield self._complete((*old[:position], option), kept, None)

    # --- delegated to the whole space ------------------------------------------------------------

    def walk(self, choices: Sequence[Option]) -> Iterator[tuple[Choice, Option]]:
        return self.of.walk(choices)

    def architecture(self, choices: Sequence[Option] | Mapping[str, Option]) -> Architecture:
        return self.of.architecture(choices)

    def canonical(self, architecture: Architecture) -> Any:
        return self.of.canonical(architecture)


# --- restricted versions of methods that a space may have --------------------------------------------


def _discretize(space: Without, weights: Mapping[str, np.ndarray]) -> Architecture:
    """Returns the architecture that the whole space derives, with forbidden options replaced greedily.

    One forbidden choice after the other gets the allowed option for which the resulting architecture has the largest
    sum of weights on its edges.
    """
    whole: Any = space.of
    derived: Architecture = whole.discretize(weights)
    if space.allows(derived):
        return derived

    def strength(architecture: Architecture) -> float:
        return sum(float((matrix * weights[part]).sum()) for part, matrix in whole.one_hot(architecture).items())

    answers = space.of.answers(derived)
    for name in list(answers):
        if answers.get(name) not in space._forbidden_options.get(name, ()):
            continue
        tried = [space._complete((), {**answers, name: option}, None) for option in space.offered[name]]
        answers = space.of.answers(max(tried, key=strength))
    return space._complete((), answers, None)


def _start(space: Without) -> Architecture:
    whole: Any = space.of
    return space.repaired(whole.start())


def _move(space: Without, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
    """Returns the move of the whole space, repaired; None if the repair leads back to the same architecture."""
    whole: Any = space.of
    rng = generator_of(rng)
    moved = whole.move(architecture, name, rng)
    if moved is not None:
        moved = space.repaired(moved, rng)
    return None if moved == architecture else moved


_RESTRICTED: dict[str, Any] = {"discretize": _discretize, "start": _start, "move": _move}
"""Method of the whole space -> the function that replaces it in the restricted space."""
