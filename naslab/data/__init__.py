"""Small data files that come with naslab, each with a sidecar that documents its source.

`nasbench201.csv.gz` has the sidecar `nasbench201.json`: a JSON object with the keys `source`, `licence`,
`sha256` and `citation`. The texts of the licences are in `licences/`.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from naslab.errors import DataError, unknown

HERE = Path(__file__).parent
SIDECAR_KEYS = frozenset({"source", "licence", "sha256", "citation"})


def names() -> list[str]:
    """Returns the names of all bundled files."""
    sidecars = {path.stem for path in HERE.glob("*.json")}
    return sorted(p.name for p in HERE.iterdir() if p.suffix not in {".json", ".py"} and _stem(p.name) in sidecars)


def path(name: str) -> Path:
    """Returns the path of the bundled file `name`, for instance `"nasbench201.csv.gz"`."""
    if name not in names():
        raise DataError(unknown("bundled data", name, names()))
    return HERE / name


def sidecar(name: str) -> dict[str, str]:
    """Returns source, licence, sha256 and citation of a bundled file."""
    record = json.loads((HERE / f"{_stem(path(name).name)}.json").read_text(encoding="utf-8"))
    if missing := SIDECAR_KEYS - record.keys():
        raise DataError(f"the sidecar of {name!r} lacks {', '.join(sorted(missing))}")
    return record


@cache
def verify(name: str) -> Path:
    """Returns the path of a bundled file after checking its SHA-256 against the sidecar; `DataError` if they differ.

    Each file is checked only once per process.
    """
    expected, came = sidecar(name)["sha256"], hashlib.sha256(path(name).read_bytes()).hexdigest()
    if came != expected:
        raise DataError(
            f"{path(name)} is damaged: its SHA-256 is {came}, its sidecar says {expected}; install naslab again"
        )
    return path(name)


def read(name: str) -> bytes:
    """Returns the verified bytes of a bundled file."""
    return verify(name).read_bytes()


def _stem(name: str) -> str:
    return name.partition(".")[0]
