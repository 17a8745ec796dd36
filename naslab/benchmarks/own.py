"""User-defined benchmark: architectures and their measured metrics, read from a CSV file.

    architecture,test_accuracy,seconds
    "[""nor_conv_3x3"", ""none"", ...]",91.2,120

One column contains the architecture: as text for `space.parse`, if the space has it, or as a JSON list of its choices.
All other columns are numbers. If the file has only some architectures of the space, the table's space is a
`naslab.spaces.Subset` of those, so that searches propose no others.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from naslab import files, spaces
from naslab.architecture import Architecture
from naslab.benchmarks.benchmark import Benchmark, read_only
from naslab.directions import Direction, direction_of, known_direction
from naslab.errors import DataError, SpecError, listed, unknown
from naslab.immutable import FrozenDict, Record
from naslab.paths import path_of
from naslab.spaces.space import Space
from naslab.spaces.subset import Subset

MAX_BYTES = 256 * 2**20
GUESSED_MIN = frozenset(
    {"parameters", "flops", "memory", "latency", "seconds", "energy", "co2", "loss", "perplexity", "error"}
    | {"average_hw_metric"}
)
"""Last words of the names of columns that earlier versions, which had no directions, minimised; all others they
maximised."""
MAX_COLUMNS = 10_000
SEPARATORS = ",;\t"
"""Possible field separators; the most frequent one in the header is used. Spreadsheets write `;` in locales with a
decimal comma."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnTableRecord(Record):
    """Values of one architecture."""

    index: int
    """Row of the architecture, from 0."""
    architecture: Architecture
    figures: Mapping[str, float]
    """Metric -> value."""


