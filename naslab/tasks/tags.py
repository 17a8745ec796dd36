"""Tags of named entities: schemes, spans, and which tag may follow which.

In BIO (also called IOB2) every entity begins with "B-" and its type, and goes on with "I-". In IOB1, the scheme of
CoNLL-2003, it begins with "I-", and with "B-" only right behind another entity of its type (Ramshaw, Marcus, "Text
Chunking using Transformation-Based Learning", 1995, https://arxiv.org/abs/cmp-lg/9505040).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from naslab.errors import DataError, among, unknown

SCHEMES = ("BIO", "IOB1")
OUTSIDE = "O"


class Span(NamedTuple):
    """An entity: the words `start` to `end` - 1 of a sentence."""

    start: int
    end: int
    type: str


def parted(tag: str) -> tuple[str, str]:
    """Returns the prefix and the type of a tag: ("B", "person") for "B-person", ("O", "") for "O".

    Raises:
        DataError: the tag belongs to neither scheme.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    if prefix not in ("B", "I") or not dash or not kind:
        raise DataError(
            f"{tag!r:.100} is no tag of BIO or IOB1: these are 'O', 'B-' and a type, 'I-' and a type; tags of another "
            "scheme, such as 'S-' and 'E-' of BIOES, have to be converted"
        )
    return prefix, kind


def spans(tags: Iterable[str]) -> list[Span]:
    """Returns the entities of a sentence, in BIO, IOB1 or the output of a network that follows neither: an "I-" behind
    "O" or behind another type begins an entity, as in the scoring script of CoNLL-2000 (conlleval)."""
    found: list[Span] = []
    start, kind, number = 0, "", -1
    for number, tag in enumerate(tags):
        prefix, own = parted(tag)
        if kind and (prefix != "I" or own != kind):
            found.append(Span(start, number, kind))
            kind = ""
        if own and not kind:
            start, kind = number, own
    if kind:
        found.append(Span(start, number + 1, kind))
    return found


def as_bio(tags: Sequence[str]) -> list[str]:
    """Returns the same entities in BIO."""
    found = [OUTSIDE] * len(tags)
    for start, end, kind in spans(tags):
        found[start] = f"B-{kind}"
        found[start + 1 : end] = [f"I-{kind}"] * (end - start - 1)
    return found


def first_violation(tags: Sequence[str], scheme: str) -> int | None:
    """Returns the position of the first tag that a sentence in this scheme cannot have there; None if there is none."""
    if not among(scheme, SCHEMES):
        raise DataError(unknown("scheme of tags", scheme, SCHEMES))
    expected = as_bio(tags) if scheme == "BIO" else as_iob1(tags)
    return next((at for at, (tag, wanted) in enumerate(zip(tags, expected, strict=True)) if tag != wanted), None)


def as_iob1(tags: Sequence[str]) -> list[str]:
    """Returns the same entities in IOB1."""
    found, before = [OUTSIDE] * len(tags), Span(0, 0, "")
    for span in spans(tags):
        found[span.start : span.end] = [f"I-{span.type}"] * (span.end - span.start)
        if before.type == span.type and before.end == span.start:
            found[span.start] = f"B-{span.type}"
        before = span
    return found


def allowed(tags: Sequence[str]) -> Tensor:
    """Returns [K + 2, K] bool: whether in BIO tag k may follow tag j (row j), begin a sentence (row K), and end it (row
    K + 1, always)."""
    parts = [parted(tag) for tag in tags]
    rows = [[prefix != "I" or own == kind for prefix, own in parts] for _, kind in parts]
    begin = [prefix != "I" for prefix, _ in parts]
    return torch.tensor([*rows, begin, [True] * len(parts)])
