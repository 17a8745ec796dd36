"""The fast supernets against the plain ones (benchmarks/plain.py): the same function, gradients and statistics."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from naslab.networks import DartsSupernet, NASBench201Supernet
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.per_edge import from_per_edge, to_per_edge
from naslab.operations import kernels
from naslab.operations.images import DARTS_OPERATIONS, DARTS_SEARCHED, NASBENCH201_OPERATIONS
from naslab.operations.optimizations import Optimizations
from naslab.randomness import numpy_generator, seeded, torch_generator
from naslab.searchers.gradient.bilevel import exact_product

ONE_OFF = [Optimizations(**{field.name: False}) for field in dataclasses.fields(Optimizations)]


@dataclass
class Pair:
    """A fast and a plain supernet of the same weights, and a batch."""

    fast: nn.Module
    plain: nn.Module
    x: torch.Tensor
    rows: dict[str, int]
    columns: int

    def weights(self, requires_grad: bool = True) -> dict[str, torch.Tensor]:
        generator = torch_generator("mixture")
        shape = self.columns
        drawn = {part: torch.randn(r, shape, dtype=torch.float64, generator=generator) for part, r in self.rows.items()}
        return {part: d.softmax(dim=1).to(self.x.dtype).requires_grad_(requires_grad) for part, d in drawn.items()}

    def one_hot(self, columns: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """One operation an edge, drawn, and on every third edge nothing."""
        generator = torch_generator("one-hot")
        found = {}
        for part, rows in self.rows.items():
            found[part] = torch.zeros(rows, self.columns, dtype=self.x.dtype)
            found[part][range(rows), torch.randint(self.columns, (rows,), generator=generator)] = 0.7
            found[part][::3] = 0
        return found


def darts(
    plain, operations=DARTS_SEARCHED, nodes=3, shape=(2, 9, 12), batch=3, channels=4, cells=4, dtype=torch.float64
):
    arguments = (tuple(operations), nodes, shape, 5)
    sizes = {"channels": channels, "cells": cells}
    rows = nodes * (nodes + 3) // 2
    return pair(
        DartsSupernet, plain.PlainDartsSupernet, arguments, sizes, {"normal": rows, "reduce": rows}, batch, dtype
    )


def nasbench201(
    plain, operations=tuple(NASBENCH201_OPERATIONS), shape=(2, 7, 8), batch=3, channels=4, cells=1, dtype=torch.float64
):
    arguments = (operations, shape, 5)
    sizes = {"channels": channels, "cells": cells}
    return pair(NASBench201Supernet, plain.PlainNASBench201Supernet, arguments, sizes, {"cell": 6}, batch, dtype)


def pair(fast_kind, plain_kind, arguments, sizes, rows, batch, dtype) -> Pair:
    with seeded("pair"):
        fast, plain = fast_kind(*arguments, **sizes).to(dtype), plain_kind(*arguments, **sizes).to(dtype)
    plain.load_state_dict(to_per_edge(fast))
    x = torch.randn(batch, *arguments[-2], dtype=torch.float64, generator=torch_generator("images")).to(dtype)
    return Pair(fast, plain, x, rows, len(arguments[0]))


def gradients_by_name(network, x, weights, *, per_edge):
    """Logits, gradients of the mixture, and gradients of the parameters with the names of the plain supernet."""
    logits = network(x, weights)
    names, parameters = zip(*network.named_parameters(), strict=True)
    mixtures = [w for w in weights.values() if w.requires_grad]
    found = torch.autograd.grad(logits.logsumexp(dim=1).sum(), [*mixtures, *parameters], materialize_grads=True)
    of_parameters = dict(zip(names, found[len(mixtures) :], strict=True))
    if not per_edge:
        with torch.no_grad():
            own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            network.load_state_dict({**own, **of_parameters})
            gradients = to_per_edge(network)
            network.load_state_dict(own)
        of_parameters = gradients
    return logits.detach(), found[: len(mixtures)], of_parameters


def compare(both: Pair, weights, *, logits_tolerance=1e-11, gradient_tolerance=1e-10):
    ours, our_mixtures, our_gradients = gradients_by_name(both.fast, both.x, weights, per_edge=False)
    theirs, their_mixtures, their_gradients = gradients_by_name(both.plain, both.x, weights, per_edge=True)
    assert_close(ours, theirs, rtol=logits_tolerance, atol=logits_tolerance)
    for a, b in zip(our_mixtures, their_mixtures, strict=True):
        assert (a - b).norm() <= gradient_tolerance * (b.norm() + 1)
    scale = max(g.norm() for g in their_gradients.values())
    assert scale > 0
    for name, gradient in their_gradients.items():
        assert (our_gradients[name] - gradient).norm() <= gradient_tolerance * scale, name
    statistics = to_per_edge(both.fast)
    for name, value in both.plain.state_dict().items():
        if "running" in name:
            assert_close(statistics[name], value, rtol=logits_tolerance, atol=logits_tolerance, msg=name)


random_cases = pytest.mark.parametrize("number", range(8))


@random_cases
@pytest.mark.slow
def test_random_darts_supernets(plain, number):
    draw = numpy_generator("random supernets", number)
    operations = [name for name in DARTS_OPERATIONS if draw.random() < 0.5] or ["sep_conv_3x3"]
    sides = [int(side) for side in draw.integers(5, 15, size=2)]
    both = darts(
        plain,
        operations,
        nodes=int(draw.integers(1, 5)),
        shape=(int(draw.integers(1, 4)), *sides),
        batch=int(draw.integers(2, 6)),
        channels=int(draw.choice([1, 2, 3, 6])),
        cells=int(draw.integers(1, 5)),
    )
    # Three draws that follow one another: the statistics of the second are those after the first.
    compare(both, both.weights())
    compare(both, both.weights(requires_grad=False))


@pytest.mark.parametrize("make", [darts, nasbench201])
@pytest.mark.parametrize("optimizations", [Optimizations(), Optimizations.none(), *ONE_OFF], ids=str)
@pytest.mark.slow
def test_every_trick_is_free_of_consequence(plain, make, optimizations):
    both = make(plain)
    both.fast.optimizations = optimizations
    compare(both, both.weights())


@pytest.mark.parametrize("optimizations", [Optimizations(), Optimizations.none()], ids=["fast", "no optimizations"])
@pytest.mark.parametrize("make", [darts, nasbench201])
@pytest.mark.slow
def test_in_float32(plain, make, optimizations):
    """Logits to 1e-5; gradients to 1e-2, as the decisions of ReLU and max-pooling flip with the last bit."""
    both = make(plain, dtype=torch.float32, batch=12)
    both.fast.optimizations = optimizations
    compare(both, both.weights(), logits_tolerance=1e-5, gradient_tolerance=1e-2)


@pytest.mark.parametrize("size", [8, 11, 16])
@pytest.mark.slow
def test_in_float32_at_sizes_of_a_laptop(plain, size):
    """The kernels of a CPU depend on the number of channels; their strides and borders are checked here."""
    both = darts(plain, shape=(1, size, size + 1), channels=8, batch=8, cells=3, dtype=torch.float32)
    compare(both, both.weights(), logits_tolerance=1e-4, gradient_tolerance=1e-2)


@pytest.mark.parametrize(
    "optimizations", [Optimizations(), Optimizations(stacked=False)], ids=["stacked", "one by one"]
)
@pytest.mark.parametrize("make", [darts, nasbench201])
def test_weights_of_zero(plain, make, optimizations):
    """Left out or computed, and multiplied by zero: the same logits and gradients."""
    both = make(plain)
    both.fast.optimizations = optimizations
    weights = both.one_hot()
    ours, _, our_gradients = gradients_by_name(both.fast, both.x, weights, per_edge=False)
    theirs, _, their_gradients = gradients_by_name(both.plain, both.x, weights, per_edge=True)
    assert_close(ours, theirs, rtol=1e-10, atol=1e-11)
    for name, gradient in their_gradients.items():
        assert_close(our_gradients[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("make", [darts, nasbench201])
def test_statistics_move_where_something_was_computed(plain, make):
    both = make(plain)
    weights = both.one_hot()
    before = to_per_edge(both.fast)
    both.fast(both.x, weights)
    both.plain(both.x, weights)
    after, full = to_per_edge(both.fast), both.plain.state_dict()
    part_of = getattr(both.fast, "parts", None)
    seen = set()
    for name, value in after.items():
        if "running" not in name or ".edges." not in name:
            continue
        cell, row, column = numbers(name)
        part = part_of[cell] if part_of else "cell"
        used = bool(weights[part][row, column] != 0)
        shared = "pool" in name_of(both, column)
        if not shared:
            assert_close(value, full[name] if used else before[name], rtol=1e-10, atol=1e-12, msg=name)
            seen.add(used)
    assert seen == {True, False}


def numbers(name):
    words = name.split(".")
    return int(words[1]), int(words[3]), int(words[5])


def name_of(both, column):
    leaving = next(m for m in both.fast.modules() if hasattr(m, "columns"))
    return next(name for name, c in leaving.columns.items() if c == column)


@pytest.mark.slow
def test_a_forbidden_operation_costs_nothing(plain):
    """All weights of one column zero: as many multiplications as in a supernet that never had it."""
    kept = [name for name in DARTS_SEARCHED if name not in ("sep_conv_5x5", "dil_conv_3x3")]
    whole, less = darts(plain), darts(plain, kept)
    columns = [DARTS_SEARCHED.index(name) for name in kept]
    small = less.weights(requires_grad=False)
    large = {part: torch.zeros(rows, 8, dtype=torch.float64) for part, rows in whole.rows.items()}
    for part, matrix in small.items():
        large[part][:, columns] = matrix

    def flops(network, x, weights):
        with FlopCounterMode(display=False) as counter:
            network(x, weights).sum().backward()
        return counter.get_total_flops()

    assert flops(whole.fast, whole.x, large) == flops(less.fast, less.x, small)
    assert flops(whole.fast, whole.x, whole.weights()) > 1.2 * flops(less.fast, less.x, small)


@pytest.mark.parametrize("make", [darts, nasbench201])
def test_frozen_weights(plain, make):
    """As in the step of the architecture."""
    both = make(plain)
    for network in (both.fast, both.plain):
        network.requires_grad_(False)
    weights = both.weights()
    found = [
        torch.autograd.grad(n(both.x, weights).logsumexp(dim=1).sum(), list(weights.values()))
        for n in (both.fast, both.plain)
    ]
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("make", [darts, nasbench201])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.slow
def test_frozen_statistics_and_evaluation(plain, make, training):
    both = make(plain)
    both.fast(both.x, both.weights())
    both.plain(both.x, both.weights())
    both.fast.train(training)
    both.plain.train(training)
    before = to_per_edge(both.fast)
    with frozen_statistics(both.fast), frozen_statistics(both.plain):
        for weights in (both.weights(), both.one_hot()):
            assert_close(both.fast(2 * both.x, weights), both.plain(2 * both.x, weights), rtol=1e-9, atol=1e-11)
    for name, value in to_per_edge(both.fast).items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("optimizations", [Optimizations(), Optimizations(separate_grids=False)], ids=str)
@pytest.mark.parametrize("make", [darts, nasbench201])
@pytest.mark.slow
def test_the_exact_hessian_vector_product(plain, make, optimizations):
    """Double backward through every optimization."""
    both = make(plain)
    both.fast.optimizations = optimizations
    products = []
    for network, per_edge in ((both.fast, False), (both.plain, True)):
        weights = both.weights()
        _, _, v = gradients_by_name(both.plain, both.x, weights, per_edge=True)
        names = [name for name, _ in both.plain.named_parameters()]
        if not per_edge:
            state = both.plain.state_dict()
            from_per_edge(network, {**{name: torch.zeros_like(s) for name, s in state.items()}, **v})
            direction = [p.detach().clone() for p in network.parameters()]
            from_per_edge(network, state)
        else:
            direction = [v[name] for name in names]
        loss = lambda: network(both.x, weights).logsumexp(dim=1).sum()  # noqa: B023, E731
        with frozen_statistics(network):
            products.append(exact_product(loss, list(network.parameters()), list(weights.values()), direction))
    for ours, theirs in zip(*products, strict=True):
        assert theirs.norm() > 0
        assert (ours - theirs).norm() <= 1e-9 * theirs.norm()


# --- edge by edge ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [darts, nasbench201])
def test_per_edge_states_go_both_ways(plain, make):
    both = make(plain)
    both.plain(both.x, both.weights())  # statistics of its own
    from_per_edge(both.fast, both.plain.state_dict())
    back = to_per_edge(both.fast)
    assert sorted(back) == sorted(both.plain.state_dict())
    for name, value in both.plain.state_dict().items():
        assert torch.equal(back[name], value), name


def test_a_stranger_s_state_is_refused(plain):
    both = darts(plain)
    state = both.plain.state_dict()
    with pytest.raises(RuntimeError, match="no_such"):
        from_per_edge(both.fast, {**state, "no_such": torch.zeros(1)})


# --- launches --------------------------------------------------------------------------------------


class Launches(TorchDispatchMode):
    """Operations that reach a device: every one but those that only look at memory in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += not func.is_view
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("make", "sizes"), [(darts, {"nodes": 4, "cells": 2}), (nasbench201, {"cells": 4})])
@pytest.mark.slow
def test_half_the_launches_of_the_plain_supernet(plain, make, sizes, monkeypatch):
    both = make(plain, dtype=torch.float32, batch=2, **sizes)
    monkeypatch.setattr(kernels, "_library", lambda *given: None)  # what is compiled is for the CPU alone
    counts = []
    for network in (both.fast, both.plain):
        network(both.x, both.weights(requires_grad=False))  # what is made once is not counted
        with Launches() as launches:
            network(both.x, both.weights(requires_grad=False)).sum().backward()
        counts.append(launches.count)
    assert counts[0] <= counts[1] / 2
