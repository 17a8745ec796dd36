"""Where a run is, and what is known of the file system there."""

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
    """Where a run is, whatever the working directory becomes; `~` is the home folder."""
    return _path(run).absolute()


def fresh(base: str | os.PathLike[str]) -> Path:
    """The first of `base-1`, `base-2`, ... that does not exist yet."""
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
    """Whether the folder is on a network file system, where SQLite's fast journal does not work."""
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
    """Type of the file system that holds the path, as Linux names it; empty elsewhere."""
    if not mounts.exists():
        return ""
    best, kind = "", ""
    place = str(resolved(path))
    for line in mounts.read_text(errors="replace").splitlines():
        _, mount, found, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = mount == "/" or place == mount or place.startswith(mount + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind
