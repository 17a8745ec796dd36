"""Memory that is counted, and memory that is foretold."""

import pytest
import torch

import naslab as nl
from naslab.analysis.memory import StepMemory, available, must_fit, peak, step_memory
from naslab.errors import SpecError

FLOATS = 1000
BYTES = 4 * FLOATS


def test_what_is_alive_at_once_is_counted_once():
    kept = torch.zeros(FLOATS)

    def step():
        one = kept + 1
        view = one.view(10, -1)
        del one
        two = view * 2  # two alive
        del view
        (two + 1).add_(1)  # two alive again

    assert peak(step) == 2 * BYTES
    assert peak(lambda: None) == 0


def test_the_backward_pass_is_counted():
    x = torch.zeros(FLOATS, requires_grad=True)
    squares = 3  # x -> x^2 -> x^4 -> x^8, each kept for its gradient

    def step():
        y = x
        for _ in range(squares):
            y = y * y
        y.sum().backward()
        x.grad = None

    assert squares * BYTES < peak(step) < (squares + 4) * BYTES


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "space", [nl.spaces.DartsCell(nodes=2, channels=4, cells=3), nl.spaces.NASBench201(channels=8, cells=1)], ids=str
)
def test_the_estimate_is_within_15_per_cent_of_a_real_step(space, checkpointing):
    task, batch = nl.tasks.FashionMNIST().subset(100, 10), 12
    search = nl.searchers.Darts(space, task, batch_size=batch, epochs=1)
    search.network.checkpointing = checkpointing
    before = [value.clone() for value in search.network.state_dict().values()]
    found = step_memory(search.network, space.edges(), len(space.operations), task.input_shape, batch_size=batch)
    for old, new in zip(before, search.network.state_dict().values(), strict=True):
        assert torch.equal(old, new)
    search.advance()
    assert found.step == pytest.approx(peak(search.advance), rel=0.15)
    weights = sum(weight.nbytes for weight in search.network.parameters())
    buffers = sum(buffer.nbytes for buffer in search.network.buffers())
    assert found.lasting == 2 * weights + buffers


def test_the_largest_batch_that_fits():
    memory = StepMemory(batch_size=10, lasting=100, step=250, each_image=20.0)  # 150 + 20 an image
    assert memory.total == 350
    assert memory.largest_batch(350) == 10
    assert memory.largest_batch(369) == 10
    assert memory.largest_batch(370) == 11
    assert memory.largest_batch(149) == 0
    assert memory.largest_batch(0) == 0


def test_a_batch_of_nothing_is_refused():
    space, task = nl.spaces.NASBench201(channels=4, cells=1), nl.tasks.Digits()
    with pytest.raises(SpecError, match="batch_size"):
        step_memory(space.supernet(task), space.edges(), 5, task.input_shape, batch_size=0)


def test_what_is_available_is_a_number_of_bytes_or_unknown():
    free = available()
    assert free is None or free > 1e6


def test_a_supernet_larger_than_memory_is_refused_with_the_largest_batch_that_fits():
    space, task = nl.spaces.NASBench201(channels=8, cells=1), nl.tasks.Digits()
    network = space.supernet(task)
    arguments = (network, space.edges(), len(space.operations), task.input_shape)
    memory = step_memory(*arguments, batch_size=64)
    must_fit(*arguments, batch_size=64, free=memory.total)
    must_fit(*arguments, batch_size=64)
    with pytest.raises(SpecError, match=r"a step of 64 images.*batch_size=32 fits"):
        must_fit(*arguments, batch_size=64, free=memory.total - int(32 * memory.each_image))
    must_fit(*arguments, batch_size=32, free=memory.total - int(32 * memory.each_image) + 1)
    with pytest.raises(SpecError, match="not even one image"):
        must_fit(*arguments, batch_size=64, free=memory.lasting)
