"""Passes of a supernet as graphs: how many there are, and that what they overwrite is no longer needed.

On a CPU `torch.compile` stops before it makes kernels, and what overwrites memory as a CUDA graph does is imitated.
"""

import functools

import numpy as np
import pytest
import torch
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters

import naslab as nl
from naslab.errors import SpecError
from naslab.networks.mixture import Mixture
from naslab.operations import indexing
from naslab.operations.optimizations import Optimizations
from naslab.searchers import gradient as g
from naslab.searchers.execution import Execution
from naslab.searchers.passes import Captured, Compiled
from naslab.testing.pretended_cuda import PretendedCuda

CELL = nl.spaces.DartsCell(
    nodes=1, channels=4, cells=1, operations=("none", "max_pool_3x3", "skip_connect", "dil_conv_3x3")
)
CUDA = torch.device("cuda")
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"  # the compiler looks at it, and hides this warning
)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits().subset(96)


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    counters.clear()


def a_search(digits, passes=None, cls=nl.searchers.GradientSearch, **given):
    """A search on the CPU as on a GPU, where the kernels for a CPU are not used."""
    search = cls(CELL, digits, **(dict(epochs=2, batch_size=16, seed=0, device="cpu") | given))
    search.network.optimizations = Optimizations(pooling_by_convolution=False, compiled_kernel=False, one_pass=False)
    if passes is not None:
        search._passes = passes(search.network)
    return search


def overwriting():
    """A backend of `torch.compile` whose every forward pass destroys what earlier passes returned."""
    returned = []

    def compiler(forward):
        def compiled(module, examples):
            def run(*given):
                if forward:
                    for tensor in returned:
                        if tensor.is_floating_point():
                            tensor.fill_(torch.nan)
                    returned.clear()
                outputs = [x.clone() if isinstance(x, torch.Tensor) else x for x in module(*given)]
                returned.extend(x for x in outputs if isinstance(x, torch.Tensor))
                return outputs

            return make_boxed_func(run)

        return compiled

    return aot_autograd(fw_compiler=compiler(True), bw_compiler=compiler(False))


def compiled(backend="eager"):
    return functools.partial(Compiled, backend=backend)


def assert_same_steps(ours, theirs, steps):
    for _ in range(steps):
        one, other = ours.advance(), theirs.advance()
        assert one.best == other.best
        for name, value in other.metrics.items():
            assert one.metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
        for part, probabilities in other.probabilities.items():
            np.testing.assert_allclose(one.probabilities[part], probabilities, atol=1e-6)
    for (name, one), other in zip(ours.network.state_dict().items(), theirs.network.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.fixture
def marks(monkeypatch):
    """Begins of steps that were marked for the CUDA graphs of `torch.compile`."""
    seen = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: seen.append(1))
    return seen


@pytest.mark.slow
def test_a_compiled_search_has_three_graphs_and_nothing_else_makes_one(digits, marks):
    given = dict(level=g.Bilevel(order=2), precision="bfloat16")  # whose finite difference is in float32
    ours, theirs = a_search(digits, compiled(), **given), a_search(digits, **given)
    assert_same_steps(ours, theirs, 1)
    assert counters["stats"]["unique_graphs"] == 3, "the weights, both gradients, and the finite difference"
    child = CELL.sample(np.random.default_rng(0))
    for search in (ours, theirs):
        search.apply_setting("w_lr", 0.03)
        search.apply_setting("alpha_lr", 0.01)
    assert ours.accuracy(child) == pytest.approx(theirs.accuracy(child), abs=0.05)
    for name in ours.measurable:
        assert ours.measure(name) == pytest.approx(theirs.measure(name), rel=0.01)
    assert_same_steps(ours, theirs, ours.total - 1)
    assert counters["stats"]["unique_graphs"] == 3
    assert not counters["graph_break"]
    assert len(marks) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "graphs"), [({"level": g.Bilevel(order=2)}, 3), ({"checkpointing": True}, 2)], ids=["order 2", "again"]
)
def test_what_a_compiled_pass_overwrites_is_no_longer_needed(digits, marks, given, graphs):
    ours = a_search(digits, compiled(overwriting()), **given)
    assert_same_steps(ours, a_search(digits, **given), 2)
    assert counters["stats"]["unique_graphs"] == graphs
    assert not counters["graph_break"]


# --- graphs of the operations as they are --------------------------------------------------------


