"""Folders of pictures: the splits, classes and pictures are found first, then all pictures are read.

Accepted layouts: `cats/1.png, dogs/7.jpg`; the same inside folders `train` and `val` or `test`; and either of them
inside one more folder, as archives unpack. Hidden files and files made by operating systems are skipped and counted.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from naslab.errors import DataError, listed, whole
from naslab.paths import is_folder, path_of
from naslab.tasks import pictures
from naslab.tasks.arrays import check_memory

ROLES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names, in any case, of folders that hold a split rather than a class; a word of `FILLERS` may be added."""
FILLERS = ("set", "data", "images")
LITTER = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__")
"""Folders made by operating systems, in lower case. Those that begin with a dot are skipped anyway."""
NAMED = 10
"""Maximum number of unreadable pictures named in an error."""
DEEP = 50
"""Maximum depth of nested folders."""
MOST_OTHERS = 20_000
"""Number of entries other than pictures after which the search of a folder gives up."""
SHARE = 10
"""Further entries other than pictures allowed for each picture found."""
LAYOUT = "expected one folder of pictures a class"


@dataclass(frozen=True)
class Part:
    """Pictures of the training, validation or test set."""

    path: Path
    classes: tuple[str, ...]
    pictures: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """Splits found in a folder, and the entries that were skipped."""

    parts: dict[str, Part]
    """"train" always; "validation" and "test" if there are such folders."""
    left_out: tuple[str, ...]
    """Skipped files and folders, relative to the folder."""


@dataclass
class _Node:
    """A visited folder: names of its pictures, and its subfolders by name."""

    path: Path
    pictures: list[str] = field(default_factory=list)
    folders: dict[str, _Node] = field(default_factory=dict)

    @property
    def holds_pictures(self) -> bool:
        return bool(self.pictures) or any(node.holds_pictures for node in self.folders.values())

    @property
    def parted(self) -> bool:
        """True if it holds folders of pictures, and no pictures itself."""
        return not self.pictures and any(node.holds_pictures for node in self.folders.values())

    def every_picture(self) -> list[str]:
        """Returns the paths of all pictures in it, at any depth, sorted by folder and name."""
        found = [(str(self.path), name) for name in self.pictures]
        pending = list(self.folders.values())
        while pending:
            node = pending.pop()
            found += [(str(node.path), name) for name in node.pictures]
            pending += node.folders.values()
        return [os.path.join(folder, name) for folder, name in sorted(found)]


def look(path: str | os.PathLike[str]) -> Found:
    """Returns the splits, classes and pictures of a folder.

    Raises:
        DataError: the folder cannot be read, or its layout is none of the accepted ones.
    """
    folder = path_of("the folder of pictures", path, error=DataError)
    if not is_folder(folder):
        if os.path.isfile(folder):
            raise DataError(
                f"{folder} is a file; unpack it, and give the folder that holds one folder of pictures a class"
            )
        raise DataError(
            f"there is no folder {folder} that can be looked at; give the one that holds one folder of pictures a class"
        )
    left_out: list[str] = []
    top = _unwrapped(_walk(folder, folder, (), left_out, Counter()))
    roles: dict[str, list[_Node]] = {role: [] for role in ROLES}
    for name, node in top.folders.items():
        role = _role(name)
        if role is not None and node.holds_pictures:
            roles[role].append(node)
    present = {role: nodes[0] for role, nodes in roles.items() if nodes}
    # A folder "train" alone may be a class; together with "val" or "test" it is a split.
    if "train" in present and len(present) > 1:
        for role, nodes in roles.items():
            if len(nodes) > 1:
                both = " and ".join(node.path.name for node in nodes)
                raise DataError(f"{top.path} has {both}, and both may be the {role} set; rename or remove one of them")
        left_out += _relative(folder, [node for node in top.folders.values() if node not in present.values()])
        left_out += [os.path.relpath(top.path / name, folder) for name in top.pictures]
        parts = {role: _part(_unwrapped(node), folder, left_out) for role, node in present.items()}
    else:
        _check_no_part(top, present)
        parts = {"train": _part(top, folder, left_out)}
    first = parts["train"]
    for part in parts.values():
        if part.classes != first.classes:
            raise DataError(
                f"{first.path} and {part.path} must hold the same classes; "
                f"only one has {sorted(set(part.classes) ^ set(first.classes))}"
            )
    return Found(parts, tuple(left_out))