class OwnTable(Benchmark):
    """The architectures of a CSV file with a header.

    Args:
        path: path of the file, in UTF-8.
        space: search space of the architectures.
        objective: column that is the default metric.
        direction: "max" or "min" for the objective, or a mapping from columns to directions. If omitted, the
            direction is inferred from the name: accuracy, F1 and the like are maximised; errors, losses and costs
            minimised. A column whose name `naslab.directions` does not know needs an explicit direction before it
            can be searched or ranked by.
        architecture: column that contains the architecture.
        metrics: columns to read; all if omitted.
        sha256: if given, the expected checksum of the file; a run requires the file that it began with.
    """

    name: ClassVar[str] = "own_table"

    def __init__(
        self,
        path: str | Path,
        space: Space | Mapping[str, Any],
        objective: str,
        *,
        architecture: str = "architecture",
        metrics: Sequence[str] | None = None,
        direction: str | Mapping[str, str] | None = None,
        sha256: str | None = None,
    ) -> None:
        self.path, self._column = path_of("a CSV file", path), architecture
        self.objective = objective  # type: ignore[misc]  # each table has its own
        self._whole = spaces.from_spec(dict(space)) if isinstance(space, Mapping) else space
        if not isinstance(self._whole, Space):
            raise SpecError(f"expected the space of the architectures, such as nl.spaces.NASBench201(), got {space!r}")
        content = _read(self.path)
        self._sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in (None, self._sha256):
            raise DataError(
                f"{self.path} is not the file that it was: its SHA-256 was {sha256}, and is {self._sha256}. Put the "
                "old file back, or begin a new run with the new one"
            )
        rows = _rows(content, self.path)
        header = next(rows)[1]
        self._metrics = _chosen(header, architecture, objective, metrics, self.path)
        self.directions = FrozenDict(_directions(direction, objective, self._metrics))
        self.direction()  # raises if it is unknown
        places = {name: header.index(name) for name in self._metrics}
        read, seen = _reader(self._whole), dict[Architecture, int]()
        values: dict[str, list[float]] = {name: [] for name in places}
        for line, row in rows:
            at = f"{self.path}, line {line}"
            if len(row) != len(header):
                raise DataError(f"{at}: expected {len(header)} fields, as in the header, got {len(row)}")
            found = read(row[header.index(architecture)], at)
            if found in seen:
                raise DataError(
                    f"{at}: the architecture stands in line {seen[found]} already; leave one, or the mean of the two"
                )
            seen[found] = line
            for name, place in places.items():
                values[name].append(_number(row[place], name, at))
        if not seen:
            raise DataError(f"{self.path} has a header and nothing below it; expected one line for each architecture")
        choices = tuple(found.choices for found in seen)
        self.space = self._whole if _all(self._whole, len(choices)) else Subset(self._whole, choices)
        super().__init__(choices, {name: read_only(column) for name, column in values.items()}, epochs=0)

    def query(self, architecture: Architecture | int) -> OwnTableRecord:
        """Returns the values of an architecture."""
        index = self.index(architecture)
        figures = {name: float(self.column(name)[index]) for name in self.metrics}
        return OwnTableRecord(index=index, architecture=self.at(index), figures=FrozenDict(figures))

    def direction(self, metric: str | None = None) -> Direction:
        """Returns "max" or "min": as given, or inferred from the column's name. Raises `SpecError` if it is unknown."""
        name = self.objective if metric is None else metric
        if name not in self.directions and known_direction(name) is None and name == self.objective:
            raise SpecError(
                f"whether much or little of {name!r} is wanted cannot be told from its name; say direction='max' or "
                "direction='min'"
            )
        return direction_of(name, self.directions)

    def _known_directions(self) -> dict[str, Direction]:
        """Returns column -> direction, for columns with a known direction."""
        return {
            name: self.direction(name)
            for name in self._metrics
            if name in self.directions or known_direction(name) is not None
        }

    def spec(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "path": str(self.path),
            "space": self._whole.spec(),
            "objective": self.objective,
            "architecture": self._column,
            "metrics": list(self._metrics),
            "direction": self._known_directions(),
            "sha256": self._sha256,
        }

    @property
    def sources(self) -> Sequence[str]:
        return [self._sha256]

    def fingerprint(self) -> str:
        """See `Benchmark.fingerprint`. It does not depend on the path of the file."""
        told = {key: value for key, value in self.spec().items() if key != "path"}
        if all(direction == guessed(name) for name, direction in told["direction"].items()):
            del told["direction"]  # keeps the fingerprint of versions without directions
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def from_csv(path: str | Path, space: Space, objective: str, **options: Any) -> OwnTable:
    """Returns `OwnTable(path, space, objective, **options)`."""
    return OwnTable(path, space, objective, **options)