class Graphs:
    """Imitates `torch.cuda.make_graphed_callables`: a forward pass destroys what earlier passes returned or kept."""

    def __init__(self):
        self.made, self.returned, self.kept = 0, [], None

    def __call__(self, module, places, *, allow_unused_input, pool):
        assert pool is not None, "without a common pool each graph would keep the memory of its activations"
        self.made += 1
        graphs, function, parameters = self, module.forward, tuple(module.parameters())
        recorded = torch.is_grad_enabled()
        wanted = [x for x in (*places, *parameters) if x.requires_grad]
        for _ in range(3):  # the real one tries it first, which moves running statistics and draws random numbers
            outputs = function(*places)
            if outputs.requires_grad:
                torch.autograd.grad(outputs.sum(), wanted, allow_unused=allow_unused_input)

        class Graphed(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *given):
                for tensor in graphs.returned:
                    tensor.fill_(torch.nan)
                graphs.returned.clear()
                for place, x in zip(places, given, strict=False):
                    place.copy_(x)
                with torch.set_grad_enabled(recorded):
                    ctx.outputs = graphs.kept = function(*places)
                return graphs.handed_out(ctx.outputs)

            @staticmethod
            def backward(ctx, gradient):
                assert graphs.kept is ctx.outputs, "another pass has overwritten what this one had kept"
                found = iter(torch.autograd.grad(ctx.outputs, wanted, gradient, allow_unused=allow_unused_input))
                of_all = [next(found) if x.requires_grad else None for x in (*places, *parameters)]
                return tuple(None if x is None else graphs.handed_out(x) for x in of_all)

        module.forward = lambda *given: Graphed.apply(*given, *parameters)
        return module

    def handed_out(self, x):
        self.returned.append(kept := x.detach().clone())
        return kept.detach()


@pytest.fixture
def graphs(monkeypatch):
    imitation = Graphs()
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", imitation)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    return imitation


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, 2),
        ({"warmup": 0.5}, 3),
        ({"level": g.Bilevel(order=2)}, 3),
        ({"level": g.Bilevel(order=2), "precision": "bfloat16"}, 3),
        ({"level": g.SingleLevel(), "sampling": g.Concrete(temperature=0.01)}, 1),
        ({"regularizers": (g.Perturbation(kind="adversarial", steps=2), g.Entropy())}, 2),
        ({"channels": g.PartialChannels(one_in=2, edge_normalisation=True)}, 2),
        ({"checkpointing": True}, 2),
    ],
    ids=["darts", "warm-up", "second order", "in float32 for once", "snas", "sdarts", "pc-darts", "checkpointing"],
)
def test_captured_passes_make_the_same_steps_bit_for_bit(digits, graphs, given, made):
    ours, theirs = a_search(digits, Captured, **given), a_search(digits, **given)
    for _ in range(ours.total - 1):
        assert ours.advance() == theirs.advance()
    assert ours.measure() == theirs.measure()
    assert ours.advance() == theirs.advance()
    assert graphs.made == made
    mine, other = ours.state_dict(), theirs.state_dict()
    assert all(torch.equal(mine[k], v) if isinstance(v, torch.Tensor) else mine[k] == v for k, v in other.items())


def test_weights_that_are_rounded_to_zero_make_no_graph_of_their_own(digits, graphs):
    search = a_search(digits, Captured, sampling=g.Concrete(temperature=0.01, temperature_end=0.01))
    for _ in range(search.total):
        with torch.no_grad():
            assert bool((search._draw("weights", {"temperature": 0.01})["reduce"].weights == 0).any())
        search.advance()
    assert graphs.made == 2


def test_a_set_of_forbidden_operations_and_a_batch_size_have_graphs_of_their_own(digits, graphs):
    ours, theirs = a_search(digits, Captured), a_search(digits)
    for search in (ours, theirs):
        search.advance()
    assert graphs.made == 2
    for name, value in (("mask/reduce", {"0": ["max_pool_3x3"]}), ("batch_size", 8)):
        for search in (ours, theirs):
            search.apply_setting(name, value)
        for _ in range(3):
            assert ours.advance() == theirs.advance()
    assert graphs.made == 6
    for name, value in (("skip_dropout", 0.5), ("freeze/alphas", True), ("freeze/weights", True)):
        for search in (ours, theirs):
            search.apply_setting(name, value)
        assert ours.advance() == theirs.advance()
    assert graphs.made == 6, "what drops behind skip connections is computed as it is"
    for search in (ours, theirs):
        search.apply_setting("skip_dropout", 0.0)
    assert ours.advance() == theirs.advance()
    assert graphs.made == 7, "both passes without gradients are one graph"
    assert len(ours._passes._graphs) == 3, "those of the old batch size are gone"


@pytest.mark.parametrize(
    "space",
    [nl.spaces.DartsCell(nodes=2, channels=4, cells=3), nl.spaces.NASBench201(channels=4, cells=1)],
    ids=lambda space: space.name,
)
@pytest.mark.parametrize("one_in", [1, 2])
@pytest.mark.slow
def test_no_pass_waits_for_the_gpu_which_no_graph_could_hold(digits, space, one_in):
    """A pass that reads numbers of the GPU, or copies some there, cannot be captured."""
    used = {part: [[True] * len(space.operations) for _ in range(rows)] for part, rows in space.edges().items()}
    for rows in used.values():
        rows[0][-1] = rows[-1][-1] = False  # some edges of several
    with PretendedCuda() as gpu:
        network = space.supernet(digits, one_in=one_in).to("cuda")
        x = digits.example(4, device="cuda")[0]

        def both_passes():
            shares = [torch.full((len(rows), len(rows[0])), 0.2, device="cuda") for rows in used.values()]
            given = zip(used.items(), shares, strict=True)
            outputs = network(x, {part: Mixture(share.requires_grad_(), rows) for (part, rows), share in given})
            torch.autograd.grad(outputs.sum(), [*network.parameters(), *shares], allow_unused=True)

        both_passes()
        gpu.reset()
        both_passes()
        assert gpu.waits == 0, gpu.report()


