"""Graphs on a GPU, by `torch.compile` and captured: few, whole, nothing overwritten, the numbers of the plain search.

Without a GPU the graphs are counted by `tests/searchers/test_passes.py`, where a backend of torch follows them without
compiling, and where a capture is imitated.
"""

import functools
import math

import pytest
import torch
from torch._dynamo.utils import counters

import naslab as nl
from naslab.errors import SpecError
from naslab.trainers.fit import train

MOST = 3
"""Graphs of a search: the step of the weights, that of the architecture, and in second order the finite difference.
Those of a training: training, evaluation, and a smaller last mini-batch."""
both = pytest.mark.parametrize("compile", [True, "cuda_graphs"])


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("space", ["nasbench201", "darts"])
@pytest.mark.timeout(1200)
def test_a_step_is_few_graphs_that_stay(space, order, gpu, darts):
    search = darts(gpu, space, order=order, compile=True)
    search.advance()
    search.advance()
    graphs = counters["stats"]["unique_graphs"]
    assert 1 <= graphs <= MOST
    for _ in range(18):
        assert math.isfinite(search.advance().train_loss)
    assert counters["stats"]["unique_graphs"] == graphs, "compiled anew"
    assert not counters["graph_break"]
    assert counters["inductor"]["cudagraph_skips"] == 0


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_a_captured_step_is_few_graphs_that_stay(space, order, gpu, darts):
    search = darts(gpu, space, order=order, compile="cuda_graphs")
    for _ in range(20):
        assert math.isfinite(search.advance().train_loss)
    assert len(search._passes._graphs) == order + 1


@both
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("space", ["nasbench201", "darts"])
@pytest.mark.timeout(1200)
def test_it_is_the_uncompiled_search_but_for_rounding(space, order, compile, gpu, darts):
    """With outputs that a later call overwrites, losses and gradients would be those of another mini-batch."""
    compiled, plain = darts(gpu, space, order=order, compile=compile), darts(gpu, space, order=order)
    for _ in range(5):
        ours, theirs = compiled.advance(), plain.advance()
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)
        assert ours.valid_loss == pytest.approx(theirs.valid_loss, rel=1e-3)


@both
@pytest.mark.parametrize(
    ("searcher", "given"),
    [
        ("Darts", {"order": 2, "hessian_product": "exact"}),
        ("Darts", {"checkpointing": True}),
        ("Darts", {"precision": "bfloat16"}),
        ("GDAS", {}),
        ("ProxylessNAS", {}),
        ("RobustDarts", {}),
        ("MiLeNAS", {}),
        ("SmoothDarts", {}),
        ("SNAS", {}),
        ("PCDarts", {}),
        ("DrNAS", {}),
    ],
)
@pytest.mark.timeout(1200)
def test_what_cannot_be_compiled_is_refused_or_runs(searcher, given, compile, gpu, darts):
    try:
        search = darts(gpu, searcher=searcher, compile=compile, **given)
    except SpecError as error:
        pytest.skip(f"refused: {error}")
    for _ in range(3):
        assert math.isfinite(search.advance().train_loss)
    assert search.accuracy(search.best, images=64) >= 0


@both
@pytest.mark.timeout(1200)
def test_the_eigenvalue_is_measured_beside_the_compiled_network(compile, gpu, darts):
    compiled, plain = darts(gpu, compile=compile), darts(gpu)
    for search in (compiled, plain):
        search.advance()
    name = "alpha_hessian_eigenvalue"
    assert compiled.measure(name) == pytest.approx(plain.measure(name), rel=1e-2)


@pytest.mark.timeout(1200)
def test_children_are_not_compiled(gpu, digits):
    search = nl.Search(
        nl.searchers.Darts(nl.spaces.NASBench201(channels=4, cells=1), digits, batch_size=16, device=gpu, compile=True),
        ranking=nl.LiveRanking(nl.benchmarks.NASBench201(), 12, every=1, images=64),
    )
    next(search)
    graphs = counters["stats"]["unique_graphs"]
    next(search)
    assert counters["stats"]["unique_graphs"] == graphs <= MOST


@pytest.mark.timeout(1200)
def test_a_training_keeps_its_graphs_while_drop_path_grows(device, digits, monkeypatch):
    if device == "cpu":  # graphs are the same, and nothing is compiled
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    space, task = nl.spaces.DartsCell(nodes=2, channels=4, cells=3), digits.subset(64, 32)
    network = space.build(space.sample(nl.randomness.numpy_generator(1)), task, drop_path=0.2)
    recipe = nl.trainers.Recipe(epochs=5, batch_size=32, drop_path=0.2, compile=True)
    graphs = [
        counters["stats"]["unique_graphs"] for _ in train(network, task=task, recipe=recipe, seed=0, device=device)
    ]
    assert graphs[1] == graphs[-1], "a graph an epoch"
    assert 1 <= graphs[-1] <= MOST
