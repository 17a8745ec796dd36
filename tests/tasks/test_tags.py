"""Tags of entities: spans as `seqeval` finds them, schemes, and which tag may follow which."""

import itertools
import random

import pytest
import torch
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from naslab.errors import DataError
from naslab.tasks import tags
from naslab.tasks.tags import Span

KNOWN = ("O", "B-a", "I-a", "B-b", "I-b")
ALL = [list(some) for length in (1, 2, 3, 4) for some in itertools.product(KNOWN, repeat=length)]


def test_spans_are_those_of_seqeval_for_every_sequence_valid_or_not():
    for some in ALL:
        theirs = [Span(start, end + 1, kind) for kind, start, end in get_entities(some)]
        assert tags.spans(some) == theirs, some
    assert tags.spans([]) == []


def test_scores_are_those_of_seqeval():
    draw = random.Random(0)
    true, said = ([[draw.choice(KNOWN) for _ in range(9)] for _ in range(60)] for _ in range(2))
    right = found = there = 0
    for one, other in zip(true, said, strict=True):
        ours, theirs = set(tags.spans(other)), set(tags.spans(one))
        right, found, there = right + len(ours & theirs), found + len(ours), there + len(theirs)
    assert right / found == pytest.approx(precision_score(true, said))
    assert right / there == pytest.approx(recall_score(true, said))
    assert 2 * right / (found + there) == pytest.approx(f1_score(true, said))


def test_the_two_schemes_say_the_same_entities():
    for some in ALL:
        bio, iob1 = tags.as_bio(some), tags.as_iob1(some)
        assert tags.spans(bio) == tags.spans(iob1) == tags.spans(some)
        assert tags.first_violation(bio, "BIO") is None
        assert tags.first_violation(iob1, "IOB1") is None
    assert tags.as_iob1(["B-a", "I-a", "B-a", "B-b", "O", "B-b"]) == ["I-a", "I-a", "B-a", "I-b", "O", "I-b"]
    assert tags.first_violation(["O", "I-a"], "BIO") == 1
    assert tags.first_violation(["O", "B-a"], "IOB1") == 1
    with pytest.raises(DataError, match="scheme of tags"):
        tags.first_violation(["O"], "BIOES")


def test_a_sequence_is_allowed_if_it_is_bio():
    allowed = tags.allowed(KNOWN)
    assert allowed.shape == (7, 5)
    for some in ALL:
        path = [len(KNOWN), *(KNOWN.index(tag) for tag in some)]
        fine = all(bool(allowed[a, b]) for a, b in itertools.pairwise(path)) and bool(allowed[6, path[-1]])
        assert fine == (tags.first_violation(some, "BIO") is None), some
    assert allowed.dtype == torch.bool


@pytest.mark.parametrize("tag", ["S-a", "E-a", "B", "B-", "b-a", "", "person", "I_a"])
def test_another_tag_is_refused(tag):
    with pytest.raises(DataError, match="is no tag of BIO or IOB1"):
        tags.spans(["O", tag])