def _role(name: str) -> str | None:
    """Returns the split that a folder name stands for, or None: `Training_Set` is "train", `test tubes` is None."""
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word not in FILLERS]
    return next((role for role, names in ROLES.items() if len(words) == 1 and words[0] in names), None)


def _walk(path: Path, top: Path, above: tuple[str, ...], left_out: list[str], seen: Counter[str]) -> _Node:
    """Returns the tree below a folder, without hidden entries and `LITTER`. Links are followed, except into a cycle.

    Args:
        path: the folder.
        top: where the walk began; `left_out` gets paths relative to it.
        above: real paths of the folders that contain this one.
        left_out: gets the skipped entries.
        seen: counts of "pictures" and "other" entries, so that a walk through a whole disk ends early.
    """
    if len(above) > DEEP:
        raise DataError(f"folders are nested more than {DEEP} deep in {top}; give a folder nearer to the pictures")
    node = _Node(path)
    real = os.path.realpath(path)
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"the folder {path} cannot be read: {error.strerror or error}") from error
    for entry in entries:
        hidden = entry.name.startswith(".")
        if entry.is_dir():
            circle = os.path.realpath(entry.path) in (*above, real)
            if hidden or circle or entry.name.lower() in LITTER:
                left_out.append(os.path.relpath(entry.path, top) + os.sep)
            else:
                node.folders[entry.name] = _walk(Path(entry.path), top, (*above, real), left_out, seen)
                seen["other"] += 1
        elif hidden or not entry.name.lower().endswith(pictures.SUFFIXES) or not _regular(entry):
            left_out.append(os.path.relpath(entry.path, top))
        else:
            node.pictures.append(entry.name)
    seen["pictures"] += len(node.pictures)
    seen["other"] += len(entries) - len(node.pictures) - len(node.folders)
    if seen["other"] > MOST_OTHERS + SHARE * seen["pictures"]:
        raise DataError(
            f"{top} is no folder of pictures: the walk ended after {seen['other']} other files and folders, with "
            f"{seen['pictures']} pictures so far; give the folder that holds one folder of pictures a class"
        )
    return node


def _regular(entry: os.DirEntry[str]) -> bool:
    """True for a regular file; False for a pipe or device, from which a read could block.

    A dangling link counts as a file: reading it later gives the error.
    """
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def _unwrapped(node: _Node) -> _Node:
    """Descends while a folder holds nothing but one folder of folders, and returns the innermost one."""
    while not node.pictures and len(node.folders) == 1:
        inside = next(iter(node.folders.values()))
        if not inside.parted:
            break
        node = inside
    return node


def _check_no_part(top: _Node, present: dict[str, _Node]) -> None:
    """Raises `DataError` unless the folders of `top` are classes, though some may have names of splits."""
    if not any(node.parted for node in present.values()) and (not present or len(present) < len(top.folders)):
        return
    if "train" not in present:
        names = " and ".join(node.path.name for node in present.values())
        raise DataError(f"{top.path} has {names}, but no folder train; add one, with one folder of pictures a class")
    raise DataError(
        f"{LAYOUT} in {top.path}, and found {present['train'].path.name} without a val or test beside it; give "
        f"{str(present['train'].path)!r} itself if the folders in there are the classes, or rename it if it is a class"
    )


def _part(node: _Node, top: Path, left_out: list[str]) -> Part:
    if not node.folders:
        beside = f"{len(node.pictures)} pictures, but no folders" if node.pictures else "no pictures"
        raise DataError(
            f"{LAYOUT} in {node.path} (cats/1.png, dogs/7.jpg), and found {beside}; move the pictures of each class "
            "into a folder with its name, or give arrays and labels to Images.from_arrays"
        )
    if len(node.folders) == 1:
        raise DataError(
            f"{LAYOUT} in {node.path}, of at least two classes, and found the folder {', '.join(node.folders)} alone"
        )
    every = {name: node.folders[name].every_picture() for name in sorted(node.folders)}
    empty = [name for name, found in every.items() if not found]
    if empty:
        raise DataError(
            f"{LAYOUT} in {node.path}, and found none that can be read ({', '.join(pictures.SUFFIXES)}) in "
            f"{', '.join(empty[:NAMED])}; remove such a folder, or put pictures into it"
        )
    left_out += [os.path.relpath(node.path / name, top) for name in node.pictures]
    return Part(
        node.path,
        tuple(every),
        tuple(path for found in every.values() for path in found),
        tuple(label for label, found in enumerate(every.values()) for _ in found),
    )


