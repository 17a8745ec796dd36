"""Sentences in columns, as in the shared tasks of CoNLL: one word a line, its tag in the last column, a blank line
between sentences."""

from __future__ import annotations

import string
from typing import NamedTuple

from naslab.errors import DataError, whole
from naslab.tasks.tags import parted

DOCUMENT = "-DOCSTART-"
"""First column of a line between the documents of CoNLL-2003, which is no word."""
BLANK = string.whitespace.replace("\x0b", "").replace("\x0c", "")
"""What a blank line consists of. Other white space, such as a no-break space, may be a word of a tweet."""


class Sentence(NamedTuple):
    """A sentence with a tag for each word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def sentences(text: str, name: str, *, word: int = 0, tag: int = -1) -> list[Sentence]:
    """Returns the sentences of a file in columns, separated by tabs if a line has one, else by spaces.

    Args:
        text: content of the file.
        name: what errors call it.
        word, tag: numbers of the columns, from 0; negative ones count from the end.

    Raises:
        DataError: a line lacks a column or has an unknown tag, or there is no sentence; it names the line.
    """
    word, tag = whole("word", word, None, error=DataError), whole("tag", tag, None, error=DataError)
    found: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() would end lines at a dozen other characters
        if not line.strip(BLANK) or line.startswith(DOCUMENT):
            if words:
                found.append(Sentence(tuple(words), tuple(tags)))
                words, tags = [], []
            continue
        columns = [column.strip(BLANK) for column in line.split("\t")] if "\t" in line else line.split()
        try:
            own, said = columns[word], columns[tag]
        except IndexError:
            own = said = ""
        if len(columns) < 2 or not own or not said:
            raise DataError(
                f"line {number} of {name} is {line!r:.100}; expected a word in column {word} and its tag in column "
                f"{tag}, separated by tabs or spaces, and blank lines between sentences"
            )
        try:
            parted(said)
        except DataError as error:
            raise DataError(f"line {number} of {name}: {error}") from None
        words.append(own)
        tags.append(said)
    if words:
        found.append(Sentence(tuple(words), tuple(tags)))
    if not found:
        raise DataError(f"{name} has no sentence: it is empty, or has blank lines only")
    return found
