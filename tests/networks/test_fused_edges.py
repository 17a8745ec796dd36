"""The fused kernels of the DARTS supernet: the function of the plain code, and the plain code where they cannot."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from naslab.networks import DartsSupernet, fused_edges
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.mixture import Mixture
from naslab.networks.skip_dropout import SkipMasks
from naslab.operations import fused, kernels, passes, projection
from naslab.operations.images import DARTS_SEARCHED
from naslab.operations.optimizations import Optimizations
from naslab.randomness import seeded, torch_generator
from naslab.threads import torch_threads

compiled = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")
CANDIDATES = [name for name in DARTS_SEARCHED if name != "none"]
CONVOLUTIONS = ["sep_conv_3x3", "dil_conv_5x5"]


class Case:
    """A supernet, images and weights of the mixture; the same in float64 for every setting of the optimizations."""

    def __init__(self, operations=DARTS_SEARCHED, nodes=2, shape=(2, 9, 12), batch=3, channels=4, cells=3) -> None:
        with seeded("fused"):
            self.network = DartsSupernet(tuple(operations), nodes, shape, 5, channels=channels, cells=cells).double()
        generator = torch_generator("fused")
        draw = lambda *sizes: torch.randn(*sizes, dtype=torch.float64, generator=generator)  # noqa: E731
        self.x = draw(batch, *shape)
        self.alphas = {part: draw(nodes * (nodes + 3) // 2, len(operations)) for part in ("normal", "reduce")}

    def weights(self) -> dict[str, Tensor]:
        return {part: alpha.softmax(dim=1).requires_grad_() for part, alpha in self.alphas.items()}

    def run(self, optimizations: Optimizations, frozen: bool = False) -> dict[str, Tensor]:
        """Loss, gradients and statistics by name, all computed on a copy of the network."""
        network = copy.deepcopy(self.network)
        network.optimizations = optimizations  # type: ignore[assignment]
        network.requires_grad_(not frozen)
        weights = self.weights()
        loss = network(self.x, weights).square().sum()
        loss.backward()
        found = {"loss": loss.detach(), **{part: w.grad for part, w in weights.items() if w.grad is not None}}
        found |= {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
        return found | {name: b.double() for name, b in network.named_buffers()}


def equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], tolerance: float = 1e-12) -> None:
    """Relative to the largest of the same kind: a gradient may be zero but for rounding."""
    assert ours.keys() == theirs.keys()
    kind = lambda name: name.partition(" of ")[0] if " of " in name else name.rpartition(".")[2]  # noqa: E731
    scale: dict[str, float] = {}
    for name, tensor in theirs.items():
        scale[kind(name)] = max(scale.get(kind(name), 0.0), float(tensor.norm()))
    for name, tensor in theirs.items():
        assert float((ours[name] - tensor).norm()) <= tolerance * (scale[kind(name)] + 1), name


@pytest.fixture
def calls(monkeypatch) -> dict[str, int]:
    """How often the fused kernels were called."""
    counts = {"leaving": 0, "projected": 0}
    for name in counts:
        original = getattr(fused_edges, name)

        def counted(*given, name=name, original=original):
            counts[name] += 1
            return original(*given)

        monkeypatch.setattr(fused_edges, name, counted)
    return counts


SHAPES = {
    "odd sizes": {},
    "two vectors": {"channels": 8, "shape": (3, 16, 16), "cells": 2},
    "one image": {"batch": 1, "shape": (3, 13, 11)},
    "hardly larger than a kernel": {"shape": (1, 5, 7), "batch": 2},
    "one edge": {"nodes": 1},
    "four nodes": {"nodes": 4, "cells": 2, "shape": (1, 8, 8)},
    "wide kernels": {"operations": (*CANDIDATES, "sep_conv_7x7")},
}


@compiled
@pytest.mark.parametrize("sizes", SHAPES.values(), ids=SHAPES)
def test_the_same_loss_gradients_and_statistics(sizes, calls):
    case = Case(**sizes)
    equal(case.run(Optimizations()), case.run(Optimizations.none()))
    cells, nodes = sizes.get("cells", 3), sizes.get("nodes", 2)
    assert calls == {"leaving": cells * (1 + nodes), "projected": 2 * cells}


@compiled
@pytest.mark.parametrize("left_out", CANDIDATES)
def test_without_one_candidate(left_out, calls):
    """Other numbers of normalised, pooled and shared tensors."""
    case = Case([name for name in CANDIDATES if name != left_out], cells=2)
    equal(case.run(Optimizations()), case.run(Optimizations.none()))
    assert calls["leaving"]


@compiled
@pytest.mark.parametrize("only", [*CONVOLUTIONS, "sep_conv_7x7"])
def test_one_candidate_alone(only, calls):
    case = Case([only], cells=2)
    equal(case.run(Optimizations()), case.run(Optimizations.none()))
    assert calls["leaving"]


@compiled
@pytest.mark.parametrize("off", ["fused_pools", "running_sum", "fused_projection"])
def test_parts_of_it_alone(off, calls):
    case = Case(cells=2)
    equal(case.run(Optimizations(**{off: False})), case.run(Optimizations.none()))
    assert calls["leaving"]
    assert (calls["projected"] == 0) == (off == "fused_projection")


@compiled
def test_frozen_weights_as_in_the_step_of_the_architecture(calls):
    case = Case()
    equal(case.run(Optimizations(), frozen=True), case.run(Optimizations.none(), frozen=True))
    assert calls["leaving"]


@compiled
def test_several_threads_give_the_same_and_always_the_same_bits(calls, monkeypatch):
    case = Case(channels=8, batch=5, cells=2)
    expected = case.run(Optimizations())
    monkeypatch.setattr(kernels, "SMALLEST", 1)  # so that there is something to share
    with torch_threads(3):
        first, again = case.run(Optimizations()), case.run(Optimizations())
    equal(first, expected)
    assert all(torch.equal(first[name], again[name]) for name in first)


@compiled
def test_statistics_that_are_frozen_stay(calls):
    case = Case(cells=2)
    before = {name: buffer.clone() for name, buffer in case.network.named_buffers()}
    with frozen_statistics(case.network):
        case.network(case.x, case.weights())
    assert calls["leaving"]
    assert all(torch.equal(buffer, before[name]) for name, buffer in case.network.named_buffers())


@compiled
def test_what_is_not_a_number_stays_so(calls):
    """A ReLU or a maximum that swallowed it would hide that a training has diverged."""
    case = Case(cells=2)
    case.x[1, 0, 4, 4] = torch.nan
    assert case.network(case.x, case.weights()).isnan().all()
    assert calls["leaving"]
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    x[1, 2, 3, 3] = torch.nan
    most, _, mean = passes.Pass(x, 4, 1, 1, 1e-5).pools(x)[0].unflatten(2, (6, 6))[:, 1, ..., 2]
    assert (most.isnan().sum(), mean.isnan().sum()) == (9, 9)


@compiled
def test_a_gradient_can_be_differentiated_again(calls):
    """By the plain code; the kernels know no second derivative, and must not pretend to."""
    case = Case(shape=(1, 6, 6), cells=2)
    products = []
    for optimizations in (Optimizations(), Optimizations.none()):
        network = copy.deepcopy(case.network)
        network.optimizations = optimizations  # type: ignore[assignment]
        weights, parameters = case.weights(), list(network.parameters())
        loss = network(case.x, weights).square().sum()
        found = torch.autograd.grad(loss, parameters, create_graph=True)
        directions = [torch.linspace(-1, 1, g.numel(), dtype=g.dtype).view_as(g) for g in found]
        whole = torch.stack([(g * d).sum() for g, d in zip(found, directions, strict=True)]).sum()
        wanted = [*weights.values(), *parameters]
        products.append(torch.autograd.grad(whole, wanted, allow_unused=True, materialize_grads=True))
    assert calls["leaving"]
    size = max(float(p.norm()) for p in products[1])
    for ours, theirs in zip(*products, strict=True):
        assert float((ours - theirs).norm()) <= 1e-10 * size


@compiled
@pytest.mark.parametrize("reduction", [False, True])
def test_the_gradient_is_that_of_differences(reduction):
    """Of the unit alone, with everything in it, independent of any other implementation."""
    generator = torch_generator("differences")
    draw = lambda *sizes: torch.randn(*sizes, dtype=torch.float64, generator=generator)  # noqa: E731
    stride = 2 if reduction else 1
    c = fused.Candidates(
        1e-5, 2, stride, [[passes.Half(3, stride, 2)]], reduction, pools=True, identity=not reduction, shared=0,
        running=[None] * 4,
    )  # fmt: skip
    parameters = [draw(8, 1, 3, 3), draw(8, 4, 1, 1), *([draw(4, 4, 1, 1), draw(4, 4, 1, 1)] if reduction else [])]
    inputs = [p.requires_grad_() for p in (draw(2, 4, 5, 6), draw(4, 2), *parameters)]
    above = draw(2, 2, 4, *((3, 3) if reduction else (5, 6)))

    def loss(x: Tensor, weight: Tensor, *parameters: Tensor) -> Tensor:
        found = fused.leaving(c, x.contiguous(memory_format=torch.channels_last), weight, parameters)
        return (torch.stack(found) * above).sum()

    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-5)


@compiled
def test_memory_that_is_not_kept_is_given_back():
    """With checkpointing, what lies between the convolutions must not live on beside the graph."""
    graphs = []
    for checkpointing in (False, True):
        case = Case(cells=2)
        case.network.checkpointing = checkpointing
        packed: list[int] = []

        def pack(tensor: Tensor, packed: list[int] = packed) -> Tensor:
            packed.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            graphs.append(case.network(case.x, case.weights()))
        assert (sum(packed) > 50 * case.x.numel()) != checkpointing


# --- the plain way ---------------------------------------------------------------------------------


def hooked(case: Case) -> Tensor:
    seen: list[nn.Module] = []
    for cell in case.network.cells:
        for edges in cell.leaving:  # type: ignore[union-attr]
            edges.stacked["sep_conv_3x3"].register_forward_hook(lambda module, *_: seen.append(module))
        cell.preprocess.register_forward_hook(lambda module, *_: seen.append(module))  # type: ignore[union-attr]
    found = case.network(case.x, case.weights())
    assert len(seen) == 2 * (1 + 3)
    return found


def unused(case: Case) -> Tensor:
    used = [[name != "sep_conv_5x5" for name in DARTS_SEARCHED]] * 5
    return case.network(case.x, {part: Mixture(w.detach(), used) for part, w in case.weights().items()})


def dropped(case: Case) -> Tensor:
    used = [[True] * len(DARTS_SEARCHED)] * 5
    masks = SkipMasks(0.5, ["masks"])
    return case.network(case.x, {part: Mixture(w, used, masks) for part, w in case.weights().items()})


def under_autocast(case: Case) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return case.network.float()(case.x.float(), {part: w.float() for part, w in case.weights().items()})


def in_evaluation(case: Case) -> Tensor:
    return case.network.eval()(case.x, case.weights())


def counted(case: Case) -> Tensor:
    with FlopCounterMode(display=False) as counter:
        found = case.network(case.x, case.weights())
    case.network.optimizations = Optimizations(fused_unit=False, fused_projection=False)
    with FlopCounterMode(display=False) as expected:
        case.network(case.x, case.weights())
    assert counter.get_total_flops() == expected.get_total_flops() > 0
    return found


def on_meta(case: Case) -> Tensor:
    return case.network.to("meta")(case.x.to("meta"), {part: w.to("meta") for part, w in case.weights().items()})


def in_a_graph(case: Case) -> Tensor:
    return torch.compile(case.network, backend="eager")(case.x, case.weights())


WAYS = [unused, dropped, under_autocast, in_evaluation, counted, on_meta]


@pytest.mark.parametrize(
    "way",
    [*WAYS, pytest.param(in_a_graph, marks=[pytest.mark.slow, pytest.mark.filterwarnings("ignore:Dynamo detected")])],
    ids=lambda way: way.__name__,
)
def test_the_plain_way_where_the_kernels_do_not_apply(way, calls):
    found = way(Case(cells=2))
    assert calls == {"leaving": 0, "projected": 0 if way not in (unused, dropped) else calls["projected"]}
    assert found.shape == (3, 5)


def test_hooks_see_what_they_hang_on(calls):
    hooked(Case(cells=2))
    assert calls["leaving"] == 0


def test_fake_tensors_have_no_numbers_to_compute_with(calls):
    case = Case(cells=2)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(case.x)
        assert case.network(fake, case.weights()).shape == (3, 5)
    assert not kernels.has_layout(fake.contiguous(memory_format=torch.channels_last))
    assert calls["leaving"] == 0


@pytest.mark.parametrize(
    "sizes", [{"channels": 3, "cells": 1}, {"operations": (*CONVOLUTIONS, "conv_7x1_1x7"), "cells": 2}], ids=str
)
def test_channels_and_candidates_that_no_kernel_has(sizes, calls):
    case = Case(**sizes)
    equal(case.run(Optimizations()), case.run(Optimizations.none()), 1e-10)
    assert calls["leaving"] == 0


def test_absent_without_loss(calls, monkeypatch):
    """As on a machine without a compiler."""
    for module in (passes, kernels):
        monkeypatch.setattr(module, "kernel", lambda *about: None)
    case = Case(cells=2)
    monkeypatch.setattr("naslab.operations.blending.kernel", lambda *about: None)
    monkeypatch.setattr("naslab.operations.depthwise_compiled.kernel", lambda *about: None)
    equal(case.run(Optimizations()), case.run(Optimizations.none()), 1e-10)
    assert calls == {"leaving": 0, "projected": 0}


@compiled
@pytest.mark.parametrize("stride", [1, 2])
def test_tensors_side_by_side_are_as_if_concatenated(stride):
    generator = torch_generator("side by side", stride)
    draw = lambda *sizes: torch.randn(*sizes, dtype=torch.float64, generator=generator)  # noqa: E731
    given = [draw(2, 4, 5, 7).contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(3)]
    weight = draw(8, 12 * stride).requires_grad_()
    ours = projection.projected(1e-5, stride, weight, given, None)
    theirs = projection.written_out(1e-5, stride, weight, given)
    above = torch.randn(ours.shape, dtype=torch.float64, generator=generator)
    found = [torch.autograd.grad(y, [weight, *given], above) for y in (ours, theirs)]
    torch.testing.assert_close([ours, *found[0]], [theirs, *found[1]], rtol=1e-11, atol=1e-12)
