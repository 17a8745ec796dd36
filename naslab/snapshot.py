"""Snapshots: the state of a computation in one file, which is complete or not there.

    naslab snapshot <format> <blake2b> <bytes of JSON>\\n     one line of ASCII
    {"step": 120, "name": "darts", ...}                      JSON: the numbers and strings
    safetensors                                              the tensors

The checksum covers everything but itself; safetensors has none, and would return a flipped bit without an error.
Reading a snapshot runs no code, unlike a pickle.

A file is replaced in four steps, whose order makes it safe against a kill and a power failure at any moment:

    1. write the new content beside the old file, in the same folder, so that the rename stays on one file system
    2. fsync the new file         before the rename, or a power failure could leave the name with no content
    3. rename it over the old     atomic: readers see the old content or the new
    4. fsync the folder           after which the rename itself is durable
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from naslab import files
from naslab.errors import RunPaused, SnapshotDamaged, SpecError
from naslab.torch_state import default_torch_state
from naslab.transfer import to_host

FORMAT = 1

State = dict[str, Tensor | int | float | str]
"""A state as a flat dictionary: name -> tensor or JSON scalar."""

_HEADER = re.compile(rb"naslab snapshot (\d{1,9}) ([0-9a-f]{64}) (\d{1,12})\n")
_LONGEST_HEADER = 128


@default_torch_state()
def write(path: str | os.PathLike[str], state: Mapping[str, Tensor | int | float | str]) -> None:
    """Write the state to `path`, and replace a file there. On any error, the old file stays.

    Raises `OSError` when the disk is full or out of reach, `SpecError` for a value that is neither a tensor, a
    number nor a string.
    """
    write_bytes(path, *_parts(state))


@default_torch_state()
def read(path: str | os.PathLike[str], *, most: int = files.LARGEST, links: bool = True) -> State:
    """Returns the state that `write` wrote, its tensors on the CPU.

    Args:
        path: of the file.
        most: largest size in bytes.
        links: allow the path to be a link; False for folders that may come from a stranger.

    Raises:
        SnapshotDamaged: the file is not exactly what was written.
        FileNotFoundError: there is no file.
    """
    path = Path(path)
    try:
        with files.opened(path, most, links=links) as file:
            data = file.read(_LONGEST_HEADER)
            header = _HEADER.match(data)
            if header is not None:  # a file of another kind is not read to its end, for it may be long
                data += files.rest(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SnapshotDamaged(f"the snapshot {path} cannot be read: {error}") from error
    if header is None:
        raise SnapshotDamaged(f"{path} is not a snapshot of naslab, or its first line is damaged")
    if int(header[1]) != FORMAT:
        raise SnapshotDamaged(
            f"the snapshot {path} has format {int(header[1])}, this naslab reads format {FORMAT}; "
            "open it with the version of naslab that wrote it"
        )
    start, length = header.end(), int(header[3])
    plain, tensors = data[start : start + length], data[start + length :]
    if _checksum(plain, tensors) != header[2].decode():
        raise SnapshotDamaged(f"the snapshot {path} is damaged: its checksum does not match its {len(data)} bytes")
    try:
        return {**json.loads(plain), **load_tensors(tensors)}
    except (
        ValueError,
        TypeError,
        RecursionError,
        SafetensorError,
    ) as error:  # the checksum holds, so it was written so
        raise SnapshotDamaged(f"the snapshot {path} was not written by this naslab: {error}") from error


@default_torch_state()
def digest(state: Mapping[str, Tensor | int | float | str]) -> str:
    """Returns the checksum of a state in hexadecimal: the same for states that are equal bit for bit."""
    _, plain, tensors = _parts(state)
    return _checksum(plain, tensors)


def write_bytes(path: str | os.PathLike[str], *parts: bytes) -> None:
    """Write the concatenated parts to `path`, durably and completely, or not at all. See the steps above."""
    path = Path(path)
    # The process id is in the name, because another process may be writing the same file.
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        files.remove(beside)  # left by a killed process with this id, or a stranger's link
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:  # `os.write` may write less than it is given
                    rest = rest[os.write(file, rest) :]
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)  # half a file only takes space, which may be what is missing
        raise
    sync_folder(path.parent)


@contextmanager
def disk(what: str) -> Iterator[None]:
    """Turns `OSError` into `RunPaused` inside, for operations on naslab's own files."""
    try:
        yield
    except OSError as error:
        raise RunPaused(
            f"{what} failed: {error}. No candidate is to blame, and nothing is lost: make room (or repair the disk) "
            "and call next again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk; only then is a rename durable."""
    if os.name == "nt":  # Windows opens no folders, and writes names through
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _parts(state: Mapping[str, Tensor | int | float | str]) -> tuple[bytes, bytes, bytes]:
    """Returns header, JSON and safetensors, the three parts of the file. Names are sorted, so that equal states have
    equal bytes.
    """
    plain: dict[str, int | float | str] = {}
    tensors: dict[str, Tensor] = {}
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise SpecError(f"a snapshot holds tensors, numbers and strings by name, in a dictionary; not {state!r:.100}")
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            tensors[name] = value.detach()
        elif isinstance(value, int | float | str):
            plain[name] = value
        else:
            raise SpecError(
                f"a snapshot holds tensors, numbers and strings; {name!r} is {value!r} ({type(value).__name__})"
            )
    text = json.dumps(plain, sort_keys=True).encode()
    names = sorted(tensors)
    here = to_host([tensors[name] for name in names])
    # A copy of what was here already: safetensors refuses two names for the same memory, which tied weights have.
    alone = [(one.clone() if one is tensors[name] else one).contiguous() for name, one in zip(names, here, strict=True)]
    body = save_tensors(dict(zip(names, alone, strict=True)))
    header = f"naslab snapshot {FORMAT} {_checksum(text, body)} {len(text)}\n"
    return header.encode(), text, body


def _checksum(plain: bytes, tensors: bytes) -> str:
    whole = blake2b(f"{FORMAT} {len(plain)}\n".encode(), digest_size=32)
    whole.update(plain)
    whole.update(tensors)
    return whole.hexdigest()
