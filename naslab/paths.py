"""Paths that a user gives, read in one way everywhere: `~` is the home folder, and a place is tried before use."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from naslab.errors import NaslabError, RunError, SpecError

Given = str | os.PathLike[str]
"""What a path may be given as."""


def path_of(what: str, given: Given, *, error: type[NaslabError] = SpecError) -> Path:
    """The path, with `~` and `~user` expanded; the error for what is no path.

    Args:
        what: is to be found there, in words, for instance "the checkpoint".
    """
    text = given
    if isinstance(given, os.PathLike):
        text = os.fspath(given)
    if not isinstance(text, str):
        raise error(f"expected the path of {what}, got {given!r:.200}; give its path as a string or a pathlib.Path")
    if not text.strip():
        raise error(f"the path of {what} is empty; give one, or leave it out where it may be left out")
    try:
        named = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half a surrogate pair, say
        named = False
    if not named:
        raise error(f"the path of {what}, {text!r:.200}, has a character that no file's name may have")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        name = text.split(os.sep)[0]
        raise error(
            f"the path of {what}, {text!r:.200}, begins with {name}, and there is no such home folder here; write the "
            "whole path"
        ) from None


def is_folder(path: Given) -> bool:
    """Whether a folder is there, or a link to one, that can be reached: `Path.is_dir` has an `OSError` for many a place
    that cannot be looked at.
    """
    return os.path.isdir(path)


def resolved(path: Given) -> Path:
    """The path without links, as far as it can be followed; `Path.resolve` stops at a ring of links, with
    `RuntimeError`, and at a link that may not be read.
    """
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return Path(os.path.abspath(path))


def check_writable(what: str, path: Path) -> None:
    """Make the folders above a file, and try to write beside it, so that a long computation need not fail at its end.

    Raises:
        RunError: nothing can be written there.
    """
    try:
        if path.is_dir():
            raise RunError(f"{what} is a file, and {path} is a folder; give the path of a file in it")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(b"naslab")
    except OSError as error:
        raise RunError(
            f"{what} cannot be written to {path} ({error.strerror or error}); give a path where this process may write"
        ) from error


def with_suffix(what: str, path: Path, known: tuple[str, ...], advice: str) -> Path:
    """The path, if its suffix says one of the known formats; else `SpecError`.

    Args:
        known: suffixes in lower case, with the dot.
        advice: what to do for other formats, in words.
    """
    if path.suffix.lower() not in known:
        came = f"{path.suffix!r}" if path.suffix else "no suffix"
        raise SpecError(f"{what} is written as {' or '.join(known)}, and {path.name!r} has {came}; {advice}")
    return path
