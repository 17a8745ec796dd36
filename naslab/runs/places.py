"""Paths of run folders, and the file systems that they are on."""

from __future__ import annotations

import os
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

from naslab.errors import RunError
from naslab.paths import path_of, resolved

NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
}


def located(run: str | os.PathLike[str]) -> Path:
    """Returns the absolute path of a run, with `~` expanded; a later change of the working directory has no effect."""
    return _path(run).absolute()


def fresh(base: str | os.PathLike[str]) -> Path:
    """Returns the first of `base-1`, `base-2`, ... that does not exist yet."""
    base = _path(base)
    if not base.name:
        raise RunError(f"{str(base)!r} is no name for a run; give one, for instance 'runs/darts'")
    number = 1
    while os.path.lexists(path := base.with_name(f"{base.name}-{number}")):
        number += 1
    return path


def free_space(path: Path) -> str:
    with suppress(OSError):
        return f"{shutil.disk_usage(path).free / 1e6:.1f} MB are free there"
    return "how much is free there is unknown"


def _path(run: str | os.PathLike[str]) -> Path:
    if isinstance(run, str) and not run.strip():
        raise RunError("the path of a run is empty; give one, for instance nl.runs.fresh('runs/darts')")
    return path_of("the folder of a run", run, error=RunError)


def warn_of_network(path: Path) -> bool:
    """Returns True, and warns, if the folder is on a network file system.

    SQLite's write-ahead log does not work there: it needs memory that all processes share.
    """
    kind = file_system(path)
    if kind not in NETWORK_FILE_SYSTEMS and not kind.startswith("fuse."):
        return False
    warnings.warn(
        f"{path} is on a network file system ({kind}): the run is kept there more slowly, and two hosts must not "
        "drive it at once; a local folder is better",
        stacklevel=2,
    )
    return True


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Returns the type of the file system that holds the path, as Linux names it; "" on other systems."""
    if not mounts.exists():
        return ""
    best, kind = "", ""
    place = str(resolved(path))
    for line in mounts.read_text(errors="replace").splitlines():
        _, mount, found, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")  # a space, which the kernel writes in octal
        inside = mount == "/" or place == mount or place.startswith(mount + "/")
        # The longest mount point wins; of equal ones the last, which covers the others.
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind
