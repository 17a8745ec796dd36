"""The order of a text: columns, chunks, random lengths."""

import itertools

import numpy as np
import pytest
import torch

from naslab.errors import DataError, SpecError
from naslab.tasks import LanguageModel
from naslab.tasks.streams import Timetable
from naslab.tasks.text_streams import Columns, Lengths
from naslab.tasks.vocabulary import Vocabulary

N = 1003
NUMBERS = np.arange(N, dtype=np.int32)


@pytest.fixture(scope="module")
def task():
    """A text whose tokens are their own places."""
    vocabulary = Vocabulary(tuple(map(str, range(N))), "words")
    texts = {"train": NUMBERS, "valid": NUMBERS[:400], "test": NUMBERS[:101]}
    return LanguageModel("places", texts, vocabulary, bptt=10, short_share=0.3, length_deviation=2)


def chunks_of_a_pass(stream, batch_size, epoch=0, *words):
    return [stream.where(batch_size, epoch, n, *words) for n in range(stream.steps(batch_size, epoch, *words))]


def chunks(stream, how):
    return list(stream.sweep(8)) if how == "sweep" else chunks_of_a_pass(stream, 8, 3, 0, "weights")


@pytest.mark.parametrize("how", ["training", "sweep"])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_pass_predicts_every_token_of_a_column_once(task, how, split):
    stream = task.stream(split)
    batches = [task.batch(where, split=split) for where in chunks(stream, how)]
    columns = len(batches[0][0])
    height = len(stream) // columns
    for column in range(columns):
        predicted = torch.cat([targets[column] for _, targets in batches]).tolist()
        assert predicted == list(range(column * height + 1, (column + 1) * height)), "all but its first token, in order"
    for tokens, targets in batches:
        assert tokens.dtype == targets.dtype == torch.int64
        assert torch.equal(targets, tokens + 1)


@pytest.mark.parametrize("how", ["training", "sweep"])
def test_a_chunk_begins_where_the_one_before_it_ended(task, how):
    stream = task.stream("train")
    batches = [task.batch(where)[0] for where in chunks(stream, how)]
    assert len(batches) > 5
    for before, after in itertools.pairwise(batches):
        assert torch.equal(after[:, 0], before[:, -1] + 1)
    assert [stream.resets(position) for position in range(3)] == [True, False, False]
    assert stream.carries


def test_processes_read_their_own_columns(task):
    for where in chunks_of_a_pass(task.stream("train"), 8):
        whole = task.batch(where)
        parts = [task.batch(where, rows=slice(0, 5)), task.batch(where, rows=slice(5, 8))]
        for n in (0, 1):
            assert torch.equal(torch.cat([part[n] for part in parts]), whole[n])


def test_lengths_are_a_function_of_seed_and_pass(task):
    stream = task.stream("train")
    one, same = (chunks_of_a_pass(stream, 4, 2, 7, "weights") for _ in range(2))
    assert one == same
    assert one != chunks_of_a_pass(stream, 4, 3, 7, "weights") != chunks_of_a_pass(stream, 4, 2, 8, "weights")
    timetable = Timetable(stream, 4, 7, "weights")
    first = timetable.total(2)
    assert [timetable.where(first + n) for n in range(len(one))] == one
    assert [step for step in range(first + 3) if timetable.resets(step)] == [0, timetable.total(1), first]


def lengths_of(lengths, total=350_000):
    return np.diff(lengths.starts(total, 0, 0))[:-1]


def test_one_chunk_in_twenty_is_half_as_long():
    found = lengths_of(Lengths())
    assert set(found) == {35, 17}
    assert 0.04 < (found == 17).mean() < 0.06
    assert set(lengths_of(Lengths(35, short_share=0))) == {35}
    assert set(lengths_of(Lengths(35, short_share=1))) == {17}


def test_lengths_of_retraining_vary_within_bounds():
    found = lengths_of(Lengths(35, deviation=5))
    assert (found.min() >= 5, found.max() <= 55) == (True, True)
    always = lengths_of(Lengths(35, 0, deviation=5))
    assert abs(always.mean() - 34.5) < 0.2, "int() cuts half a token off"
    assert abs(always.std() - 5) < 0.2
    wild = lengths_of(Lengths(35, deviation=40))
    assert (wild.min(), wild.max()) == (5, 55)
    assert lengths_of(Lengths(2, deviation=3), 1000).min() >= 1


def test_fixed_lengths_do_not_depend_on_the_seed():
    lengths = Lengths(10, short_share=0)
    assert lengths.starts(35, 0, 1) == lengths.starts(35, 4, 2, "x") == (0, 10, 20, 30, 35)


def test_evaluation_takes_fewer_columns_of_a_short_text():
    stream = Columns(50, Lengths(10), "valid")
    assert {len(where) for where in stream.sweep(256)} == {4}, "50 // 4 is more than one chunk, 50 // 5 is not"
    assert {len(where) for where in stream.sweep(2)} == {2}
    assert len(stream) == 50
    assert stream.first(20).tokens == 20


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Columns(50, Lengths(10), "valid").steps(26, 0), DataError, r"50 tokens.*26 columns.*batch_size=4"),
        (lambda: Columns(50, Lengths(10), "valid").where(51, 0, 0), DataError, "too few for 51 columns"),
        (lambda: Columns(50, Lengths(10), "valid").steps(0, 0), DataError, "batch size"),
        (lambda: Columns(50, Lengths(10), "valid").first(51), DataError, "2 to 50"),
        (lambda: Lengths(0), SpecError, "bptt"),
        (lambda: Lengths(3.5), SpecError, "bptt"),
        (lambda: Lengths(3, 1.5), DataError, "short_share"),
        (lambda: Lengths(3, 0, -1), DataError, "deviation"),
        (lambda: Lengths(3, 0, float("inf")), DataError, "deviation"),
        (lambda: Lengths(3, float("nan")), SpecError, "short_share"),
    ],
)
def test_nonsense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_chunks_of_another_text_are_refused(task):
    where = next(task.stream("train").sweep(8))
    with pytest.raises(DataError, match="the test text has 101 tokens, and so no Chunk"):
        task.batch(where, split="test")
    with pytest.raises(DataError, match="is a Chunk from one of its streams"):
        task.batch(torch.arange(3))
    with pytest.raises(DataError, match="unknown split 'training'"):
        task.stream("training")
