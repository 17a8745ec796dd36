"""How often the host waits for a GPU in a step of gradient-based search, counted on a pretended one."""

import pytest
import torch

import naslab as nl
from naslab.errors import Diverged
from naslab.searchers import gradient as g
from naslab.searchers.gradient.on_host import OnHost
from naslab.testing.pretended_cuda import PretendedCuda


def darts_cell(nodes=2, cells=3, channels=2):
    operations = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")
    return nl.spaces.DartsCell(nodes=nodes, channels=channels, cells=cells, operations=operations)


def nasbench201(cells=1):
    return nl.spaces.NASBench201(channels=2, cells=cells)


def waits_of_a_step(searcher, space, task=None, **hyperparameters):
    """Returns how often the host waits in the second step, and where."""
    given = {"batch_size": 4, "epochs": 1, **hyperparameters}
    with PretendedCuda() as gpu:
        search = searcher(space, task or nl.tasks.Digits(), device="cuda", **given)
        search._must_fit = lambda: None  # an estimate before the first step, which takes longer than the step
        search.advance()
        gpu.reset()
        search.advance()
        waits, report = gpu.waits, gpu.report()
        for part, alpha in search.alphas.items():
            assert torch.equal(search._on_host.copies()[part], alpha.detach().cpu()), "what was read is older"
        return waits, report


@pytest.mark.parametrize(
    ("most", "name", "space", "given"),
    [
        (2, "Darts", darts_cell(), {"order": 1}),
        (2, "Darts", darts_cell(nodes=3, cells=4), {"order": 1}),
        (2, "Darts", darts_cell(), {"order": 2}),
        (2, "IDarts", darts_cell(), {}),
        pytest.param(3, "PCDarts", darts_cell(channels=4), {}, marks=pytest.mark.slow),
        (2, "PCDarts", darts_cell(channels=4), {"warmup": 0.0}),
        (2, "Darts", nasbench201(), {"order": 1}),
        pytest.param(2, "Darts", nasbench201(cells=2), {"order": 2}, marks=pytest.mark.slow),
        (3, "DrNAS", nasbench201(), {}),
        (1, "SNAS", nasbench201(), {}),
        (2, "SmoothDarts", nasbench201(), {}),
        pytest.param(
            2, "SmoothDarts", nasbench201(), {"perturbation": "adversarial", "ascent_steps": 2}, marks=pytest.mark.slow
        ),
        (2, "MiLeNAS", nasbench201(), {}),
        pytest.param(2, "RobustDarts", nasbench201(), {}, marks=pytest.mark.slow),
        pytest.param(2, "GDAS", darts_cell(), {}, marks=pytest.mark.slow),
        (2, "GDAS", nasbench201(), {}),
        (2, "ProxylessNAS", nasbench201(), {"warmup": 0.0}),
        pytest.param(3, "ProxylessNAS", nasbench201(), {"warmup": 0.0, "rule": "reinforce"}, marks=pytest.mark.slow),
    ],
)
def test_the_host_waits_a_few_times_a_step(most, name, space, given):
    waits, report = waits_of_a_step(getattr(nl.searchers, name), space, **given)
    assert waits <= most, report


@pytest.mark.slow
def test_also_with_forbidden_operations_and_dropout():
    with PretendedCuda() as gpu:
        search = nl.searchers.GradientSearch(
            darts_cell(), nl.tasks.Digits(), device="cuda", batch_size=4, epochs=1, regularizers=(g.SkipDropout(),)
        )
        search._must_fit = lambda: None
        search.apply_setting("forbidden", ["max_pool_3x3"])
        search.advance()
        gpu.reset()
        search.advance()
        assert gpu.waits <= 2, gpu.report()


@pytest.mark.slow
def test_a_recurrent_cell_is_searched_so_too():
    task = nl.tasks.LanguageModel.from_text("to be or not to be\n" * 60, bptt=4)
    waits, report = waits_of_a_step(nl.searchers.Darts, nl.spaces.RecurrentCell(nodes=2, hidden=8), task, order=1)
    assert waits <= 4, report


class TestOnHost:
    def test_copies_are_those_of_now_and_values_are_read_with_them(self):
        alphas = {"cell": torch.zeros(2, requires_grad=True)}
        with PretendedCuda() as gpu:
            there = {"cell": torch.zeros(2).to("cuda")}
            host = OnHost(lambda: there)
            gpu.reset()
            assert host.copies()["cell"].tolist() == [0, 0]
            there["cell"].add_(1)
            assert host.numbers([there["cell"].sum(), 5.0]) == [2.0, 5.0]
            assert host.copies()["cell"].tolist() == [1, 1]
            assert gpu.waits == 2, gpu.report()
        host = OnHost(lambda: alphas)
        assert not host.copies()["cell"].requires_grad
        torch.optim.Adam(alphas.values(), fused=True)  # does not count its changes
        host.changed()
        alphas["cell"].data.fill_(3)
        assert host.copies()["cell"].tolist() == [3, 3]

    def test_the_first_that_is_not_finite_is_named(self):
        host = OnHost(dict)
        host.check("loss", torch.tensor(1.0))
        host.check("gradient", torch.tensor([0.0, torch.inf]))
        host.check("norm", torch.tensor(torch.nan))
        with pytest.raises(Diverged, match="the gradient is no longer finite"):
            host.numbers()
        assert host.numbers([1.0]) == [1.0], "what was said once is not said again"
        host.check("norm", torch.tensor(torch.nan))
        host.begin()
        host.numbers()


def test_what_else_goes_wrong_after_numbers_are_no_longer_finite_is_said_to_come_of_them():
    search = nl.searchers.DrNAS(nasbench201(), nl.tasks.Digits(), batch_size=4, epochs=1, device="cpu")
    with torch.no_grad():
        search.alphas["cell"].fill_(torch.nan)
    with pytest.raises(Diverged, match=r"step 1: the alphas \(cell\) is no longer finite"):
        search.advance()
