"""Reads architectures that are published as plain numbers, one for each choice: the index of the chosen option."""

from __future__ import annotations

from collections.abc import Sequence

from naslab.architecture import Choice, Option
from naslab.errors import SpecError


def read_numbers(space: str, text: object, choices: Sequence[Choice], what: str, parts: str) -> list[Option]:
    """Returns the chosen options, in the order of the text.

    Args:
        space: name of the space, for errors.
        text: integers separated by spaces.
        choices: the choice that each number belongs to, in the order of the text.
        what: description of the whole, for errors ("a network of 12 layers").
        parts: description of the numbers, for errors.

    Raises:
        SpecError: on anything else, whatever `text` is.
    """
    words = text.split() if isinstance(text, str) else []
    if len(words) != len(choices) or not all(word.isascii() and word.isdigit() for word in words):
        raise SpecError(f"{what}: expected {len(choices)} numbers separated by spaces, {parts}; got {text!r:.80}")
    found = []
    for choice, word in zip(choices, words, strict=True):
        if (number := int(word[:8])) >= len(choice.options):  # cut, since a hostile text may have endless digits
            raise SpecError(f"{space}: {choice.name!r} is a number from 0 to {len(choice.options) - 1}")
        found.append(choice.options[number])
    return found
