"""Memory that is counted, and memory that is foretold."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import naslab as nl
from naslab.analysis.memory import StepMemory, available, must_fit, peak, step_memory
from naslab.errors import SpecError
from naslab.networks import step_memory as memory
from naslab.operations.optimizations import Optimizations

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
@pytest.mark.slow
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


@pytest.mark.slow
def test_a_supernet_larger_than_memory_is_refused_with_the_largest_batch_that_fits():
    space, task = nl.spaces.NASBench201(channels=8, cells=1), nl.tasks.Digits()
    network = space.supernet(task)
    arguments = (network, space.edges(), len(space.operations), task.input_shape)
    needed = step_memory(*arguments, batch_size=64)
    must_fit(*arguments, batch_size=64, free=needed.total)
    must_fit(*arguments, batch_size=64)
    with pytest.raises(SpecError, match=r"a step of 64 images.*batch_size=32 fits"):
        must_fit(*arguments, batch_size=64, free=needed.total - int(32 * needed.each_image))
    must_fit(*arguments, batch_size=32, free=needed.total - int(32 * needed.each_image) + 1)
    with pytest.raises(SpecError, match="not even one image"):
        must_fit(*arguments, batch_size=64, free=needed.lasting)


LARGE = nl.spaces.DartsCell(nodes=1, channels=8, cells=3)


def too_large(network, free, space=LARGE):
    shape = (3, 32, 32)
    with pytest.raises(SpecError, match=r"(GB|MB) are free") as said:
        must_fit(network, space.edges(), len(space.operations), shape, batch_size=64, free=free)
    return str(said.value)


def supernet(**tasks):
    return LARGE.supernet(SimpleNamespace(input_shape=(3, 32, 32), classes=10, **tasks))


@pytest.mark.slow
def test_where_there_is_not_the_memory_for_trying_nothing_is_computed(monkeypatch):
    """The estimate comes from the sizes of tensors on the meta device, and a forward pass is broken off early."""
    network, tried, cells = supernet(), [], []
    real = memory.gradients_at_the_start
    monkeypatch.setattr(
        memory,
        "gradients_at_the_start",
        lambda net, e, o, x, *more, **kind: tried.append(x.device.type) or real(net, e, o, x, *more, **kind),
    )
    for cell in network.cells:
        cell.register_forward_hook(lambda cell, *_: cells.append(next(cell.parameters()).device.type))
    said = too_large(network, free=int(2e6))
    assert set(tried) == {"meta"}
    assert "cpu" not in cells, "not even the first cell was finished"
    assert "batch_size=" in said or "not even one image" in said


@pytest.mark.slow
def test_without_computing_the_estimate_is_about_the_same():
    network = supernet()
    arguments = (network, LARGE.edges(), len(LARGE.operations), (3, 32, 32))
    fused = step_memory(*arguments, batch_size=16)
    network.optimizations = Optimizations(fused_unit=False, fused_pools=False, fused_projection=False)
    computed = step_memory(*arguments, batch_size=16)
    added_up = memory._without_computing(*arguments, 16, 0)
    assert added_up.lasting == computed.lasting == fused.lasting
    assert added_up.step == pytest.approx(computed.step, rel=0.3)
    assert added_up.each_image == pytest.approx(computed.each_image, rel=0.3)
    assert fused.step <= computed.step  # the kernels keep less, which is not known without computing


class Odd(nn.Module):
    """A supernet of the user's own, which looks at numbers, and so cannot be computed on the meta device."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(20))

    def forward(self, x, weights):
        for layer in self.layers:
            x = layer(x).relu() if x.detach().sum().item() < 1e30 else x
        return x.flatten(1)[:, :10]


def test_a_supernet_that_cannot_be_computed_without_numbers_is_judged_by_what_is_known_of_it():
    assert "the supernet needs about" in too_large(Odd(), free=int(3e5))


def test_an_image_more_never_needs_less(monkeypatch):
    """On a GPU the first step also pays for what torch needs once."""
    needs = iter([900, 500, 900, 500])
    monkeypatch.setattr(memory, "peak", lambda *_, **__: next(needs))
    network = supernet()
    found = step_memory(network, LARGE.edges(), len(LARGE.operations), (3, 32, 32), batch_size=16)
    assert found.each_image > 0
    assert found.largest_batch(found.total) >= 16


class Allocator:
    """The two counters that torch's CUDA allocator would have after each operation of a step."""

    def __init__(self, *counters):
        self._counters = list(counters)

    def __call__(self, device):
        current, allocated = self._counters.pop(0)
        return {"allocated_bytes": {"all": {"current": current, "allocated": allocated, "peak": 10**9}}}


def test_on_a_gpu_the_peak_follows_from_what_the_allocator_counts(monkeypatch):
    """With a workspace that is gone when its operation ends, and without a reset of the user's own peak."""
    counters = Allocator((1000, 5000), (1100, 5100), (1200, 5900), (1050, 5900))  # at the start, after each of three
    monkeypatch.setattr(torch.cuda, "memory_stats_as_nested_dict", counters)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda *_: pytest.fail("the user's statistics"))
    steps = []

    def step():
        x = torch.ones(3)
        (x + 1).mul_(2)
        steps.append(x)

    # the second operation began at 100 beyond the start, and allocated 800, of which 700 were a workspace
    assert peak(step, "cuda") == 900
    assert len(steps) == 1
    monkeypatch.setattr(torch.cuda, "memory_stats_as_nested_dict", Allocator(*[(0, 0)] * 4))
    assert peak(step, "cuda", warm_up=True) == 0, "never negative"
    assert len(steps) == 3