def test_a_graph_holds_the_indices_that_it_reads(digits, graphs):
    indexing._kept.clear()
    mine = indexing.index_on((2, 0, 1), torch.device("cpu"))
    search = a_search(digits, Captured)
    search.advance()
    indexing._kept.clear()
    assert all(any(index is mine for index in graph.read) for graph in search._passes._graphs.values())


def test_a_supernet_that_cannot_be_captured_says_so(digits, monkeypatch):
    def refused(*given, **options):
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nSearch for ...")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refused)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", object)
    search = a_search(digits, Captured)
    with pytest.raises(SpecError, match=r"a DartsSupernet, cannot be captured: CUDA error: .* capturing\. Leave"):
        search.advance()
    with pytest.raises(SpecError, match="inputs are not all tensors"):
        search._passes((torch.zeros(1), 3), {})


class Dropping(torch.nn.Module):
    """A supernet with dropout."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, weights):
        return torch.nn.functional.dropout(x * self.scale * weights["cell"].sum())


def test_what_is_tried_before_a_capture_draws_no_random_numbers(graphs):
    network, given = Dropping(), (torch.ones(4, 4), {"cell": torch.ones(1, 2)})
    torch.manual_seed(0)
    expected = network(*given)
    torch.manual_seed(0)
    assert torch.equal(Captured(network)(*given), expected)


class Asking(torch.nn.Module):
    """A supernet whose result depends on a number that it reads from a tensor."""

    def forward(self, x, weights):
        return x.mean((2, 3)) * float(weights["cell"].sum().item() > np.random.default_rng().random())


@pytest.mark.slow
def test_a_supernet_that_the_compiler_cannot_follow_says_so():
    passes = Compiled(Asking(), backend="eager")
    with pytest.raises(SpecError, match=r"torch\.compile cannot follow the supernet, a Asking: .*Leave compile out"):
        passes(torch.ones(2, 1, 4, 4), {"cell": torch.ones(1, 2)})


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "compile", "message"),
    [
        (dict(sampling=g.StraightThrough()), True, "StraightThrough computes only what it draws"),
        (dict(sampling=g.BinaryGates()), "cuda_graphs", "BinaryGates computes only what it draws"),
        (dict(sampling=g.Reinforce()), True, "Reinforce computes only what it draws"),
        (dict(level=g.Bilevel(order=2, hessian_product="exact")), True, 'take hessian_product="finite_difference"'),
        (dict(regularizers=(g.SkipDropout(),)), True, "SkipDropout draws its masks"),
        (dict(level=g.MixedLevel()), "cuda_graphs", "take compile=True"),
    ],
)
def test_what_cannot_be_a_graph_is_refused_at_construction(digits, monkeypatch, parts, compile, message):
    monkeypatch.setattr("naslab.searchers.gradient.base.usable_device", lambda device: CUDA)
    with pytest.raises(SpecError, match=f"gradient with compile={compile!r}: .*{message}"):
        nl.searchers.GradientSearch(CELL, digits, compile=compile, **parts)


def test_what_can_be_a_graph_is_not_refused():
    for name in ("Darts", "PCDarts", "DrNAS", "SNAS", "SmoothDarts", "IDarts", "MiLeNAS", "RobustDarts"):
        cls = getattr(nl.searchers, name)
        assert cls.compose(cls.Hyperparameters()).not_compilable(True) is None
    assert g.Parts(level=g.Bilevel(order=2)).not_compilable("cuda_graphs") is None


@pytest.mark.parametrize(
    ("device", "compile", "message"),
    [
        ("cpu", "cuda_graphs", "compile='cuda_graphs' is for GPUs"),
        ("mps", "cuda_graphs", "needs CUDA, and the device is mps"),
        ("cuda", "graphs", "must be True, False or"),
        ("cuda", 1, "must be True, False or"),
    ],
)
def test_a_wrong_value_is_refused(device, compile, message):
    with pytest.raises(SpecError, match=message):
        Execution(device=torch.device(device), compile=compile)


def test_a_recurrent_supernet_is_refused():
    text = nl.tasks.LanguageModel.from_text("the cat sat on the mat\n" * 20, bptt=4)
    supernet = nl.spaces.RecurrentCell(nodes=1, hidden=8).supernet(text)
    with pytest.raises(SpecError, match="a RecurrentSupernet cannot be compiled; leave it out"):
        Execution(device=CUDA, compile=True).passes(supernet)


def test_the_way_of_computing_is_kept_with_the_run(digits, monkeypatch):
    spec = {**a_search(digits).spec(), "compiled": "cuda_graphs"}
    assert nl.searchers.from_spec(spec, digits).execution.compile is False, "on a CPU there are no graphs"
    assert isinstance(Execution(device=CUDA, compile="cuda_graphs").passes(torch.nn.Identity()), Captured)
    assert isinstance(Execution(device=CUDA, compile=True).passes(torch.nn.Identity()), Compiled)
