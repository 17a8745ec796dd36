"""Architectures that are published as plain numbers, one a choice: the place of the option that was taken."""

from __future__ import annotations

from collections.abc import Sequence

from naslab.architecture import Choice, Option
from naslab.errors import SpecError


def read_numbers(space: str, text: object, choices: Sequence[Choice], what: str, parts: str) -> list[Option]:
    """The options, in the order of the text. Raises `SpecError`, and nothing else, if they are not there.

    Args:
        choices: in the order of the text.
        what: is written, in words.
        parts: of which the numbers are, in words.
    """
    words = text.split() if isinstance(text, str) else []
    if len(words) != len(choices) or not all(word.isascii() and word.isdigit() for word in words):
        raise SpecError(f"{what}: expected {len(choices)} numbers separated by spaces, {parts}; got {text!r:.80}")
    found = []
    for choice, word in zip(choices, words, strict=True):
        if (number := int(word[:8])) >= len(choice.options):
            raise SpecError(f"{space}: {choice.name!r} is a number from 0 to {len(choice.options) - 1}")
        found.append(choice.options[number])
    return found
