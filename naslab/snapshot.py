"""A snapshot: the state of a computation in one file, there whole or not at all.

    naslab snapshot <format> <blake2b> <bytes of JSON>\\n     one line of ASCII
    {"step": 120, "name": "darts", ...}                      JSON: the numbers and strings
    safetensors                                              the tensors

The checksum covers everything but itself; safetensors has none of its own, and would hand over a flipped bit
without a word. The file is made in memory, written beside the old one, forced to the disk, and renamed over it:
the rename is the one moment at which the new state replaces the old. Nothing in it can run code when read.
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

FORMAT = 1

State = dict[str, Tensor | int | float | str]
"""Flat name -> tensor or JSON scalar."""

_HEADER = re.compile(rb"naslab snapshot (\d{1,9}) ([0-9a-f]{64}) (\d{1,12})\n")
_LONGEST_HEADER = 128


@default_torch_state()
def write(path: str | os.PathLike[str], state: Mapping[str, Tensor | int | float | str]) -> None:
    """Put the state at `path`, in place of what was there. On any error, what was there stays.

    Raises `OSError` when the disk is full or out of reach, `SpecError` for a value that is neither a tensor, a
    number nor a string.
    """
    write_bytes(path, *_parts(state))


@default_torch_state()
def read(path: str | os.PathLike[str], *, most: int = files.LARGEST, links: bool = True) -> State:
    """The state that `write` put there, its tensors on the CPU.

    Args:
        path: of the file.
        most: bytes that it may have.
        links: whether it may be a link to one: not in a folder that may be a stranger's.

    Raises:
        SnapshotDamaged: it is not exactly what was written.
        FileNotFoundError: there is nothing.
    """
    path = Path(path)
    try:
        with files.opened(path, most, links=links) as file:
            data = file.read(_LONGEST_HEADER)
            header = _HEADER.match(data)
            if header is not None:  # or it may be anything, and long
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
    """Hex checksum of a state: equal for states that are equal bit for bit."""
    _, plain, tensors = _parts(state)
    return _checksum(plain, tensors)


def write_bytes(path: str | os.PathLike[str], *parts: bytes) -> None:
    """Put the parts, one after the other, at `path`: all of them, durably, or none."""
    path = Path(path)
    # In the same folder, so that the rename is atomic; its own, as another process may be writing the same.
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        files.remove(beside)  # left by a process of that number, or put there by a stranger: a link, say
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(file, rest) :]
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)  # half a file would only take the space that is missing
        raise
    sync_folder(path.parent)


@contextmanager
def disk(what: str) -> Iterator[None]:
    """Wraps the handling of naslab's own files: an error of the disk becomes `RunPaused`."""
    try:
        yield
    except OSError as error:
        raise RunPaused(
            f"{what} failed: {error}. No candidate is to blame, and nothing is lost: make room (or repair the disk) "
            "and call next again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk: a rename is durable only after this."""
    if os.name == "nt":  # Windows opens no folders, and writes names through
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _parts(state: Mapping[str, Tensor | int | float | str]) -> tuple[bytes, bytes, bytes]:
    """Header, JSON and safetensors: what stands in the file."""
    plain: dict[str, int | float | str] = {}
    tensors: dict[str, Tensor] = {}
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise SpecError(f"a snapshot holds tensors, numbers and strings by name, in a dictionary; not {state!r:.100}")
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        elif isinstance(value, int | float | str):
            plain[name] = value
        else:
            raise SpecError(
                f"a snapshot holds tensors, numbers and strings; {name!r} is {value!r} ({type(value).__name__})"
            )
    text = json.dumps(plain, sort_keys=True).encode()
    body = save_tensors({name: tensors[name] for name in sorted(tensors)})
    header = f"naslab snapshot {FORMAT} {_checksum(text, body)} {len(text)}\n"
    return header.encode(), text, body


def _checksum(plain: bytes, tensors: bytes) -> str:
    whole = blake2b(f"{FORMAT} {len(plain)}\n".encode(), digest_size=32)
    whole.update(plain)
    whole.update(tensors)
    return whole.hexdigest()