def as_recorded(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the spec of a table in a run folder. If an earlier version wrote it without directions, they are added as
    that version assumed them.
    """
    found = dict(spec)
    if "direction" not in found and "sha256" in found and isinstance(found.get("metrics"), list):
        found["direction"] = {name: guessed(name) for name in found["metrics"] if isinstance(name, str)}
    return found


def guessed(metric: str) -> Direction:
    """Returns the direction that earlier versions assumed, by the last word of the name before a slash."""
    name = metric.partition("/")[0]
    return "min" if {name, name.rpartition("_")[2]} & GUESSED_MIN else "max"


def _directions(given: Any, objective: str, metrics: Sequence[str]) -> dict[str, Direction]:
    """Returns column -> direction from the argument, checked."""
    if given is None:
        return {}
    directions = {objective: given} if isinstance(given, str) else given
    if not isinstance(directions, Mapping):
        raise SpecError(f"direction is 'max' or 'min', or a mapping from columns to it, not {given!r:.200}")
    for name in directions:
        if name not in metrics:
            raise SpecError(f"direction: {unknown('column', name, metrics)}")
    return {name: direction_of(name, directions) for name in directions}


def _read(path: Path) -> bytes:
    try:
        return files.read(path, MAX_BYTES, links=True)
    except OSError as error:
        where = "" if path.is_absolute() else f" (looked for in {Path.cwd()})"
        raise DataError(f"{path}{where} cannot be read: {error.strerror}; expected a CSV file with a header") from None


def _rows(content: bytes, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the header and the rows, each with the number of its last line; empty lines are skipped."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise DataError(f"{path}, line {line}: not UTF-8; save the table as CSV in UTF-8") from None
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    reader, rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator), 0
    try:
        for row in reader:
            if row:
                rows += 1
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    if not rows:
        raise DataError(f"{path} is empty; expected a header such as architecture,test_accuracy and a line for each")


def _chosen(
    header: Sequence[str], architecture: str, objective: str, metrics: Sequence[str] | None, path: Path
) -> tuple[str, ...]:
    """Returns the columns to read as metrics, after checking the header."""
    at = f"{path}, line 1"
    if len(header) > MAX_COLUMNS:
        raise DataError(f"{at}: {len(header)} columns; a table has {MAX_COLUMNS} at most")
    if twice := sorted(name for name, count in Counter(header).items() if count > 1):
        raise DataError(f"{at}: the column {twice[0]!r} stands there twice; give each a name of its own")
    if metrics is not None and not listed(metrics):
        column = metrics if isinstance(metrics, str) else objective
        raise SpecError(f"metrics are a list of columns, for instance [{column!r}]; not {metrics!r:.200}")
    wanted = [name for name in header if name != architecture] if metrics is None else list(metrics)
    for name in (architecture, objective, *wanted):
        if name not in header:
            raise DataError(f"{at}: {unknown('column', name, header)}")
    if architecture in wanted or objective == architecture:
        raise SpecError(f"{architecture!r} is the column of the architectures, and no metric")
    return tuple(dict.fromkeys([*wanted, objective]))


def _reader(space: Space) -> Callable[[str, str], Architecture]:
    """Returns a function of (text, position in the file) that parses an architecture."""
    parse: Callable[[str], Architecture] | None = getattr(space, "parse", None)

    def read(text: str, at: str) -> Architecture:
        try:
            if parse is not None and not text.lstrip().startswith("["):
                return parse(text)
            choices = json.loads(text)
            if not isinstance(choices, list):
                raise SpecError(f"expected a list of choices, got {text!r:.200}")
            return space.architecture(choices)
        except (SpecError, ValueError, TypeError, RecursionError) as error:
            known = "the text that space.parse reads, or " if parse is not None else ""
            raise DataError(
                f"{at}: {text!r:.100} is no architecture of {space.name!r}: {error}; expected {known}its choices as a "
                "JSON list"
            ) from None

    return read


def _number(text: str, name: str, at: str) -> float:
    bare = text.strip()
    try:
        if "_" in bare or not bare.isascii():  # float() also accepts 1_000, and digits of any script
            raise ValueError
        value = float(bare)
    except ValueError:
        for what, pattern, meant in (
            ("a comma", r"[+-]?\d+,\d+", bare.replace(",", ".")),
            ("an underscore", r"[+-]?\d+(_\d+)+(\.\d+)?", bare.replace("_", "")),
        ):
            if re.fullmatch(pattern, bare, re.ASCII):
                raise DataError(
                    f"{at}: {text!r} in column {name!r} has {what}; write numbers with a decimal point, as {meant}, "
                    "and nothing between thousands"
                ) from None
        what = "nothing" if not bare else f"{text!r:.100}"
        raise DataError(
            f"{at}: expected a number in column {name!r}, got {what}; leave the line out, or the column by "
            "metrics=[...]"
        ) from None
    if not math.isfinite(value):
        raise DataError(f"{at}: {name!r} must be finite, not {text!r:.100}; leave out what failed to train")
    return value


def _all(space: Space, held: int) -> bool:
    """True if the space has exactly `held` architectures. Counting stops early, since spaces may be huge."""
    return sum(1 for _ in itertools.islice(space.enumerate(), held + 1)) == held
