"""Shared weights that are judged while the search goes on in another thread."""

import threading

import pytest

import naslab as nl
from naslab.randomness import numpy_generator


@pytest.mark.parametrize("batch_norm", ["batch", "kept", "recalibrated"])
@pytest.mark.parametrize("name", ["darts", "spos"])
@pytest.mark.slow
def test_to_judge_a_child_meanwhile_changes_nothing(digits, name, batch_norm):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    options = {"epochs": 1, "batch_size": 64, "seed": 3}

    def begin():
        if name == "darts":
            return nl.Search(nl.searchers.Darts(space, digits, **options))
        few = {"population": 4, "generations": 1, "parents": 2, "crossovers": 1, "mutations": 1, "valid_images": 32}
        return nl.Search(nl.searchers.SPOS(space, digits, train_portion=0.5, **options, **few))

    alone, search = begin(), begin()
    steps = min(8, alone.total)
    expected = [next(alone) for _ in range(steps)]
    over = threading.Event()

    def judge():
        while not over.is_set():
            found.append(search.searcher.accuracy(child, batch_norm=batch_norm, images=16))

    child, found = space.sample(numpy_generator("child")), []
    other = threading.Thread(target=judge)
    other.start()
    try:
        assert [next(search) for _ in range(steps)] == expected
    finally:
        over.set()
        other.join()
    assert found
