"""Tokenisation of texts into characters or words.

Words are separated by white space, and every line, even a blank one, ends with the token `<eos>`; all splits share one
vocabulary. Published perplexities on Penn Treebank and WikiText are computed on such tokens.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from naslab.errors import DataError, among, unknown, whole

UNITS = ("characters", "words")
END = "<eos>"
"""Token at the end of a line of words."""
UNKNOWN = "<unk>"
"""Token that replaces every token outside the vocabulary."""
SHOWN = 5
"""Number of unknown tokens that an error names."""


@dataclass(frozen=True)
class Vocabulary:
    """The different tokens of a text; the number of a token is its position in `tokens`."""

    tokens: tuple[str, ...]
    unit: str
    """ "characters" or "words"."""

    def __post_init__(self) -> None:
        checked_unit(self.unit)
        if len(self.tokens) < 2:
            raise DataError(
                f"a text of {len(self.tokens)} different {self.unit} has nothing to predict; give one of at least two"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"<Vocabulary: {len(self):,} {self.unit}>"

    @cached_property
    def index(self) -> dict[str, int]:
        """Token -> its number."""
        return {token: number for number, token in enumerate(self.tokens)}

    @property
    def unknown(self) -> int | None:
        """Number of `<unk>`; None if the vocabulary lacks it."""
        return self.index.get(UNKNOWN)

    def encode(self, text: str) -> np.ndarray:
        """Returns the token numbers [N] int64 of a text; for words, each line break becomes `<eos>`.

        Raises:
            DataError: a token is not in the vocabulary, and the vocabulary has no `<unk>`.
        """
        if not isinstance(text, str):
            raise DataError(f"a text to encode is a string, not {type(text).__name__}")
        if self.unit == "words":
            lines = [line.split() for line in text.split("\n")]
            tokens: Sequence[str] = [token for line in lines for token in (*line, END)][:-1]
        else:
            tokens = text
        if self.unknown is None and (strange := [token for token in dict.fromkeys(tokens) if token not in self.index]):
            raise DataError(
                f"{len(strange)} of the {self.unit} are not among the {len(self)} of the vocabulary: "
                f"{', '.join(map(repr, strange[:SHOWN]))}{', ...' if len(strange) > SHOWN else ''}; leave them out, or "
                f"limit the vocabulary (vocabulary={len(self) - 1}), so that it has {UNKNOWN!r} for the rest"
            )
        numbers = (self.index.get(token, self.unknown) for token in tokens)
        return np.fromiter(numbers, np.int64, count=len(tokens))  # type: ignore[arg-type]  # None was refused above

    def decode(self, numbers: Iterable[int]) -> str:
        """Returns the text of token numbers: `<eos>` becomes a line break, words are joined by spaces."""
        try:
            found = [operator.index(number) for number in numbers]
        except TypeError:
            raise DataError(f"the numbers of tokens are whole numbers, not {numbers!r:.100}") from None
        if found and not 0 <= min(found) <= max(found) < len(self):
            wrong = next(number for number in found if not 0 <= number < len(self))
            raise DataError(f"the tokens of this vocabulary have the numbers 0 to {len(self) - 1}, not {wrong}")
        tokens = [self.tokens[number] for number in found]
        if self.unit == "characters":
            return "".join(tokens)
        text = " ".join("\n" if token == END else token for token in tokens)
        return text.replace(" \n", "\n").replace("\n ", "\n")


class Tokenised(NamedTuple):
    """Texts as token numbers, with their vocabulary."""

    vocabulary: Vocabulary
    numbers: dict[str, np.ndarray]
    """Name of each text -> [N] int32."""

    @property
    def unknown_share(self) -> float:
        """Share of all tokens that are `<unk>`."""
        counts = [int((numbers == self.vocabulary.unknown).sum()) for numbers in self.numbers.values()]
        return sum(counts) / sum(map(len, self.numbers.values()))


def tokenise(texts: Mapping[str, str], unit: str) -> Tokenised:
    """Numbers the tokens of texts in the order of their first appearance.

    Args:
        texts: name, for instance "train" -> text; all of them share one vocabulary.
        unit: "characters" or "words".
    """
    checked_unit(unit)
    index: dict[str, int] = {}
    number = _characters if unit == "characters" else _words
    numbers = {}
    for name, text in texts.items():
        if not (text if unit == "characters" else text.strip()):
            raise DataError(f"the {name} text has no {unit}: it is empty; give a text")
        numbers[name] = number(text, index)
    return Tokenised(Vocabulary(tuple(index), unit), numbers)


def limited(found: Tokenised, most: int | None) -> Tokenised:
    """Returns the same texts with only the most frequent tokens; `<unk>` replaces all others.

    Args:
        found: the texts.
        most: maximum size of the vocabulary, including `<unk>` and, for words, `<eos>`; None: no limit.
    """
    if most is None:
        return found
    vocabulary, most = found.vocabulary, whole("vocabulary", most, 3, error=DataError)
    if most >= len(vocabulary):
        return found
    counts = sum(np.bincount(numbers, minlength=len(vocabulary)) for numbers in found.numbers.values())
    always = {UNKNOWN, END} if vocabulary.unit == "words" else {UNKNOWN}
    by_count = [vocabulary.tokens[n] for n in np.argsort(-np.asarray(counts), kind="stable")]  # ties: the earlier first
    kept = {*always, *[token for token in by_count if token not in always][: most - len(always)]}
    # The kept tokens stay in the order of first appearance; `<unk>` comes last unless the text itself has it.
    tokens = tuple(token for token in dict.fromkeys((*vocabulary.tokens, UNKNOWN)) if token in kept)
    fewer = Vocabulary(tokens, vocabulary.unit)
    unknown_number = fewer.index[UNKNOWN]
    renumbered = np.array([fewer.index.get(token, unknown_number) for token in vocabulary.tokens], np.int32)
    return Tokenised(fewer, {name: renumbered[numbers] for name, numbers in found.numbers.items()})


def checked_unit(unit: object) -> str:
    """Returns the unit if it is one of `UNITS`; else raises `DataError`."""
    if not among(unit, UNITS):
        raise DataError(unknown("unit", unit, UNITS))
    return str(unit)


def _characters(text: str, index: dict[str, int]) -> np.ndarray:
    # Numbering by a lookup table over code points: UTF-32 has one 4-byte code per character.
    codes = np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))
    for character in dict.fromkeys(text):
        index.setdefault(character, len(index))
    table = np.zeros(int(codes.max()) + 1, np.int32)
    for character, number in index.items():
        if ord(character) < len(table):
            table[ord(character)] = number
    return table[codes]


def _words(text: str, index: dict[str, int]) -> np.ndarray:
    numbers: list[np.ndarray] = []
    lines = text.split("\n")  # splitlines() would end lines at form feeds and a dozen other characters, too
    if not lines[-1]:
        lines.pop()
    size = 10_000  # lines per array: Python lists of 100 million integers would take gigabytes
    for start in range(0, len(lines), size):
        found: list[int] = []
        for line in lines[start : start + size]:
            found += [index.setdefault(word, len(index)) for word in line.split()]
            found.append(index.setdefault(END, len(index)))
        numbers.append(np.array(found, np.int32))
    return np.concatenate(numbers)
