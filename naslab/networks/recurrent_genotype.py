"""The published notation for recurrent DARTS cells: for each node, a function and the state that it reads.

    Genotype(recurrent=[('relu', 0), ('relu', 1), ('tanh', 2), ...], concat=range(1, 9))

State 0 is s_0, which reads the input and the last output; state i is node i. The output is the mean of the states in
`concat` (https://github.com/quark0/darts, rnn/genotypes.py).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError, unknown, whole
from naslab.networks import genotype_text
from naslab.networks.genotype_text import MAX_NODES
from naslab.operations.recurrent_wiring import ACTIVATIONS, Wiring

FORM = "Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))"
FIELDS = ("recurrent", "concat")
ARC_FUNCTIONS = ("tanh", "relu", "sigmoid", "identity")
"""Functions of an arc of ENAS by number, in its corrected code (google-research/enas_lm)."""


@dataclass(frozen=True, repr=False)
class RecurrentGenotype:
    """A recurrent cell. `str` returns the published text, and `RecurrentGenotype.parse` reads it."""

    recurrent: tuple[tuple[str, int], ...]
    """(function, number of the state that it reads) of nodes 1, 2, ..."""
    concat: tuple[int, ...]
    """Numbers of the states whose mean is the output."""

    def __post_init__(self) -> None:
        entries, concat = _listed("recurrent", self.recurrent), _listed("concat", self.concat)
        if not 1 <= len(entries) <= MAX_NODES:
            raise SpecError(f"recurrent must have 1 to {MAX_NODES} nodes, not {len(entries)}")
        nodes = tuple(_node(number, entry) for number, entry in enumerate(entries, start=1))
        output = tuple(_state("concat", state, len(nodes)) for state in concat)
        if not output or len(set(output)) < len(output):
            raise SpecError(f"concat must name different states of 0 to {len(nodes)}, not {list(output)}")
        object.__setattr__(self, "recurrent", nodes)
        object.__setattr__(self, "concat", output)

    def __repr__(self) -> str:
        first, end = self.concat[0], self.concat[-1] + 1
        in_a_row = self.concat == tuple(range(first, end))
        concat = f"range({first}, {end})" if in_a_row else str(list(self.concat))
        return f"Genotype(recurrent={list(self.recurrent)}, concat={concat})"

    @classmethod
    def parse(cls, given: Any, *, which: str | int | None = None) -> RecurrentGenotype:
        """Returns a genotype read from any form in which it is published or logged: text, the namedtuple of the
        authors' code or any object with its fields, or a dict. Text is never evaluated as code.

        Args:
            given: for instance "DARTS_V2 = Genotype(recurrent=[('sigmoid', 0), ...], concat=range(1, 9))".
            which: selects one of several genotypes in a text by its name, "DARTS_V2", or its number (-1 is the last).

        Raises:
            SpecError: it is not a recurrent genotype; no other error is raised.
        """
        if isinstance(given, RecurrentGenotype):
            return given
        try:
            record = genotype_text.read(given, which) if isinstance(given, str) else genotype_text.fields_of(given)
        except SpecError as error:  # its message quotes the form of image cells, which is replaced here
            told = (
                str(error).replace(genotype_text.FORM, FORM).replace(", ".join(genotype_text.FIELDS), ", ".join(FIELDS))
            )
            raise SpecError(told) from None
        if "recurrent" not in record and "normal" in record:
            raise SpecError(f"this is an image cell (normal and reduce); a recurrent cell is written {FORM}")
        for key in record:
            if key not in FIELDS:
                raise SpecError(unknown("key of a recurrent genotype", key, FIELDS))
        if missing := [key for key in FIELDS if key not in record]:
            raise SpecError(f"the genotype lacks {', '.join(missing)}; expected {FORM}")
        return cls(record["recurrent"], record["concat"])

    @classmethod
    def from_arc(cls, arc: str | Sequence[int], *, functions: Sequence[str] = ARC_FUNCTIONS) -> RecurrentGenotype:
        """Returns the cell of an arc, as the corrected code of ENAS writes one: for each node the state that it reads
        and the number of its function, "0 2 1 0 ..."; the output is the mean of all nodes.

        Args:
            arc: the numbers, in a row or as text.
            functions: names of the functions by number; the code whose results its authors withdrew has another order,
                ("tanh", "relu", "identity", "sigmoid").

        Raises:
            SpecError: it is no arc.
        """
        given = arc.split() if isinstance(arc, str) else list(arc)
        try:
            numbers = [int(number) if isinstance(number, str) else operator.index(number) for number in given]
        except (TypeError, ValueError):
            numbers = []
        if not numbers or len(numbers) % 2:
            raise SpecError(
                f"an arc has two whole numbers a node, the state that it reads and its function, not {arc!r:.100}"
            )
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if wrong := [function for _, function in pairs if not 0 <= function < len(functions)]:
            raise SpecError(f"the functions of an arc have the numbers 0 to {len(functions) - 1}, not {wrong[0]}")
        return cls(tuple((functions[function], source) for source, function in pairs), tuple(range(1, len(pairs) + 1)))

    @property
    def wiring(self) -> Wiring:
        """The same cell in the form that `naslab.operations.recurrent` computes."""
        return Wiring(
            sources=tuple((source,) for _, source in self.recurrent),
            used=tuple((tuple(name == function for name in ACTIVATIONS),) for function, _ in self.recurrent),
            output=self.concat,
        )


def _listed(what: str, given: Any) -> list[Any]:
    """Returns the elements of a list, a tuple, a range or an array. Raises `SpecError` for anything else."""
    if hasattr(given, "tolist") and getattr(given, "ndim", 0):
        given = given.tolist()
    if not isinstance(given, list | tuple | range) or len(given) > MAX_NODES + 1:
        raise SpecError(f"{what} must be a list of at most {MAX_NODES + 1}, not {given!r:.80}; expected {FORM}")
    return list(given)


def _node(number: int, entry: Any) -> tuple[str, int]:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise SpecError(f"node {number} must be a pair (function, state), not {entry!r:.80}; expected {FORM}")
    function, source = entry
    if not isinstance(function, str) or function not in ACTIVATIONS:
        raise SpecError(f"node {number}: {unknown('function', function, ACTIVATIONS)}")
    return str(function), _state(f"node {number}: the state that it reads", source, number - 1)


def _state(what: str, value: Any, last: int) -> int:
    try:
        number = whole(what, value)
    except SpecError:
        number = -1
    if not 0 <= number <= last:
        raise SpecError(f"{what} must be a whole number from 0 to {last}, not {value!r:.80}")
    return number


def _cell(functions: str, sources: Iterable[int], concat: Iterable[int]) -> RecurrentGenotype:
    return RecurrentGenotype(tuple(zip(functions.split(), sources, strict=True)), tuple(concat))


RECURRENT_V1 = _cell("relu relu tanh relu relu identity relu relu", (0, 1, 2, 3, 4, 1, 5, 1), range(1, 9))
"""Found by first-order DARTS on Penn Treebank, there called DARTS_V1 (Liu et al. 2019)."""
RECURRENT_V2 = _cell("sigmoid relu relu identity tanh sigmoid tanh relu", (0, 1, 1, 1, 2, 5, 3, 5), range(1, 9))
"""Found by second-order DARTS on Penn Treebank, there called DARTS_V2 (Liu et al. 2019)."""
RECURRENT_ENAS = _cell(
    "tanh tanh relu tanh tanh relu relu relu relu relu relu", (0, 1, 1, 3, 3, 3, 4, 7, 8, 8, 8), (2, 5, 6, 9, 10, 11)
)
"""The cell of ENAS (Pham et al. 2018) as the authors of DARTS write it; its output is the mean of the nodes that no
other reads."""
RECURRENT_ENAS_CORRECTED = RecurrentGenotype.from_arc("0 2 1 0 2 1 2 2 4 0 5 0 3 2 6 2")
"""The cell that the corrected code of ENAS found on Penn Treebank (google-research/enas_lm)."""
