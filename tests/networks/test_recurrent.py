"""The recurrent cell of DARTS, in every way of computing it, against an edge by edge reference of its own."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from naslab.errors import SpecError
from naslab.networks import RECURRENT_ENAS, RECURRENT_V1, Dropouts, RecurrentCellNetwork, RecurrentSupernet
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.recurrent_supernet import PART, RECURRENT_OPERATIONS, row
from naslab.networks.step_memory import peak
from naslab.operations import kernels
from naslab.operations.optimizations import Optimizations
from naslab.randomness import seeded, torch_generator

ROOT = Path(__file__).parents[2]
WORDS, HIDDEN, BATCH, STEPS, NODES = 7, 6, 5, 4, 3
RATES = Dropouts(0.4, 0.3, 0.25, 0.2, 0.3)
WITHOUT = Dropouts(0, 0, 0, 0, 0)

WAYS = {"kernel": Optimizations(), "torch": Optimizations(compiled_kernel=False), "written out": Optimizations.none()}
ways = pytest.mark.parametrize("optimizations", WAYS.values(), ids=WAYS)
fast_ways = pytest.mark.parametrize("optimizations", [WAYS["kernel"], WAYS["torch"]], ids=["kernel", "torch"])


def functions(name):
    return {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda x: x}[name]


def reference(network, tokens, state, matrix, *, edges=None, output=None, training=True):
    """The equations of the paper, one edge and one function at a time, with masks drawn as the network draws them.

    Args:
        matrix: [E, O] of a supernet; or None, and `edges` (function, state) of a cell that is not normalised.
    """
    rates, batch, hidden = network.dropouts, len(tokens), network.hidden

    def drawn(rate, *shape):
        if not training or not rate:
            return torch.ones(shape, dtype=torch.float64)
        return torch.empty(shape, dtype=torch.float64).bernoulli_(1 - rate) / (1 - rate)

    mean, variance = torch.zeros(hidden).double(), torch.ones(hidden).double()

    def normalised(x):
        nonlocal mean, variance
        if matrix is None:
            return x
        if not training:
            return (x - network.norm.running_mean) / (network.norm.running_var + 1e-5) ** 0.5
        mean = 0.9 * mean + 0.1 * x.mean(0).detach()
        variance = 0.9 * variance + 0.1 * x.var(0).detach()
        return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5) ** 0.5

    words = network.embedding * drawn(rates.dropout_e, len(network.embedding), 1)
    of_inputs = drawn(rates.dropout_i, batch, hidden)
    of_x, of_h = drawn(rates.dropout_x, batch, hidden), drawn(rates.dropout_h, batch, hidden)
    h, outputs = state, []
    for step in range(tokens.shape[1]):
        x = words[tokens[:, step]] * of_inputs
        both = torch.cat([x * of_x, h * of_h], 1) @ network.first
        c, u = both[:, :hidden], both[:, hidden:]
        states = [normalised(h + torch.sigmoid(c) * (torch.tanh(u) - h))]
        for node, w in enumerate(network.nodes, start=1):
            terms = torch.zeros(batch, hidden, dtype=torch.float64)
            for source in range(node):
                if matrix is None:
                    of_edge = {name: 1.0 for name, read in [edges[node - 1]] if read == source}
                else:
                    of_edge = dict(zip(network.candidates.operations, matrix[row(node, source)], strict=True))
                for name, p in of_edge.items():
                    if name != "none":
                        s, both = states[source], (states[source] * of_h) @ w
                        gate = torch.sigmoid(both[:, :hidden])
                        terms = terms + p * (s + gate * (functions(name)(both[:, hidden:]) - s))
            states.append(normalised(terms))
        h = sum(states[i] for i in output or range(1, len(states))) / len(output or states[1:])
        outputs.append(h)
    raw = torch.stack(outputs, 1)
    dropped = raw * drawn(rates.dropout, batch, 1, hidden)
    return dropped @ network.embedding.t() + network.bias, raw, dropped, (mean, variance)


def numbers(*words):
    return torch_generator("recurrent", *words)


def inputs(batch=BATCH, steps=STEPS, hidden=HIDDEN):
    tokens = torch.randint(WORDS, (batch, steps), generator=numbers("tokens"))
    return tokens, torch.randn(batch, hidden, dtype=torch.float64, generator=numbers("state"))


def supernet(operations=RECURRENT_OPERATIONS, rates=RATES, hidden=HIDDEN, scale=8.0):
    with seeded("supernet"):
        network = RecurrentSupernet(operations, NODES, WORDS, hidden=hidden, dropouts=rates).double()
    with torch.no_grad():  # far from linear
        for weight in network.parameters():
            weight.mul_(scale)
    return network


def cell(genotype, rates=RATES):
    with seeded("cell"):
        network = RecurrentCellNetwork(genotype, WORDS, hidden=HIDDEN, dropouts=rates).double()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(8)
    return network


def softmax(operations=RECURRENT_OPERATIONS):
    shape = row(NODES + 1, 0), len(operations)
    return torch.randn(shape, dtype=torch.float64, generator=numbers("alphas")).softmax(1).requires_grad_()


def loss_of(logits, raw, dropped):
    """Of everything that comes out."""
    return (logits.logsumexp(-1) + logits.sin().sum(-1)).sum() + raw.pow(3).sum() + dropped.cos().sum()


@ways
@pytest.mark.parametrize(
    "operations",
    [RECURRENT_OPERATIONS, ("identity", "none", "tanh"), ("relu", "sigmoid")],
    ids=["all", "some", "without none"],
)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_supernet_is_the_published_mixture(optimizations, operations, training):
    network, (tokens, state), matrix = supernet(operations).train(training), inputs(), softmax(operations)
    network.norm.running_mean.normal_(generator=numbers("mean"))
    network.norm.running_var.uniform_(0.5, 2, generator=numbers("variance"))
    network.optimizations = optimizations
    if training:
        network.norm.reset_running_stats()
    state.requires_grad_()
    wanted = [*network.parameters(), state, matrix]
    with seeded("masks"):
        expected = reference(network, tokens, state, matrix, training=training)
    with seeded("masks"):
        found = network((tokens, state), {PART: matrix})
    for one, other in zip(found[:3], expected[:3], strict=True):
        assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert_close(found.state, expected[1][:, -1], rtol=1e-12, atol=1e-12)
    theirs = torch.autograd.grad(loss_of(*expected[:3]), wanted)
    for one, other in zip(torch.autograd.grad(loss_of(*found[:3]), wanted), theirs, strict=True):
        assert (one - other).norm() <= 1e-12 * (1 + other.norm())
    if training:
        assert_close(network.norm.running_mean, expected[3][0], rtol=1e-12, atol=1e-14)
        assert_close(network.norm.running_var, expected[3][1], rtol=1e-12, atol=1e-14)
        assert network.norm.num_batches_tracked == STEPS * (NODES + 1)


def test_the_published_code_written_plainly_gives_the_same():
    """That which `benchmarks/recurrent.py` measures against."""
    spec = importlib.util.spec_from_file_location("plain_recurrent", ROOT / "benchmarks" / "recurrent.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network, (tokens, state), matrix = supernet(rates=WITHOUT), inputs(), softmax()
    plain = module.PlainRecurrentSupernet(WORDS, HIDDEN, NODES, (0, 0, 0, 0)).double()
    with torch.no_grad():
        plain.encoder.weight.copy_(network.embedding)
        plain.first.copy_(network.first)
        for one, other in zip(plain.nodes, network.nodes, strict=True):
            one.copy_(other)
    outputs, (log_probabilities, raw) = network((tokens, state), {PART: matrix}), plain(tokens.t(), state, matrix)
    assert_close(outputs.logits.log_softmax(-1), log_probabilities.transpose(0, 1), rtol=1e-12, atol=1e-12)
    assert_close(outputs.raw, raw.transpose(0, 1), rtol=1e-12, atol=1e-12)
    assert_close(network.norm.running_mean, plain.norm.running_mean, rtol=1e-12, atol=1e-12)


@ways
@pytest.mark.parametrize("genotype", [RECURRENT_V1, RECURRENT_ENAS], ids=["V1", "ENAS"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_cell_is_what_its_genotype_says(optimizations, genotype, training):
    network, (tokens, state) = cell(genotype).train(training), inputs()
    network.optimizations = optimizations
    state.requires_grad_()
    wanted = [*network.parameters(), state]
    about = {"edges": genotype.recurrent, "output": genotype.concat, "training": training}
    with seeded("masks"):
        expected = reference(network, tokens, state, None, **about)
    with seeded("masks"):
        found = network((tokens, state))
    for one, other in zip(found[:3], expected[:3], strict=True):
        assert_close(one, other, rtol=1e-12, atol=1e-12)
    theirs = torch.autograd.grad(loss_of(*expected[:3]), wanted)
    for one, other in zip(torch.autograd.grad(loss_of(*found[:3]), wanted), theirs, strict=True):
        assert (one - other).norm() <= 1e-12 * (1 + other.norm())


@fast_ways
def test_in_single_precision_the_fast_ways_are_as_exact_as_pytorch(optimizations):
    """At the size of the initial weights; hidden units that no 8 divide."""
    network, matrix = supernet(hidden=20, rates=WITHOUT, scale=1.0), softmax().detach()
    tokens = torch.randint(WORDS, (16, 10), generator=numbers("tokens"))
    found = []
    plain = WAYS["written out"]
    for way, dtype in ((plain, torch.float64), (plain, torch.float32), (optimizations, torch.float32)):
        network.to(dtype).optimizations = way
        weights = matrix.to(dtype).requires_grad_()
        outputs = network((tokens, None), {PART: weights})
        gradients = torch.autograd.grad(outputs.logits.logsumexp(-1).sum(), [*network.parameters(), weights])
        found.append([outputs.logits, outputs.raw, *gradients])
    for exact, by_torch, fast in zip(*found, strict=True):
        error, usual = ((x.double() - exact).norm() / exact.norm() for x in (fast, by_torch))
        assert error <= max(1e-6, 1.5 * usual)
        assert error <= 5e-6


@fast_ways
def test_gradients_of_gradients_are_right(optimizations):
    network, (tokens, state), matrix = supernet(rates=WITHOUT), inputs(steps=2), softmax()
    second = []
    for way in (optimizations, WAYS["written out"]):
        network.optimizations = way
        outputs = network((tokens, state), {PART: matrix})
        first = torch.autograd.grad(outputs.logits.logsumexp(-1).sum(), list(network.parameters()), create_graph=True)
        second.append(torch.autograd.grad(sum(g.pow(2).sum() for g in first), [matrix, *network.parameters()]))
    for one, other in zip(*second, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert second[0][0].abs().max() > 0


@fast_ways
def test_backward_may_come_twice(optimizations):
    network, given, matrix = supernet(), inputs(), softmax()
    network.optimizations = optimizations
    loss = network(given, {PART: matrix}).logits.logsumexp(-1).sum()
    once, twice = (torch.autograd.grad(loss, [network.nodes, matrix], retain_graph=True) for _ in range(2))
    assert all(map(torch.equal, once, twice))


@ways
def test_what_weighs_nothing_is_not_computed_and_nothing_changes(optimizations):
    network, given = supernet(rates=WITHOUT, hidden=8).eval(), inputs(hidden=8)
    network.optimizations = optimizations
    matrix = torch.zeros(row(NODES + 1, 0), len(RECURRENT_OPERATIONS), dtype=torch.float64)
    for node, source, column in ((1, 0, 1), (2, 0, 2), (2, 1, 4), (3, 0, 3), (3, 2, 2)):
        matrix[row(node, source), column] = 0.5
    with FlopCounterMode(display=False) as few:
        skipping = network(given, {PART: matrix})
    with FlopCounterMode(display=False) as many:
        all_of_it = network(given, {PART: matrix.clone().requires_grad_()})
    of_an_edge = 2 * STEPS * BATCH * 8 * 2 * 8
    assert many.get_total_flops() - few.get_total_flops() == of_an_edge
    assert_close(skipping.logits, all_of_it.logits.detach(), rtol=1e-12, atol=1e-12)


@ways
def test_a_node_that_nothing_enters_is_zero(optimizations):
    network, given = supernet(rates=WITHOUT), inputs()
    network.optimizations = optimizations
    matrix = torch.zeros(row(NODES + 1, 0), len(RECURRENT_OPERATIONS), dtype=torch.float64)
    assert network(given, {PART: matrix}).raw.abs().max() == 0


@fast_ways
def test_without_gradients_nothing_is_kept_for_them(optimizations):
    network, given, matrix = supernet(hidden=8), inputs(steps=40, hidden=8), softmax()
    network.optimizations = optimizations

    def step():
        network(given, {PART: matrix})

    with torch.no_grad():
        few = peak(step)
    assert few < peak(step) / 2


@ways
def test_statistics_that_are_frozen_stay(optimizations):
    network, given, matrix = supernet(), inputs(), softmax()
    network.optimizations = optimizations
    with frozen_statistics(network):
        network(given, {PART: matrix})
    assert network.norm.num_batches_tracked == 0
    assert torch.equal(network.norm.running_mean, torch.zeros(HIDDEN).double())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_the_columns(threads, monkeypatch):
    monkeypatch.setattr(kernels, "SMALLEST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    network, given, matrix = supernet(hidden=40), inputs(hidden=40), softmax()
    found = []
    for way in (WAYS["kernel"], WAYS["written out"]):
        network.optimizations = way
        with seeded("masks"):
            outputs = network(given, {PART: matrix})
        found.append([outputs.raw, *torch.autograd.grad(loss_of(*outputs[:3]), [network.nodes, matrix])])
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() <= 1e-10 * other.norm()


def test_the_kernel_is_tested_where_there_is_a_compiler():
    if os.environ.get("NASLAB_KERNELS") != "0" and kernels.available():
        assert kernels.kernel("recurrent", 8, torch.float64) is not None


def test_published_sizes():
    with torch.device("meta"):
        penn = RecurrentCellNetwork(RECURRENT_V1, 10_000, hidden=850, dropouts=WITHOUT)
        wikitext = RecurrentCellNetwork(RECURRENT_V1, 33_278, hidden=700, dropouts=WITHOUT)
    sizes = {name: p.numel() for name, p in penn.named_parameters()}
    assert sizes == {"embedding": 8_500_000, "bias": 10_000, "first": 2_890_000, "nodes": 11_560_000}
    assert sum(sizes.values()) == 22_960_000
    assert sum(p.numel() for p in wikitext.parameters()) == 33_127_878


def test_the_decoder_is_the_embedding():
    """Its gradient has a part of either: words that are not read are still decoded."""
    network = cell(RECURRENT_V1, WITHOUT)
    network((torch.zeros(2, 3, dtype=torch.long), None)).logits.logsumexp(-1).sum().backward()
    assert (network.embedding.grad[1:] != 0).all()


def test_masks_are_one_for_all_steps():
    network = cell(RECURRENT_V1, Dropouts(0.5, 0, 0, 0, 0))
    outputs = network(inputs())
    gone = outputs.dropped == 0
    assert torch.equal(gone, gone[:, :1].expand_as(gone))
    assert 0 < gone.double().mean() < 1
    assert_close(outputs.dropped[~gone], 2 * outputs.raw[~gone])


def test_a_state_goes_on_where_the_chunk_before_ended():
    network, (tokens, state) = cell(RECURRENT_V1).eval(), inputs()
    whole, first = network((tokens, state)), network((tokens[:, :2], state))
    second = network((tokens[:, 2:], first.state))
    assert_close(torch.cat([first.logits, second.logits], 1), whole.logits)
    assert_close(network(tokens).logits, network((tokens, torch.zeros_like(state))).logits)


def test_bad_inputs_are_refused():
    network, (tokens, state), weights = supernet(), inputs(), {PART: softmax()}
    with pytest.raises(SpecError, match="state must have shape"):
        network((tokens, state[:2]), weights)
    with pytest.raises(SpecError, match=r"tokens \[B, T\]"):
        network((tokens[0], state), weights)
    with pytest.raises(SpecError, match="one sequence"):
        network((tokens[:1], state[:1]), weights)
    with pytest.raises(SpecError, match="got nothing"):
        network((tokens, state), {})
    with pytest.raises(SpecError, match="dropout_h"):
        Dropouts(dropout_h=1.0)


def test_it_learns():
    """That what follows a word is the word after it."""
    network = cell(RECURRENT_V1, WITHOUT)
    tokens = (torch.arange(STEPS + 1) + torch.randint(WORDS, (32, 1), generator=numbers("start"))) % WORDS
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    for _ in range(30):
        optimizer.zero_grad()
        logits = network((tokens[:, :-1], None)).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
    assert loss < 0.5
