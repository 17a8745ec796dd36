import pytest
import torch
import torch.nn.functional as F
from torch import nn

import naslab as nl
from naslab.networks.skip_dropout import SkipMasks
from naslab.searchers.gradient import SkipDropout, sampling
from naslab.tasks.metrics import WrongTask
from naslab.testing.pretended_cuda import Mixed, PretendedCuda


def small(searcher=nl.searchers.Darts, task=None, **hyperparameters):
    space = nl.spaces.NASBench201(channels=2, cells=1)
    hyperparameters = {"batch_size": 4, "epochs": 1, **hyperparameters}
    return searcher(space, task or nl.tasks.Digits(), device="cuda", **hyperparameters)


@pytest.mark.parametrize(
    ("waits", "computation"),
    [
        (1, lambda x: x.sum().item()),
        (1, lambda x: bool((x > 0).all())),
        (1, lambda x: x.tolist()),
        (1, lambda x: x.cpu()),
        (1, lambda x: x.to("cpu").numpy()),
        (0, lambda x: torch.empty(4, 3).copy_(x, non_blocking=True)),
        (1, lambda x: torch.ones(2).to("cuda")),
        (1, lambda x: torch.ones(2).to(x)),
        (1, lambda x: torch.tensor([1.0, 2.0], device=x.device)),
        (1, lambda x: x.new_tensor([1.0, 2.0])),
        (1, lambda x: x.copy_(torch.ones(4, 3))),
        (0, lambda x: torch.ones(2).pin_memory().to("cuda", non_blocking=True)),
        (0, lambda x: torch.ones(2, device="cuda") + x.new_zeros(2) + 3 * torch.tensor(2.0)),
        (1, lambda x: x[[0, 2]]),
        (1, lambda x: x[torch.tensor([0, 2])]),
        (0, lambda x: x[torch.arange(2, device="cuda")]),
        (2, lambda x: x[[True, False, True, False]]),
        (1, lambda x: x[x[:, 0] > 0]),
        (0, lambda x: (x[1:3], x[0], x[..., None], x[0, 1])),
        (1, lambda x: x.nonzero()),
        (0, lambda x: x[0].fill_(1.0)),
        (0, lambda x: x.__setitem__((0, 1), 3.0)),
        (1, lambda x: x.__setitem__([0, 1], 3.0)),
        (0, lambda x: F.one_hot(x.argmax(dim=1), 3)),
        (0, lambda x: F.cross_entropy(x, x.argmax(dim=1))),
        (1, lambda x: torch.cuda.Event().synchronize()),
        (1, lambda x: torch.cuda.synchronize()),
        (0, lambda x: nn.utils.clip_grad_norm_([nn.Parameter(x)], 1.0)),
    ],
)
def test_what_makes_the_host_wait(waits, computation):
    with PretendedCuda() as gpu:
        x = torch.linspace(-1, 1, 12).view(4, 3).to("cuda")
        gpu.reset()
        computation(x)
        assert gpu.waits == waits, gpu.report()
    assert "test_pretended_cuda.py" in gpu.report() or not waits, "the place is named"


@pytest.mark.parametrize(
    "computation",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.stack([x[0, 0], torch.tensor(1.0)]),
        lambda x: torch.ones(4)[x.argmax(dim=1)],
        lambda x: F.cross_entropy(x, torch.tensor([0, 1, 2, 0])),
        lambda x: nn.Linear(3, 2)(x),
        lambda x: x.bernoulli_(0.5, generator=torch.Generator()),
        lambda x: torch.rand(3, generator=torch.Generator("cuda")),
        lambda x: torch.rand(3, device="cuda", generator=torch.Generator()),
    ],
)
def test_two_devices_do_not_mix(computation):
    with PretendedCuda():
        x = torch.ones(4, 3, device="cuda")
        with pytest.raises(Mixed, match=r"(?i)cpu"):
            computation(x)


def test_it_computes_what_the_cpu_computes_and_leaves_nothing_behind():
    before = torch.cuda.is_available(), torch.Generator, torch.cuda.Event

    def trained(device):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(device)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(network(torch.ones(5, 3).to(device)), torch.ones(5).long().to(device)).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.1)
            optimizer.step()
        return [parameter.detach().cpu() for parameter in network.parameters()]

    with PretendedCuda() as gpu:
        assert torch.zeros(1, device="cuda").is_cuda
        there = trained("cuda")
        with pytest.raises(RuntimeError, match="one pretended GPU"), PretendedCuda():
            pass
        assert gpu.launches > 50
    assert (torch.cuda.is_available(), torch.Generator, torch.cuda.Event) == before
    assert not torch.__future__.get_overwrite_module_params_on_conversion()
    for mine, other in zip(there, trained("cpu"), strict=True):
        torch.testing.assert_close(mine, other)


class TestAFaultInASearch:
    """Each is one that a CPU does not see: something is made or left on the wrong device."""

    def test_none(self):
        with PretendedCuda():
            search = small(order=1)
            search.advance()
            assert search.alphas["cell"].is_cuda
            assert search.advance().metrics["train/loss"] > 0

    def test_noise(self, monkeypatch):
        monkeypatch.setattr(sampling, "gumbel", lambda like, noise: torch.rand(like.shape, generator=noise))
        with PretendedCuda(), pytest.raises(Mixed, match=r"sampling\.py"):
            small(nl.searchers.SNAS).advance()

    def test_labels(self):
        task = nl.tasks.Digits()
        batch = type(task).batch

        class Labels(type(task)):
            def batch(self, *args, **options):
                images, labels = batch(self, *args, **options)
                return images, labels.cpu()

        object.__setattr__(task, "__class__", Labels)
        with PretendedCuda(), pytest.raises(WrongTask, match=r"Mixed.*nll_loss"):
            small(task=task, order=1).advance()

    def test_alphas(self):
        with PretendedCuda():
            search = small(order=1)
            search.alphas = {part: alpha.detach().cpu().requires_grad_() for part, alpha in search.alphas.items()}
            with pytest.raises(Mixed):
                search.advance()

    def test_generator(self, monkeypatch):
        of = SkipMasks.of
        monkeypatch.setattr(SkipMasks, "of", lambda self, module, device: of(self, module, torch.device("cpu")))
        with PretendedCuda(), pytest.raises(Mixed, match="generator"):
            small(nl.searchers.GradientSearch, regularizers=(SkipDropout(),)).advance()

    def test_numpy(self, monkeypatch):
        monkeypatch.setattr(torch.Tensor, "cpu", lambda self: self)
        with PretendedCuda(), pytest.raises(TypeError, match="numpy"):
            small(order=1).advance()
