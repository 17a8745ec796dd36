"""How often a step of a searcher that trains one child at a time waits for a GPU, counted on a pretended one.

The unit is a step: a child trained on a mini-batch, or a child judged, for which everything is read in one copy. The
last step of an epoch of ENAS also compares `derived` children, each of which is judged.
"""

import numpy as np
import pytest
import torch

import naslab as nl
from naslab import snapshot
from naslab.errors import Diverged
from naslab.events import ChildTrained
from naslab.testing.pretended_cuda import PretendedCuda

EVOLVING = {
    **dict(epochs=1, batch_size=16, train_portion=0.5, w_lr=0.1, valid_images=32, recalibration_images=32),
    **dict(population=2, generations=1, parents=1, crossovers=1, mutations=1),
}
DERIVED = 2
ALTERNATING = dict(epochs=1, batch_size=16, train_portion=0.5, controller_steps=2, children=2, derived=DERIVED, units=5)
SEARCHERS = {
    "spos": lambda task, device: nl.searchers.SPOS(
        nl.spaces.MobileChain(channels=4, stages=1, layers=1, stem_stride=1), task, device=device, **EVOLVING
    ),
    "fairnas": lambda task, device: nl.searchers.FairNAS(
        nl.spaces.NASBench201(channels=2, cells=1), task, device=device, **EVOLVING
    ),
    "en2as": lambda task, device: nl.searchers.EN2AS(
        nl.spaces.NASBench201(channels=2, cells=1), task, device=device, **EVOLVING, archive=2, nearest=1
    ),
    "enas macro": lambda task, device: nl.searchers.Enas(
        nl.spaces.EnasMacro(layers=2, channels=2), task, device=device, **ALTERNATING
    ),
    "enas micro": lambda task, device: nl.searchers.Enas(
        nl.spaces.EnasMicro(nodes=1, channels=2, cells=3), task, device=device, **ALTERNATING
    ),
}


@pytest.fixture(scope="module")
def images():
    return nl.tasks.Digits().subset(64, 16)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_step_waits_once(name, images):
    with PretendedCuda() as gpu:
        search = SEARCHERS[name](images, "cuda")
        search.advance()  # the data is sent to the device
        kinds, waits = [], []
        while search.step < search.total:
            gpu.reset()
            kinds.append(type(search.advance()))
            waits.append(gpu.waits)
        end = [1 + DERIVED] if name.startswith("enas") else []
        assert waits == [1] * (len(waits) - len(end)) + end, gpu.report()
        assert len(set(kinds)) == 2, "children were trained and judged"


def test_the_numbers_are_those_of_the_cpu(images):
    """Of the same operations in the same order, since the pretended device computes on the CPU."""
    found = {}
    for device in ("cpu", "cuda"):
        with PretendedCuda():
            search = SEARCHERS["enas macro"](images, device)
            found[device] = [search.advance() for _ in range(search.total)]
    for here, there in zip(found["cpu"], found["cuda"], strict=True):
        assert here.architecture == there.architecture
        if isinstance(here, ChildTrained):
            assert there.metrics == pytest.approx(here.metrics, abs=1e-4)
        else:
            assert there.fitness == pytest.approx(here.fitness, abs=1e-4)


def test_a_state_is_one_copy_each_way_and_the_same_bytes(images):
    with PretendedCuda() as gpu:
        search = SEARCHERS["enas macro"](images, "cuda")
        search.advance()
        state = search.state_dict()
        gpu.reset()
        digest = snapshot.digest(state)
        assert gpu.waits == 1, gpu.report()
        kept = nl.runs.store.Memory(1)
        gpu.reset()
        kept.save(1, state)
        assert gpu.waits == 1, gpu.report()
        here = kept.load(1)
        assert len([one for one in here.values() if isinstance(one, torch.Tensor)]) > 50
        assert not any(isinstance(one, torch.Tensor) and one.is_cuda for one in here.values())
        assert snapshot.digest(here) == digest
        one_by_one = {name: one.cpu() if isinstance(one, torch.Tensor) else one for name, one in state.items()}
        assert snapshot.digest(one_by_one) == digest
        gpu.reset()
        search.load_state_dict(here)
        assert gpu.waits == 0, gpu.report()
        assert snapshot.digest(search.state_dict()) == digest


def test_a_live_ranking_waits_once_for_each_child(images):
    table = nl.benchmarks.NASBench201()
    ranking = nl.LiveRanking(table, 12, images=32, batch_norm="recalibrated")
    with PretendedCuda() as gpu:
        search = SEARCHERS["fairnas"](images, "cuda")
        search.advance()
        gpu.reset()
        ranked = ranking.rank(search)
        assert gpu.waits == 12 + 1, gpu.report()  # and the best of the search
    assert len(ranked.scores) == 12
    assert np.isfinite(ranked.scores).all()


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_is_told_before_a_weight_moves(what, images):
    with PretendedCuda():
        search = SEARCHERS["spos"](images, "cuda")
        search.advance()
        network = search.weights.network
        if what == "loss":
            with torch.no_grad():
                next(network.parameters()).fill_(float("nan"))
        else:
            for parameter in network.parameters():
                parameter.register_hook(lambda gradient: gradient * float("inf"))
        before = [parameter.detach().cpu() for parameter in network.parameters()]
        with pytest.raises(Diverged, match=f"step 2: the {'training loss' if what == 'loss' else 'gradient of'}"):
            search.advance()
        after = [parameter.detach().cpu() for parameter in network.parameters()]
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.nan_to_num(), other.nan_to_num())
