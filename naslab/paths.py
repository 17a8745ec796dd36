"""Paths that a user gives: `~` is expanded, and a place to write to is tried before a long computation."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from naslab.errors import NaslabError, RunError, SpecError

Given = str | os.PathLike[str]
"""Types of a path argument."""


def path_of(what: str, given: Given, *, error: type[NaslabError] = SpecError) -> Path:
    """Returns the path with `~` and `~user` expanded; raises `error` for anything that is no path.

    Args:
        what: name of the thing at the path, for instance "the checkpoint".
        given: the path.
        error: class of the exception.
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
    """True for an accessible folder, or a link to one. `Path.is_dir` raises `OSError` for some inaccessible paths."""
    return os.path.isdir(path)


def resolved(path: Given) -> Path:
    """Returns the path with links resolved as far as possible. `Path.resolve` raises an error for a circle of links,
    and for a link that may not be read.
    """
    try:
        return Path(os.path.realpath(path))
    except OSError:
        return Path(os.path.abspath(path))


def check_writable(what: str, path: Path) -> None:
    """Make the parent folders of a file and try to write there, so that a long computation does not fail at its end.

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
    """Returns the path if it has the suffix of a known format; else raises `SpecError`.

    Args:
        what: name of the thing to be written.
        path: of the file.
        known: suffixes in lower case, with the dot.
        advice: what to do for other formats, in words.
    """
    if path.suffix.lower() not in known:
        came = f"{path.suffix!r}" if path.suffix else "no suffix"
        raise SpecError(f"{what} is written as {' or '.join(known)}, and {path.name!r} has {came}; {advice}")
    return path
