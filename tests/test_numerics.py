"""A GPU computes in the precision and with the determinism that were asked for, and the caller's settings stay his.

torch has these settings without a GPU, too, so that a searcher on the CPU that is told it were on CUDA shows them.
"""

import threading

import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.numerics import WORKSPACE, Numerics
from naslab.searchers.execution import Execution
from naslab.trainers import loop

CUDA = torch.device("cuda")
CPU = torch.device("cpu")
SPACE = nl.spaces.NASBench201(channels=4, cells=1)


def settings():
    """Every setting that `Numerics` may write, each with "" where the two interfaces of torch disagree about it."""
    backends = torch.backends
    read = {
        "convolutions": lambda: backends.cudnn.conv.fp32_precision,
        "recurrent": lambda: backends.cudnn.rnn.fp32_precision,
        "products": lambda: backends.cuda.matmul.fp32_precision,
        "products on the CPU": lambda: backends.mkldnn.matmul.fp32_precision,
        "all": lambda: backends.fp32_precision,
        "all of CUDA": lambda: backends.cudnn.fp32_precision,
        "earlier convolutions": lambda: backends.cudnn.allow_tf32,
        "earlier products": lambda: backends.cuda.matmul.allow_tf32,
        "earlier name": torch.get_float32_matmul_precision,
        "deterministic": lambda: backends.cudnn.deterministic,
        "benchmark": lambda: backends.cudnn.benchmark,
        "algorithms": torch.are_deterministic_algorithms_enabled,
        "only a warning": torch.is_deterministic_algorithms_warn_only_enabled,
    }
    found = {}
    for name, ask in read.items():
        try:
            found[name] = ask()
        except RuntimeError:
            found[name] = ""
    return found


def seen(now=None):
    """The settings that decide what is computed: TF32 in convolutions and in products, deterministic, benchmark."""
    now = now or settings()
    return now["convolutions"] == "tf32", now["products"] == "tf32", now["deterministic"], now["benchmark"]


@pytest.fixture(autouse=True)
def as_in_a_new_process():
    yield
    backends = torch.backends
    backends.fp32_precision = backends.cudnn.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = True
    backends.cuda.matmul.fp32_precision = backends.mkldnn.matmul.fp32_precision = "none"
    backends.cudnn.deterministic = backends.cudnn.benchmark = False
    torch._C._set_deterministic_algorithms(False)


CALLERS = {
    "a new process": lambda: None,
    "high": lambda: torch.set_float32_matmul_precision("high"),
    "medium": lambda: torch.set_float32_matmul_precision("medium"),
    "products in TF32": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "convolutions in float32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "all in TF32": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "all in float32": lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    "convolutions alone": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "products alone": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "fast": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "exact": lambda: setattr(torch.backends.cudnn, "deterministic", True),
}


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("caller", CALLERS)
def test_the_settings_are_those_asked_for_and_then_the_callers_again(caller, precision):
    CALLERS[caller]()
    before, tf32 = settings(), precision == "tf32"
    for deterministic in (True, False):
        with (
            pytest.raises(KeyboardInterrupt),
            Numerics(device=CUDA, precision=precision, deterministic=deterministic).in_force(),
        ):
            assert seen() == (tf32, tf32, deterministic, not deterministic)
            raise KeyboardInterrupt
        assert settings() == before


def test_torchs_compiler_can_read_the_precision_under_either_name():
    for precision, name in (("float32", "highest"), ("tf32", "high")):
        with Numerics(device=CUDA, precision=precision).in_force():
            now = settings()
        assert now["earlier convolutions"] is now["earlier products"] is (precision == "tf32")
        assert now["earlier name"] == name


@pytest.mark.parametrize("numerics", [Numerics(device=CPU), Numerics(device=CUDA, deterministic=None)])
def test_nothing_is_set_for_a_cpu_nor_where_the_process_decides(numerics):
    before = settings()
    with numerics.in_force():
        assert settings() == before


