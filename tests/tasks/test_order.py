import numpy as np
import pytest
import torch

from naslab.errors import DataError
from naslab.tasks.order import batch_indices, epoch_length


def test_an_epoch_visits_every_example_at_most_once_and_leaves_out_the_rest():
    indices = torch.arange(100, 203)  # 103 examples, 10 batches of 10
    assert epoch_length(103, 10) == 10
    seen = torch.cat([batch_indices(indices, 10, step, 0) for step in range(10)])
    assert len(seen.unique()) == 100
    assert set(seen.tolist()) <= set(indices.tolist())


def test_the_order_is_a_function_of_seed_stream_and_step():
    indices = torch.arange(64)
    step_7 = batch_indices(indices, 8, 7, 3, "weights")
    batch_indices(indices, 8, 0, 5)  # what was asked for before does not matter
    assert torch.equal(step_7, batch_indices(indices, 8, 7, 3, "weights"))
    assert not torch.equal(step_7, batch_indices(indices, 8, 7, 4, "weights"))
    assert not torch.equal(step_7, batch_indices(indices, 8, 7, 3, "architecture"))
    assert not torch.equal(step_7, batch_indices(indices, 8, 15, 3, "weights")), "a new epoch, a new order"


def test_a_changed_result_does_not_change_the_next_one():
    indices = torch.arange(64)
    first = batch_indices(indices, 8, 0, 0)
    kept = first.clone()
    first.zero_()
    assert torch.equal(batch_indices(indices, 8, 0, 0), kept)


def test_numbers_may_be_numpys():
    indices = torch.arange(64)
    for eight, seven in ((np.int64(8), np.uint8(7)), (torch.tensor(8), np.array(7))):
        assert torch.equal(batch_indices(indices, eight, seven, np.int64(3)), batch_indices(indices, 8, 7, 3))


@pytest.mark.parametrize("step", [-1, 2.0, True])
def test_a_senseless_step_is_refused(step):
    with pytest.raises(DataError, match="the step must be a whole number from 0 up"):
        batch_indices(torch.arange(64), 8, step)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, np.True_, np.float32(2), torch.tensor(True), "8", None])
def test_a_senseless_batch_size_is_refused(batch_size):
    with pytest.raises(DataError, match="whole number from 1 up"):
        epoch_length(10, batch_size)


def test_a_batch_larger_than_the_data_is_refused_with_the_largest_that_fits():
    with pytest.raises(DataError, match=r"batch of 11 cannot be filled from 10 examples.*batch_size=10"):
        batch_indices(torch.arange(10), 11, 0, 0)
