"""Reading, checking and writing `run.json`, the description of a run.

A run folder may come from a stranger, and a checksum only guards against accidents: anyone can compute the right one.
So the content is checked before it is used. This module checks what all runs have in common: length, nesting depth,
number of items and the JSON types of the top-level keys. The parts that describe a space, a task, an estimator or a
searcher are checked by these classes when they are rebuilt (`naslab.registry.described`).
"""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from naslab import files
from naslab.errors import RunError, SpecError
from naslab.quantities import Quantity
from naslab.runs.shown import IMAGES, Shown

FORMAT = 2
"""Format that is written. Format 1 had neither `metrics` nor `shown`."""
READ = (1, 2)
"""Formats that can be read."""
LONGEST_ABOUT = 2**26
"""Largest size of `run.json`, in bytes."""
DEEPEST = 32
"""Largest nesting depth of objects and lists."""
MOST = 2**22
"""Largest number of JSON items."""
LARGEST = 2**130
"""Bound on the absolute value of an integer; seeds may have 128 bits."""
LONGEST = 2**20
"""Largest number of characters of a string."""

# Key -> the JSON types that its value may have: of `run.json`, of its "spec", and of the "race" in that.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "run": str,
    "spec": dict,
    "total": int,
    "task": str,
    "every": int,
    "metrics": dict,
    "environment": dict,
    "parent": (dict, type(None)),
}
_SPEC_KINDS: dict[str, type | tuple[type, ...]] = {
    "searcher": str,
    "hyperparameters": dict,
    "estimator": dict,
    "objectives": list,
    "budget": int,
    "workers": int,
    "ranking": dict,
    "race": dict,
}
_RACE_KINDS: dict[str, type | tuple[type, ...]] = {
    "searchers": dict,
    "estimator": (dict, type(None)),
    "seeds": list,
    "budget": (int, float),
    "cost": str,
    "truth": (dict, type(None)),
}


def read_about(path: Path, begin: str = "Search(searcher, run=...)") -> dict[str, Any]:
    """Returns the checked content of `run.json`, without its checksum and in the terms of the current format.

    Args:
        path: the run folder.
        begin: the call that makes such a run, for the error if there is none.

    Raises:
        RunError: there is no run, its description is damaged or makes no sense, or it has another format.
    """
    file = path / "run.json"
    try:
        about = parsed(files.read(file, LONGEST_ABOUT))
        # The checksum covers everything but itself.
        recorded, version = about.pop("blake2b"), about["format"]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise RunError(f"{file} cannot be read: {error.strerror}; nothing was changed") from error
        known = f"; runs beside it: {', '.join(beside)}" if (beside := _runs_beside(path)) else ""
        raise RunError(f"there is no run at {path}{known}. Begin one with {begin}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{file} is damaged ({error!s:.200}); restore it from a copy; nothing was changed") from error
    # The format is compared before the checksum: a later version may compute that in another way.
    if type(version) is not int or version not in READ:
        raise RunError(
            f"the run at {path} has format {version!r:.50}, this naslab reads formats {' and '.join(map(str, READ))}; "
            f"open it with the version of naslab that wrote it ({_written_by(about)}); it was left as it is"
        )
    if recorded != checksum(about):
        raise RunError(f"{file} is damaged: its checksum does not match; restore it from a copy; nothing was changed")
    if version == 1 and isinstance(about.get("spec"), Mapping):
        about["metrics"] = _metrics_of_format_1(about["spec"])
        about["shown"] = (IMAGES if not about["spec"].keys() & {"estimator", "race"} else Shown()).to_json()
    check_about(about, str(file))
    return about


def sealed(about: Mapping[str, Any]) -> bytes:
    """Returns the bytes of `run.json`: the description with its checksum."""
    return json.dumps({**about, "blake2b": checksum(about)}, indent=1).encode()


def checksum(about: Mapping[str, Any]) -> str:
    """Returns the BLAKE2b checksum of a description, which does not depend on the order of its keys."""
    return blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=32).hexdigest()


def metrics_of(about: Mapping[str, Any]) -> dict[str, Quantity]:
    """Returns name -> direction and unit of the metrics in the events, in the order in which they are displayed."""
    return {name: Quantity.from_json(given) for name, given in about["metrics"].items()}


def shown_of(about: Mapping[str, Any]) -> Shown:
    """Returns what the task says to be displayed beside the metrics."""
    return Shown.from_json(about.get("shown", {}))


