"""The value that everyone passes: an architecture is a sequence of choices.

A space asks one `Choice` after the other (`space.next_choice(prefix)`); the answers, in order, *are*
the architecture. It is frozen, hashable and JSON, and it says to which family of spaces it belongs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError

Option = str | int | float
"""What can be chosen: a JSON scalar, so that an architecture reads the same on disk and on screen."""

MAX_JSON_BYTES = 64 * 1024
MAX_CHOICES = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: its name, unique within an architecture (`normal/3/op_0`), and what may be chosen."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise SpecError(f"choice {self.name!r} has no options; a space must offer at least one")


@dataclass(frozen=True, slots=True)
class Architecture:
    """The answers to a space's choices, in the order in which the space asks them.

    Make one with `space.architecture(...)`, `space.sample(...)` or `space.parse(...)`, which check it
    against the space; the constructor checks only its own shape.
    """

    space: str
    """Name of the family of spaces, for instance `"darts_cell"`."""
    choices: tuple[Option, ...]

    def __post_init__(self) -> None:
        if len(self.choices) > MAX_CHOICES:
            raise SpecError(f"an architecture has at most {MAX_CHOICES} choices, this one {len(self.choices)}")
        for value in self.choices:
            if type(value) is str:  # by far the most common, and made by the million
                continue
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise SpecError(f"a choice is a string or a number, not {value!r} ({type(value).__name__})")
            if isinstance(value, float) and value - value != 0:
                raise SpecError(f"a choice must be finite, not {value!r}")

    def to_json(self) -> str:
        return json.dumps({"space": self.space, "choices": list(self.choices)})

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what `to_json` wrote. Raises `SpecError`, and nothing else, on anything else."""
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
