import pytest
import torch

from naslab.operations import indexing
from naslab.operations.indexing import index_on, picked, put
from naslab.testing.pretended_cuda import PretendedCuda

LISTS = ([2], [0, 1, 2], [1, 3], [0, 2, 4], [4], [0, 1, 3], [3, 1], [2, 2], [])


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("numbers", LISTS)
def test_picked_is_what_a_list_picks_with_the_same_gradient(numbers, dim):
    x = torch.randn(5, 5, 5, dtype=torch.float64, requires_grad=True)
    plain = x.movedim(dim, 0)[numbers].movedim(0, dim)
    found = picked(x, numbers, dim)
    assert torch.equal(found, plain)
    weight = torch.randn(found.shape, dtype=torch.float64)
    mine, its = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (found, plain))
    assert torch.equal(mine, its)


@pytest.mark.parametrize("numbers", [numbers for numbers in LISTS if len(set(numbers)) == len(numbers)])
def test_put_is_what_an_assignment_by_a_list_does(numbers):
    x, values = torch.randn(5, 3), torch.randn(len(numbers), 3, dtype=torch.float64)
    plain = x.clone()
    plain[numbers] = values.float()
    put(x, numbers, values)
    assert torch.equal(x, plain)


def test_evenly_spaced_numbers_are_a_view_and_others_an_index_that_is_kept(monkeypatch):
    x = torch.randn(6, 2)
    assert all(picked(x, numbers)._base is x for numbers in ([1, 2], [0, 3], [5]))
    assert picked(x, [0, 1, 3])._base is None
    assert index_on((0, 1, 3), x.device) is index_on((0, 1, 3), x.device)
    with torch.inference_mode():
        assert not index_on((0, 1, 5), x.device).is_inference()
    monkeypatch.setattr(indexing, "KEPT", 0)  # each new one drops the others
    index_on((0, 4, 5), x.device)
    assert len(indexing._kept) == 1


def test_a_gpu_is_never_waited_for():
    with PretendedCuda() as gpu:
        x = torch.randn(6, 2).to("cuda")
        gpu.reset()
        for numbers in ([1, 2], [0, 3], [0, 1, 3], [5, 0]):
            put(x, numbers, picked(x, numbers) + 1)
        assert gpu.waits == 0, gpu.report()
    indexing._kept.clear()


@pytest.mark.slow
def test_a_compiler_sees_one_graph():
    def function(x):
        return picked(x, [0, 1, 3]) + picked(x, [0, 2, 4])

    x = torch.randn(5, 2, requires_grad=True)
    indexing._kept.clear()
    assert torch.equal(torch.compile(function, backend="aot_eager", fullgraph=True)(x), function(x))