def _relative(top: Path, nodes: list[_Node]) -> list[str]:
    return [os.path.relpath(node.path, top) + os.sep for node in nodes]


def some(names: Sequence[str]) -> str:
    """Returns the count and the first three names."""
    shown = ", ".join(printable(name) for name in names[:3])
    return f"{len(names)} ({shown}{', ...' if len(names) > 3 else ''})"


def printable(name: str) -> str:
    """Returns the name with escapes for unprintable characters."""
    return name if name.isprintable() else repr(name)[1:-1]


# --- reading -------------------------------------------------------------------------------------------


def read(parts: dict[str, Part], sides: list[int] | None, grey: bool, progress: bool) -> dict[str, Tensor]:
    """Returns images [N, C, H, W] uint8 of each split; C is 1 or 3.

    Args:
        parts: splits, from `Found`.
        sides: [height, width] to which every picture is resized; None: all pictures must have one size.
        grey: True for one channel instead of three.
        progress: True to show a progress bar.
    """
    # First pass: headers only, so that wrong sizes and lack of memory are reported before anything is decoded.
    paths = [path for part in parts.values() for path in part.pictures]
    bad: dict[str, str] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    for path in tqdm(paths, "looking at pictures", unit="picture", leave=False, disable=not progress, delay=1):
        try:
            sizes[pictures.shown_size(path)] += 1
        except Exception as error:  # PIL raises many types for damaged files
            bad[path] = _reason(error)
    height, width = _common_size(sizes, bad, sides)
    shape = (1 if grey else 3, height, width)
    check_memory(len(paths), shape)
    images = torch.empty((len(paths), *shape), dtype=torch.uint8)
    for number, path in enumerate(
        tqdm(paths, "reading pictures", unit="picture", leave=False, disable=not progress, delay=1)
    ):
        if path in bad:
            continue
        try:
            images[number] = _fitted(path, sides, grey)
        except Exception as error:
            bad[path] = _reason(error)
    if bad:
        _refuse(bad, len(paths))
    counts = [len(part.pictures) for part in parts.values()]
    return dict(zip(parts, images.split(counts), strict=True))


def _fitted(path: str, sides: list[int] | None, grey: bool) -> Tensor:
    from PIL import Image

    picture = pictures.colours(path)
    if grey:
        picture = picture.convert("L")
    if sides is not None:
        picture = picture.resize((sides[1], sides[0]), Image.Resampling.BILINEAR)
    return pictures.pixels(picture)


def _common_size(sizes: Counter[tuple[int, int]], bad: dict[str, str], sides: list[int] | None) -> tuple[int, int]:
    """Returns (H, W) of all pictures; `DataError` if they differ and no size is given."""
    if sides is not None:
        return sides[0], sides[1]
    if not sizes:  # no picture is readable: any size will do, as `read` raises for them all
        return 1, 1
    if len(sizes) > 1 and not bad:
        often = ", ".join(f"{h} x {w} ({count})" for (h, w), count in sizes.most_common(3))
        raise DataError(
            f"all images must be alike, and these {sizes.total()} pictures have {len(sizes)} sizes (height x width), "
            f"most often {often}; give size=..., for instance size=32"
        )
    return sizes.most_common(1)[0][0]


def _reason(error: Exception) -> str:
    """Returns the reason that a picture cannot be read, without its path."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file, or a link leads nowhere"
    if type(error).__name__ == "UnidentifiedImageError":
        return "no picture that can be read"
    if "Decompression" in type(error).__name__:
        return "more pixels than PIL.Image.MAX_IMAGE_PIXELS allows"
    return str(getattr(error, "strerror", None) or error)


def _refuse(bad: dict[str, str], count: int) -> None:
    lines = [f"{printable(path)} ({printable(reason)})" for path, reason in list(bad.items())[:NAMED]]
    more = f", and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    raise DataError(
        f"{len(bad)} of {count} pictures cannot be read: {', '.join(lines)}{more}; repair them, or take them out "
        "of the folder"
    )


def sides(size: int | Sequence[int]) -> list[int]:
    """Returns [height, width] from one side or a pair."""
    pair = list(size) if listed(size) else [size, size]
    try:
        height, width = (whole("size", side, 1, error=DataError) for side in pair)
        return [height, width]
    except ValueError:  # a wrong number of sides, or `DataError`, which is a ValueError
        raise DataError(f"size is a side in pixels or a pair (height, width), not {size!r}") from None
