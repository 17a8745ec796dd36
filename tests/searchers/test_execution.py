"""How a supernet is computed changes its speed and memory, and its numbers by no more than rounding."""

import json

import pytest
import torch

import naslab as nl
from naslab.analysis.memory import available
from naslab.errors import SpecError
from naslab.operations.optimizations import Optimizations
from naslab.searchers.execution import Execution
from naslab.threads import processors

SPACE = nl.spaces.NASBench201(channels=4, cells=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


def darts(digits, **given):
    return nl.searchers.Darts(SPACE, digits, batch_size=16, epochs=1, **given)


def test_checkpointing_gives_the_same_search_bit_for_bit(digits):
    plain, other = darts(digits), darts(digits, checkpointing=True)
    assert other.network.checkpointing
    assert [plain.advance() for _ in range(2)] == [other.advance() for _ in range(2)]


def test_bfloat16_is_near_and_not_the_same(digits):
    exact, rounded = darts(digits).advance(), darts(digits, precision="bfloat16").advance()
    assert rounded.train_loss == pytest.approx(exact.train_loss, rel=0.05)
    assert rounded.train_loss != exact.train_loss
    for weight in darts(digits, precision="bfloat16").network.parameters():
        assert weight.dtype == torch.float32


@pytest.mark.parametrize("space", [SPACE, nl.spaces.DartsCell(nodes=2, channels=8, cells=3)], ids=lambda s: s.name)
@pytest.mark.slow
def test_bfloat16_rounds_the_tricks_no_worse_than_the_plain_supernet(digits, space):
    x, y = digits.batch(torch.arange(32))
    weights = {part: torch.full((rows, len(space.operations)), 0.2) for part, rows in space.edges().items()}

    def gradient(precision, optimizations):
        network = nl.searchers.Darts(space, digits, batch_size=32, epochs=1, precision=precision).network
        network.optimizations = optimizations
        found = torch.autograd.grad(digits.loss(network(x, weights), y), list(network.parameters()))
        return torch.cat([each.flatten() for each in found])

    exact = gradient("float32", Optimizations())
    ours, plain = (
        1 - torch.nn.functional.cosine_similarity(exact, gradient("bfloat16", optimizations), dim=0)
        for optimizations in (Optimizations(), Optimizations.none())
    )
    assert 0 < ours < 1.5 * plain < 0.1


def test_settings_are_a_part_of_the_spec_and_older_runs_without_them_open(digits):
    search = darts(digits, precision="bfloat16", checkpointing=True)
    spec = json.loads(json.dumps(search.spec()))
    again = nl.searchers.from_spec(spec, digits)
    assert again.execution == search.execution
    assert again.advance() == search.advance()
    for name in ("precision", "checkpointing", "compiled"):
        del spec[name]
    assert nl.searchers.from_spec(spec, digits).execution == darts(digits).execution


@pytest.mark.slow
def test_threads_by_probe_are_a_number_from_then_on(digits):
    search = darts(digits, threads="probe")
    assert search.threads == search.probed.threads
    assert 1 <= search.threads <= processors()
    assert search.spec()["threads"] == search.threads
    assert darts(digits).probed is None
    same = darts(digits, threads=search.threads)
    assert search.advance() == same.advance()  # the probe leaves no trace


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": 0}, "threads"),
        ({"threads": "many"}, "'probe'"),
        ({"threads": 1.5}, "threads"),
        ({"precision": "float61"}, "did you mean 'float16'|unknown precision"),
        ({"compile": True, "device": "cpu"}, "for GPUs"),
        ({"checkpointing": "yes"}, "True or False"),
    ],
)
def test_nonsense_is_refused(digits, given, message):
    with pytest.raises(SpecError, match=message):
        darts(digits, **given)


def test_precision_and_compilation_have_the_names_that_trainers_use(digits):
    """One keyword for one thing; names of another kind, or of the version before, go on."""
    from naslab.errors import NaslabDeprecationWarning

    for short, full in (("no", "float32"), ("bf16", "bfloat16")):
        search = darts(digits, precision=short)
        assert search.execution == darts(digits, precision=full).execution
        assert search.spec()["precision"] == full
    with pytest.raises(SpecError, match="unknown precision 'float16'"):
        darts(digits, precision="fp16")
    with pytest.warns(NaslabDeprecationWarning, match="compiled= of Darts is now called compile="):
        old = darts(digits, compiled=False)
    assert old.spec() == darts(digits, compile=False).spec()
    with pytest.raises(SpecError, match="give compile= alone"):
        darts(digits, compile=True, compiled=True)


@pytest.mark.parametrize("searcher", ["Darts", "GradientSearch", "SPOS", "EN2AS", "Enas"])
def test_clipping_has_one_name_and_run_folders_keep_theirs(searcher):
    from naslab.errors import NaslabDeprecationWarning
    from naslab.searchers.hyperparameters import (
        hyperparameters_from_spec,
        hyperparameters_to_spec,
        read_hyperparameters,
    )

    hyperparameters = getattr(nl.searchers, searcher).Hyperparameters
    with pytest.warns(NaslabDeprecationWarning, match="w_clip is now called gradient_clipping"):
        old = read_hyperparameters(hyperparameters, {"w_clip": 0.5})
    assert old == hyperparameters(gradient_clipping=0.5)
    written = hyperparameters_to_spec(old)
    assert written["w_clip"] == 0.5
    assert "gradient_clipping" not in written
    assert read_hyperparameters(hyperparameters, hyperparameters_from_spec(hyperparameters, written)) == old


def test_a_network_that_cannot_compute_its_cells_again_says_so():
    with pytest.raises(SpecError, match="Linear cannot"):
        Execution(device=CPU, checkpointing=True).prepare(torch.nn.Linear(1, 1))


@pytest.mark.slow
def test_what_does_not_fit_is_refused_before_the_first_step(digits, monkeypatch):
    search = darts(digits)
    monkeypatch.setattr("naslab.networks.step_memory.available", lambda device="cpu": 300_000)
    before = search.state_dict()
    with pytest.raises(SpecError, match=r"needs about .* free; batch_size="):
        search.advance()
    assert search.step == 0
    monkeypatch.setattr("naslab.networks.step_memory.available", available)
    after = search.state_dict()
    assert all(torch.equal(v, after[k]) if isinstance(v, torch.Tensor) else v == after[k] for k, v in before.items())
    assert search.advance() == darts(digits).advance()


@pytest.mark.slow
def test_the_memory_of_a_step_is_measured_without_a_trace(digits):
    search = darts(digits)
    assert search.measure("step_memory") == search.measure("step_memory") > 0.1
    saving = darts(digits, checkpointing=True)
    assert saving.measure("step_memory") < search.measure("step_memory") + 0.1
    assert search.advance() == darts(digits).advance()


@pytest.mark.gpu
@pytest.mark.parametrize("given", [{}, {"precision": "bfloat16"}, {"compile": True}, {"checkpointing": True}])
def test_on_a_gpu_it_is_the_same_search_but_for_rounding(digits, given):
    there, here = darts(digits, device="cuda", **given), darts(digits)
    for _ in range(3):
        ours, theirs = there.advance(), here.advance()
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.05)
