"""User texts from files or strings: decoding, line breaks, and errors for data that is not text."""

from __future__ import annotations

import os
from pathlib import Path

from naslab import files, reading
from naslab.errors import DataError
from naslab.paths import Given, path_of

LARGEST = 2**32
"""Limit on the bytes of a text; the training file of WikiText-103 has 540 million."""
LONGEST_PATH = 4096
"""Maximum length of a path, in characters; a longer string is taken as the text itself."""
OTHER_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
"""Byte order mark at the start of a file -> its encoding."""


def text_of(what: str, given: Given, encoding: str = "utf-8") -> tuple[str, Path | None]:
    """Returns a text and the path it was read from, which is None if the text itself was given.

    Args:
        what: name of the text in error texts, for instance "the text".
        given: a `pathlib.Path` or a string without a line break is a path; a string with one is the text itself.
        encoding: encoding of the file.
    """
    if isinstance(given, str) and ("\n" in given or len(given) > LONGEST_PATH):
        return plain(what, given), None
    path = path_of(what, given, error=DataError)
    if isinstance(given, str) and not os.path.lexists(path):
        raise DataError(
            f"there is no file {given!r:.200}; give the path of {what}, or the text itself, which has at least one "
            "line break"
        )
    return read(what, path, encoding), path


def read(what: str, given: Given, encoding: str = "utf-8") -> str:
    """Returns the text in a file, which is gzipped if its name ends in .gz; every line break becomes "\\n".

    Raises:
        DataError: the file cannot be read, or holds no text in this encoding.
    """
    path = path_of(what, given, error=DataError)
    try:
        content = files.read(path, LARGEST, links=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read as {what}: {error.strerror or error}") from error
    if path.suffix == ".gz":
        content = reading.gunzipped(content, LARGEST, str(path))
    return plain(str(path), decoded(content, encoding, str(path)))


def decoded(content: bytes, encoding: str, name: str) -> str:
    """Decodes the bytes of a file, without a byte order mark of UTF-8; error texts call the file `name`."""
    announced = next((known for mark, known in OTHER_ENCODINGS.items() if content.startswith(mark)), None)
    try:
        return content.decode("utf-8-sig" if announced == "utf-8-sig" and encoding == "utf-8" else encoding)
    except (LookupError, TypeError):
        raise DataError(f"Python knows no encoding {encoding!r:.100}; 'utf-8' and 'latin-1' are two") from None
    except UnicodeDecodeError as error:
        advice = (
            f"it begins as {announced} does: give encoding={announced!r}"
            if announced
            else ("give the encoding in which it was written, encoding='latin-1', say")
        )
        raise DataError(
            f"{name} is no text in {encoding}: byte {content[error.start]:#04x} at place {error.start} means nothing "
            f"there; {advice}"
        ) from None


def plain(name: str, text: str) -> str:
    """Returns the text with "\\n" for all line breaks; `DataError` if it has a zero byte or half a surrogate pair."""
    if (place := text.find("\0")) >= 0:
        raise DataError(f"{name} is not text: it has a zero byte at place {place}; give plain text")
    try:
        text.encode()  # fails for a lone surrogate
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} is not text: the character {text[error.start]!a} at place {error.start} is half of a pair, and "
            "stands for nothing; leave it out"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
