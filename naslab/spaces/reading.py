"""Reads architectures of a space from choices in order, from names or from JSON, and checks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, ClassVar

from naslab.architecture import MAX_CHOICES, Architecture, Choice, Option, Prefix
from naslab.errors import SpecError, listed, plain, unknown


class ReadsArchitectures:
    """The reading half of `naslab.spaces.space.Space`: walks the tree of `next_choice` along given answers."""

    name: ClassVar[str]

    if TYPE_CHECKING:

        def next_choice(self, prefix: Prefix) -> Choice | None: ...

    def walk(self, choices: Sequence[Option]) -> Iterator[tuple[Choice, Option]]:
        """Yields each choice with its answer, which is the space's own option (5, where 5.0 was given).

        Raises:
            SpecError: if an answer is none of the options, or there are too few or too many answers.
        """
        taken: Prefix = ()
        names: set[str] = set()
        while (choice := self.next_choice(taken)) is not None:
            if len(taken) >= MAX_CHOICES:
                raise SpecError(f"{self.name}: more than {MAX_CHOICES} choices; does the space ever end?")
            if len(taken) == len(choices):
                raise SpecError(f"{self.name}: {len(choices)} choices are too few; {choice.name!r} is missing")
            value = self._own(choice, choices[len(taken)])
            self._check_name(choice, names)
            yield choice, value
            taken = (*taken, value)
        if len(taken) != len(choices):
            raise SpecError(f"{self.name}: {len(choices)} choices are too many; expected {len(taken)}")

    def architecture(self, choices: Sequence[Option] | Mapping[str, Option]) -> Architecture:
        """Returns the architecture with these answers, checked.

        Args:
            choices: the answers in the order of the choices; or the name of each choice with its answer, as `answers`
                gives them, in any order. Numbers may be of any library, and 5.0 is read as 5 where 5 is an option. A
                choice that the architecture does not have may be missing, None or NaN, as in a row of a table.
        """
        if isinstance(choices, Architecture):
            return self.check(choices)
        if named := _by_name(choices):
            return self._from_names(named)
        return Architecture(self.name, tuple([value for _, value in self.walk(self._in_order(choices))]))

    def check(self, architecture: Architecture) -> Architecture:
        """Returns the same architecture with the space's own options. Raises `SpecError` if it is none of the space."""
        self._check_family(architecture)
        return self.architecture(architecture.choices)

    def from_json(self, text: str) -> Architecture:
        return self.check(Architecture.from_json(text))

    def __contains__(self, architecture: object) -> bool:
        try:
            return isinstance(architecture, Architecture) and bool(self.check(architecture))
        except SpecError:
            return False

    def answers(self, architecture: Architecture) -> dict[str, Option]:
        """Returns name of each choice -> the chosen option, in order."""
        self._check_family(architecture)
        return {choice.name: value for choice, value in self.walk(architecture.choices)}

    def _own(self, choice: Choice, value: Any) -> Option:
        """Returns the option of the choice that equals the value."""
        if type(value) is str and value in choice.options:  # the common case, first
            return value
        try:
            return choice.own(value)
        except SpecError as error:
            raise SpecError(f"{self.name}: {error}") from None

    def _check_name(self, choice: Choice, names: set[str]) -> None:
        """Add the name to `names`. Raises `SpecError` if it is among them already."""
        if choice.name in names:
            raise SpecError(
                f"{self.name} has two choices named {choice.name!r}; each choice of an architecture needs a different "
                "name, because answers are looked up by it"
            )
        names.add(choice.name)

    def _in_order(self, choices: Any) -> list[Any]:
        if not listed(choices) or isinstance(choices, Set | Mapping):
            reading = (
                " A text is read by space.parse(text)." if isinstance(choices, str) and hasattr(self, "parse") else ""
            )
            raise SpecError(
                f"{self.name}: expected the choices of an architecture, in order or by name, as "
                f"space.sample(rng).choices or space.answers(architecture) have them, not {choices!r:.200}.{reading}"
            )
        return list(choices)

    def _from_names(self, named: Mapping[str, Any]) -> Architecture:
        """Returns the architecture with the answers to the choices of these names."""
        taken: Prefix = ()
        names: set[str] = set()
        while (choice := self.next_choice(taken)) is not None:
            if len(taken) >= MAX_CHOICES:
                raise SpecError(f"{self.name}: more than {MAX_CHOICES} choices; does the space ever end?")
            if choice.name not in named:
                raise SpecError(f"{self.name}: {choice.name!r} is missing; given: {', '.join(named)[:200]}")
            self._check_name(choice, names)
            taken = (*taken, self._own(choice, named[choice.name]))
        for name, value in named.items():
            if name not in names and not _missing(value):
                raise SpecError(f"{self.name}: {unknown('choice', name, sorted(names))}")
        return Architecture(self.name, taken)

    def _check_family(self, architecture: Architecture) -> None:
        if not isinstance(architecture, Architecture):
            raise SpecError(
                f"expected an architecture of {self.name!r}, as space.sample(rng) or space.architecture(choices) gives "
                f"it, not {architecture!r:.100}"
            )
        if architecture.space != self.name:
            raise SpecError(f"an architecture of {architecture.space!r} does not belong to {self.name!r}")


def _by_name(choices: Any) -> dict[str, Any]:
    """Returns name -> answer of a mapping or of a row of a table (a pandas Series); empty if `choices` has no names."""
    if isinstance(choices, Mapping):
        if not choices:
            raise SpecError("expected an answer for each choice, got an empty mapping")
        if strange := [name for name in choices if not isinstance(name, str)]:
            raise SpecError(f"expected the names of choices with their answers; {strange[0]!r:.100} is no name")
        return dict(choices)
    if callable(getattr(choices, "keys", None)) and hasattr(choices, "items"):
        named = dict(choices.items())
        return named if all(isinstance(name, str) for name in named) else {}
    return {}


def _missing(value: Any) -> bool:
    """Returns True for a missing value: None, NaN, or one of the markers of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value := plain(value), float) and value != value  # only NaN differs from itself
