"""Architectures: an architecture is a sequence of choices, the value that all parts of naslab pass to each other.

A space asks for one `Choice` after the other (`space.next_choice(prefix)`); the answers, in order, *are* the
architecture. It is frozen, hashable and serialisable as JSON, and it names the family of spaces that it belongs to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError, listed, plain, unknown

Option = str | int | float
"""An option of a choice: a JSON scalar, so that an architecture reads the same on disk and on screen."""

Prefix = tuple[Option, ...]
"""The answers to the first choices of a space, in order."""

_QUICK = frozenset((str, int))
"""Types of options that need no check. Architectures are made by the million, so this path is quick."""

MAX_JSON_BYTES = 64 * 1024
MAX_CHOICES = 4096


def _check_option(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SpecError(f"a choice is a string or a number, not {value!r:.200} ({type(value).__name__})")
    if isinstance(value, float) and value - value != 0:  # NaN for NaN and infinities
        raise SpecError(f"a choice must be finite, not {value!r}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision of a space: its name, unique within an architecture (`normal/3/op_0`), and its options."""

    name: str
    options: tuple[Option, ...]
    """Options, no two of which are equal, as 1 and 1.0 would be."""

    def __post_init__(self) -> None:
        if type(self.options) is not tuple or not _QUICK.issuperset(map(type, self.options)):
            object.__setattr__(self, "options", self._read())
        if not self.options:
            raise SpecError(f"choice {self.name!r} has no options; a space must offer at least one")
        if len(set(self.options)) < len(self.options):
            same = next(one for place, one in enumerate(self.options) if one in self.options[:place])
            raise SpecError(
                f"choice {self.name!r} offers {same!r} twice, in {list(self.options)!r:.200}; an architecture could "
                "not say which of them it took. Leave one out"
            )

    def _read(self) -> tuple[Option, ...]:
        """Returns the options as a tuple of Python's own types; `SpecError` for anything but scalars."""
        if not listed(self.options):
            raise SpecError(f"the options of choice {self.name!r} are a tuple, not {self.options!r:.200}")
        options = tuple(map(plain, self.options))
        for option in options:
            _check_option(option)
        return options

    def own(self, value: object) -> Option:
        """Returns the option that equals the value: 5 for 5.0, if 5 is offered. `SpecError` if there is none."""
        if type(value) is str:
            if value in self.options:
                return value
        elif not isinstance(found := plain(value), bool) and isinstance(found, str | int | float):
            for option in self.options:
                if option == found:
                    return option
        raise SpecError(f"at {self.name!r}: {unknown('option', value, self.options)}")


@dataclass(frozen=True, slots=True)
class Architecture:
    """The answers to a space's choices, in the order in which the space asks them.

    Make one with `space.architecture(...)`, `space.sample(...)` or `space.parse(...)`, which check it
    against the space; the constructor checks only the types.
    """

    space: str
    """Name of the family of spaces, for instance `"darts_cell"`."""
    choices: tuple[Option, ...]

    def __post_init__(self) -> None:
        if type(self.choices) is not tuple:
            if not listed(self.choices):
                raise SpecError(f"the choices of an architecture are a tuple, not {self.choices!r:.200}")
            object.__setattr__(self, "choices", tuple(self.choices))
        if len(self.choices) > MAX_CHOICES:
            raise SpecError(f"an architecture has at most {MAX_CHOICES} choices, this one {len(self.choices)}")
        for value in self.choices:
            if type(value) is str or type(value) is int:  # by far the most common, and made by the million
                continue
            if type(value) is not float:
                object.__setattr__(self, "choices", tuple(map(plain, self.choices)))
                for one in self.choices:
                    _check_option(one)
                break
            _check_option(value)

    def to_json(self) -> str:
        return json.dumps({"space": self.space, "choices": list(self.choices)})

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Reads what `to_json` wrote. Raises `SpecError`, and no other error, for anything else."""
        if not isinstance(text, str | bytes):
            raise SpecError(f"expected the JSON of an architecture as a string, got {text!r:.200}")
        if len(text) > MAX_JSON_BYTES:
            raise SpecError(f"an architecture is at most {MAX_JSON_BYTES} characters of JSON, this is {len(text)}")
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"not JSON: {error}") from None
        return cls.from_record(record)

    @classmethod
    def from_record(cls, record: Any) -> Architecture:
        """The same from parsed JSON: `{"space": str, "choices": [str | int | float, ...]}`."""
        if not isinstance(record, dict) or set(record) != {"space", "choices"}:
            came = sorted(map(str, record)) if isinstance(record, dict) else type(record).__name__
            raise SpecError(f"expected an object with the keys 'space' and 'choices', got {came}")
        if not isinstance(record["space"], str) or not isinstance(record["choices"], list):
            raise SpecError("expected 'space' to be a string and 'choices' to be a list")
        return cls(record["space"], tuple(record["choices"]))
