import pytest
import torch
from torch import Tensor

from naslab import transfer
from naslab.testing.pretended_cuda import PretendedCuda
from naslab.transfer import Pending, numbers, pending, state_on_host, to_device, to_host

gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")]


def of_all_kinds() -> list[Tensor]:
    torch.manual_seed(0)
    return [
        torch.rand(3, 5) < 0.5,
        torch.randn(2, 3, 4).permute(0, 2, 1),
        torch.tensor(7),
        torch.randint(255, (3, 1, 2), dtype=torch.uint8),
        torch.randn(5, dtype=torch.float64),
        torch.zeros(0, 4),
        torch.randn(3).to(torch.bfloat16),
        torch.arange(6)[1::2],
        torch.arange(2)[::2],
    ]


def check_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert torch.equal(one, other)


def test_a_tree_goes_to_the_device_and_back_in_one_copy_each_way():
    expected = of_all_kinds()
    tree = {"first": expected[0], "more": (None, expected[1], expected[1:], "a word")}
    with PretendedCuda() as device:
        there = to_device(tree, "cuda")
        assert device.waits == 0, device.report()
        assert there["more"][0] is None
        assert there["more"][3] == "a word"
        moved = [there["first"], *there["more"][2]]
        assert all(tensor.is_cuda for tensor in moved)
        assert to_device(moved, "cuda")[0] is moved[0]
        back = to_host(moved)
        assert device.waits == 1, device.report()
    check_equal(back, expected)


def test_on_the_cpu_nothing_is_copied():
    one, two = torch.ones(2), torch.ones(3)
    assert to_device((one, two), "cpu")[0] is one
    assert to_host([one, two])[1] is two


def test_large_states_come_in_pieces(monkeypatch):
    monkeypatch.setattr(transfer, "PIECE", 100)
    state = {str(number): torch.randn(size) for number, size in enumerate((10, 10, 40, 5, 20, 1))}
    with PretendedCuda() as device:
        there = {name: tensor.to("cuda") for name, tensor in state.items()} | {"step": 3, "here": state["0"]}
        device.reset()
        back = state_on_host(there)
        assert device.waits == 4, device.report()  # 80, 160, 100 and 4 bytes
    assert list(back) == list(there)
    assert back["step"] == 3
    assert back["here"] is state["0"]
    check_equal([back[name] for name in state], state.values())


def test_numbers_are_read_in_one_copy():
    with PretendedCuda() as device:
        loss, right = torch.tensor(0.5).to("cuda"), torch.tensor(3).to("cuda")
        device.reset()
        share = pending(lambda count: count / 7, right)
        product = pending(lambda one, two, three: one * two - three, share, 2.0, loss)
        asked = [1.5, loss, torch.tensor(2.0), share, product, loss.requires_grad_()]
        assert isinstance(share, Pending)
        assert device.waits == 0
        assert numbers(asked) == [1.5, 0.5, 2.0, 3 / 7, 6 / 7 - 0.5, 0.5]
        assert device.waits == 1, device.report()
        device.reset()
        assert numbers([1.0, torch.tensor(2.0)]) == [1.0, 2.0]
        assert device.waits == 0


def test_on_the_cpu_no_number_waits():
    assert pending(lambda count: count / 7, torch.tensor(3)) == 3 / 7
    assert numbers([]) == []


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=gpu)])
def test_copies_of_a_real_gpu(device):
    expected = of_all_kinds()
    there = to_device(expected, device)
    assert {tensor.device.type for tensor in there} == {device}
    check_equal(to_host(there), expected)
    many = [to_device([torch.full((1000,), number)], device)[0] for number in range(200)]  # pinned blocks are reused
    assert numbers([one.sum() for one in many]) == [1000.0 * number for number in range(200)]
