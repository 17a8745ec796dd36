"""What `run.json` says, and may say. Anybody can write one, with the right checksum; so it is checked before use.

Here is checked what is the same for every run: that it is no longer, deeper or larger than a run of any use could be,
and of the right kinds. What a space, a task, an estimator or a searcher makes of its own part, each of them checks
(`naslab.registry.described`).
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
"""Of what is written. Format 1 had no `metrics`, and nothing of what is `shown`."""
READ = (1, 2)
"""Formats of what is read."""
LONGEST_ABOUT = 2**26
"""Bytes of `run.json`, at most."""
DEEPEST = 32
"""Objects and lists within each other."""
MOST = 2**22
"""Items in all."""
LARGEST = 2**130
"""Whole numbers: seeds may have 128 bits."""
LONGEST = 2**20
"""Characters of a text."""

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
    """What `run.json` says, checked.

    Args:
        path: of the run.
        begin: what makes one, for who finds none.
    """
    file = path / "run.json"
    try:
        about = parsed(files.read(file, LONGEST_ABOUT))
        told, version = about.pop("blake2b"), about["format"]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise RunError(f"{file} cannot be read: {error.strerror}; nothing was changed") from error
        known = f"; runs beside it: {', '.join(beside)}" if (beside := _runs_beside(path)) else ""
        raise RunError(f"there is no run at {path}{known}. Begin one with {begin}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{file} is damaged ({error!s:.200}); restore it from a copy; nothing was changed") from error
    if type(version) is not int or version not in READ:
        raise RunError(
            f"the run at {path} has format {version!r:.50}, this naslab reads formats {' and '.join(map(str, READ))}; "
            f"open it with the version of naslab that wrote it ({_written_by(about)}); it was left as it is"
        )
    if told != checksum(about):
        raise RunError(f"{file} is damaged: its checksum does not match; restore it from a copy; nothing was changed")
    if version == 1 and isinstance(about.get("spec"), Mapping):
        about["metrics"] = _metrics_of_format_1(about["spec"])
        about["shown"] = (IMAGES if not about["spec"].keys() & {"estimator", "race"} else Shown()).to_json()
    check_about(about, str(file))
    return about


def sealed(about: Mapping[str, Any]) -> bytes:
    """What is written of it."""
    return json.dumps({**about, "blake2b": checksum(about)}, indent=1).encode()


def checksum(about: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=32).hexdigest()


def metrics_of(about: Mapping[str, Any]) -> dict[str, Quantity]:
    """What is known of the numbers in the events, by name, in the order in which they are shown."""
    return {name: Quantity.from_json(told) for name, told in about["metrics"].items()}


def shown_of(about: Mapping[str, Any]) -> Shown:
    """What of the task stands beside the numbers."""
    return Shown.from_json(about.get("shown", {}))


def _metrics_of_format_1(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of runs that said nothing of it: all were of images, or of a fitness."""
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
    """The JSON, if reading it cannot take much memory; else `ValueError`."""
    if content.count(b",") + content.count(b"[") + content.count(b"{") > MOST:
        raise ValueError(f"it has more than {MOST} items")
    return json.loads(content)


def check_about(about: Mapping[str, Any], where: str) -> None:
    """`RunError` unless that is what a run can say of itself.

    Args:
        about: what stands in `run.json`, without its checksum.
        where: the file, for messages.
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
        for name, told in about["metrics"].items():
            _check_metric(name, told)
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


def _check_metric(name: str, told: Any) -> None:
    if not isinstance(told, Mapping) or not told.keys() <= {"direction", "unit"}:
        raise ValueError(f"of the metric {name!r:.50} it says {told!r:.50}")
    try:
        Quantity.from_json(told)
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
    told: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]], what: str, *, required: bool
) -> None:
    for name, kind in kinds.items():
        if name not in told:
            if required:
                raise ValueError(f"{what} says nothing of {name!r}")
        elif not isinstance(told[name], kind) or isinstance(told[name], bool):
            raise ValueError(f"{name!r} is {told[name]!r:.50}")


def _check_sizes(told: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"objects lie in each other more than {DEEPEST} deep")
    if isinstance(told, str):
        if len(told) > LONGEST:
            raise ValueError(f"a text has {len(told)} characters")
    elif isinstance(told, int):
        if abs(told) >= LARGEST:
            raise ValueError(f"a number has {int(math.log10(abs(told))) + 1} digits")
    elif isinstance(told, Mapping):
        for name, value in told.items():
            _check_sizes(name, depth)
            _check_sizes(value, depth + 1)
    elif isinstance(told, list):
        for value in told:
            _check_sizes(value, depth + 1)