def test_strict_asks_for_deterministic_algorithms_and_needs_its_buffers(monkeypatch):
    # torch's own function does no more than this, once it has imported the compiler, which takes seconds
    algorithms = torch._C._set_deterministic_algorithms
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on, **given: algorithms(on, **given))
    monkeypatch.delenv(WORKSPACE, raising=False)
    with pytest.raises(SpecError, match=f"needs {WORKSPACE}=:4096:8 in the environment before CUDA is used"):
        Numerics(device=CUDA, deterministic="strict")
    assert not Numerics(device=CPU, deterministic="strict").applies
    monkeypatch.setenv(WORKSPACE, ":16:8")
    before = settings()
    with Numerics(device=CUDA, deterministic="strict").in_force():
        now = settings()
        assert now["deterministic"]
        assert now["algorithms"]
        assert now["only a warning"]
    assert settings() == before
    torch.use_deterministic_algorithms(True)  # a caller who wants errors keeps them
    with Numerics(device=CUDA, deterministic="strict").in_force():
        assert not settings()["only a warning"]
    assert settings()["algorithms"]


@pytest.mark.parametrize("value", ["yes", 1, 0.0, []])
def test_other_values_are_refused(value):
    sentence = "deterministic must be True, False, 'strict' or None, not"
    with pytest.raises(SpecError, match=sentence):
        Execution(device=CPU, deterministic=value)
    with pytest.raises(SpecError, match=sentence):
        nl.trainers.Recipe(deterministic=value)


def test_a_thread_with_other_settings_waits():
    inside, end, order = threading.Event(), threading.Event(), []

    def first():
        with Numerics(device=CUDA, precision="tf32").in_force():
            inside.set()
            end.wait(10)
            order.append(seen()[0])

    one = threading.Thread(target=first)
    one.start()
    inside.wait(10)

    def second():
        with Numerics(device=CUDA).in_force():
            order.append(seen()[0])

    other = threading.Thread(target=second)
    other.start()
    other.join(0.05)
    assert order == []
    end.set()
    one.join()
    other.join()
    assert order == [True, False]


# --- searches and trainings ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits().subset(256, 20)


def told_it_were_on_cuda(searcher):
    """The searcher, which computes on the CPU, with the settings of a GPU around what it computes."""
    execution = searcher.execution
    object.__setattr__(execution, "device", CUDA)
    searcher.numerics = execution.numerics
    return searcher


def watched(network, seen_there):
    """Every forward pass of the network notes the settings."""
    network.register_forward_pre_hook(lambda *_: seen_there.append(seen()))


SEARCHERS = {
    "darts": lambda task, **given: nl.searchers.Darts(SPACE, task, batch_size=8, epochs=1, **given),
    "spos": lambda task, **given: nl.searchers.SPOS(SPACE, task, batch_size=8, epochs=1, **given),
    "enas": lambda task, **given: nl.searchers.Enas(
        nl.spaces.EnasMacro(layers=2, channels=4), task, batch_size=8, epochs=1, **given
    ),
}


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_computes_with_its_settings_and_its_caller_does_not(digits, name):
    for precision in ("float32", "tf32"):
        searcher = told_it_were_on_cuda(SEARCHERS[name](digits, precision=precision, deterministic=False))
        network = searcher.network if name == "darts" else searcher.weights.network
        there, before = [], settings()
        watched(network, there)
        searcher.advance()
        steps = len(there)
        assert steps
        searcher.accuracy(searcher.best)
        assert len(there) > steps
        tf32 = precision == "tf32"
        assert {*there} == {(tf32, tf32, False, True)}
        assert settings() == before