def _metrics_of_format_1(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the metrics of a run of format 1, which lists none: those of image classification, or a fitness."""
    nats, share = Quantity("min", "nats"), Quantity("max", "%")
    trained = {
        "train/loss": nats,
        "valid/loss": nats,
        "train/accuracy": share,
        "valid/accuracy": share,
        "entropy": Quantity(None, "nats"),
        "discretisation_gap": Quantity(None, "nats"),
        "count/skip_connect": Quantity(),
        "fitness": share,
    }
    found = {"fitness": Quantity("max")} if "estimator" in spec or "race" in spec else trained
    return {name: quantity.to_json() for name, quantity in found.items()}


def _written_by(about: Mapping[str, Any]) -> str:
    wrote = about.get("environment")
    return f"{wrote.get('naslab', 'unknown')!s:.20}" if isinstance(wrote, Mapping) else "unknown"


def _runs_beside(path: Path) -> list[str]:
    with suppress(OSError):
        return sorted(str(found.parent) for found in path.parent.glob("*/run.json"))[:5]
    return []


def parsed(content: bytes) -> Any:
    """Returns the parsed JSON; `ValueError` if it is invalid or has more than `MOST` items."""
    # Counted before parsing: a short file of "[[],[],..." becomes Python objects of a hundred times its size.
    if content.count(b",") + content.count(b"[") + content.count(b"{") > MOST:
        raise ValueError(f"it has more than {MOST} items")
    return json.loads(content)


def check_about(about: Mapping[str, Any], where: str) -> None:
    """Raises `RunError` unless the description is one that naslab could have written.

    Args:
        about: content of `run.json`, without its checksum.
        where: path of the file, for the error.
    """
    try:
        _check_sizes(about, 0)
        _check_kinds(about, _KINDS, "it", required=True)
        _check_kinds(about["spec"], _SPEC_KINDS, "its spec", required=False)
        if not ("searcher" in about["spec"] or "race" in about["spec"]):
            raise ValueError("its spec has neither 'searcher' nor 'race'")
        if "race" in about["spec"]:
            _check_race(about["spec"]["race"])
        if about["every"] < 1 or about["total"] < 0:
            raise ValueError("'every' must be at least 1, and 'total' at least 0")
        if any(not isinstance(value, str | int | float | None) for value in about["environment"].values()):
            raise ValueError("its environment holds more than numbers and texts")
        for name, given in about["metrics"].items():
            _check_metric(name, given)
        _check_kinds(about, {"shown": dict}, "it", required=False)
        _check_shown(about)
        if about["parent"] is not None:
            _check_kinds(
                about["parent"], {"path": (str, type(None)), "step": int, "run": str}, "parent", required=False
            )
    except ValueError as error:
        raise RunError(
            f"{where} does not make sense, although its checksum is right: {error}. It is not as naslab writes it, and "
            "was left as it is"
        ) from None


def _check_metric(name: str, given: Any) -> None:
    if not isinstance(given, Mapping) or not given.keys() <= {"direction", "unit"}:
        raise ValueError(f"of the metric {name!r:.50} it says {given!r:.50}")
    try:
        Quantity.from_json(given)
    except SpecError as error:
        raise ValueError(f"of the metric {name!r:.50}: {error!s:.200}") from None


def _check_shown(about: Mapping[str, Any]) -> None:
    try:
        shown_of(about)
    except SpecError as error:
        raise ValueError(f"what is shown of its task: {error!s:.200}") from None


def _check_race(race: Mapping[str, Any]) -> None:
    _check_kinds(race, _RACE_KINDS, "the race", required=True)
    if not all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in race["seeds"]):
        raise ValueError("the seeds of a race are whole numbers from 0 up")
    for name, described in race["searchers"].items():
        if not isinstance(described, list) or not all(isinstance(one, dict) for one in described):
            raise ValueError(f"searcher {name!r:.50} of the race is no list of objects")
        if len(described) != len(race["seeds"]):
            raise ValueError(
                f"searcher {name!r:.50} of the race has {len(described)} runners for {len(race['seeds'])} seeds"
            )


def _check_kinds(
    given: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], what: str, *, required: bool
) -> None:
    for name, kind in kinds.items():
        if name not in given:
            if required:
                raise ValueError(f"{what} says nothing of {name!r}")
        elif not isinstance(given[name], kind) or isinstance(given[name], bool):
            raise ValueError(f"{name!r} is {given[name]!r:.50}")


def _check_sizes(given: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"objects lie in each other more than {DEEPEST} deep")
    if isinstance(given, str):
        if len(given) > LONGEST:
            raise ValueError(f"a text has {len(given)} characters")
    elif isinstance(given, int):
        if abs(given) >= LARGEST:
            raise ValueError(f"a number has {int(math.log10(abs(given))) + 1} digits")
    elif isinstance(given, Mapping):
        for name, value in given.items():
            _check_sizes(name, depth)
            _check_sizes(value, depth + 1)
    elif isinstance(given, list):
        for value in given:
            _check_sizes(value, depth + 1)