def test_a_finite_difference_is_taken_in_float32_whatever_the_precision(digits):
    def passes(**given):
        there = []
        searcher = nl.searchers.Darts(SPACE, digits, batch_size=8, epochs=1, order=2, **given)
        searcher.advance()
        if given["precision"] == "tf32":
            watched(told_it_were_on_cuda(searcher).network, there)
        else:
            searcher.network.classifier.register_forward_pre_hook(
                lambda *_: there.append([torch.is_autocast_enabled("cpu")])
            )
        searcher.advance()
        return [low for low, *_ in there]

    plus, minus, last = 2, 3, 5  # after the inner step and the outer loss; then the gap and the step of the weights
    for precision in ("tf32", "bfloat16"):
        low = passes(precision=precision)
        assert [number for number, is_low in enumerate(low) if not is_low] == [plus, minus], (precision, low)
        assert len(low) == last + 1
        assert all(passes(precision=precision, hessian_product="exact"))
    assert all(passes(precision="bfloat16", deterministic=None)), "a run of an earlier version goes on as it began"


def test_the_finite_difference_of_a_bfloat16_search_is_that_of_float32(digits):
    def mixed(precision):
        """The gradient of the alphas minus that of first order at w', in the first step: the product alone."""
        searcher = nl.searchers.Darts(SPACE, digits, batch_size=8, epochs=1, order=2, precision=precision)
        taken = []
        loss = searcher.task.loss

        def product(weights):
            with searcher.execution.in_float32(searcher.network):
                x, y = digits.batch(torch.arange(16))
                return torch.autograd.grad(loss(searcher.network(x, weights), y), list(weights.values()))

        taken = product({part: alpha.detach().softmax(-1).requires_grad_() for part, alpha in searcher.alphas.items()})
        return torch.cat([each.flatten() for each in taken])

    assert torch.equal(mixed("float32"), mixed("bfloat16"))


def test_on_a_cpu_tf32_is_float32(digits):
    plain, named = (SEARCHERS["darts"](digits, precision=name, device="cpu") for name in ("float32", "tf32"))
    assert [plain.advance() for _ in range(2)] == [named.advance() for _ in range(2)]


def test_enas_and_spos_take_bfloat16(digits):
    for name in ("spos", "enas"):
        exact, rounded = (SEARCHERS[name](digits, precision=precision).advance() for precision in ("no", "bf16"))
        assert rounded.train_loss == pytest.approx(exact.train_loss, rel=0.05)
        assert rounded.train_loss != exact.train_loss


@pytest.mark.parametrize("name", SEARCHERS)
def test_the_spec_has_them_and_an_older_spec_leaves_the_process_as_it_is(digits, name):
    searcher = SEARCHERS[name](digits, precision="tf32", deterministic=False)
    spec = searcher.spec()
    again = nl.searchers.from_spec(spec, digits)
    assert again.spec() == spec
    assert (again.execution.precision, again.execution.deterministic) == ("tf32", False)
    older = nl.searchers.from_spec({key: spec[key] for key in spec.keys() - {"precision", "deterministic"}}, digits)
    assert (older.execution.precision, older.execution.deterministic) == ("float32", None)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_a_training_computes_with_its_settings(digits, monkeypatch, precision):
    monkeypatch.setattr(loop, "Numerics", lambda device, **given: Numerics(device=CUDA, **given))
    there, before = [], settings()
    with nl.randomness.seeded(0):
        network = SPACE.build(SPACE.at(5), digits)
    watched(network, there)
    nl.trainers.fit(network, digits, epochs=1, batch_size=32, precision=precision, progress=False, device="cpu")
    tf32 = precision == "tf32"
    assert len(there) > 2
    assert {*there[-3:]} == {(tf32, tf32, True, False)}
    assert settings() == before


def test_a_recipe_of_an_earlier_version_is_the_same_recipe():
    told = nl.trainers.Recipe().to_json()
    assert "deterministic" not in told
    assert told["precision"] == "no"
    for other in (nl.trainers.Recipe(precision="tf32"), nl.trainers.Recipe(deterministic=False)):
        assert nl.trainers.Recipe(**other.to_json()) == other
