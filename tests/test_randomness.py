"""Blocks of numbers change nothing: whatever is asked in whatever order, NumPy's own generator gives the same."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from naslab.errors import SpecError
from naslab.randomness import BlockGenerator, numpy_generator, seeded, torch_generator, uniforms

ASKED = {
    "uniforms": lambda rng, n: uniforms(rng, n),
    "one": lambda rng, n: rng.random(),
    "some": lambda rng, n: rng.random(n).tolist(),
    "float32": lambda rng, n: rng.random(n, dtype=np.float32).tolist(),
    "out": lambda rng, n: rng.random(out=np.empty(n)).tolist(),
    "integer": lambda rng, n: int(rng.integers(n + 1)),  # takes half of 64 bits, and keeps the other half
    "integers": lambda rng, n: rng.integers(7, size=n).tolist(),
    "choice": lambda rng, n: rng.choice(9, size=n, p=np.arange(9) / 36).tolist(),
    "permutation": lambda rng, n: rng.permutation(n).tolist(),
    "normal": lambda rng, n: rng.normal(size=n).tolist(),
    "state": lambda rng, n: rng.bit_generator.state,
    "spawn": lambda rng, n: rng.spawn(1)[0].random(),
}


def block_generator(*words):
    return BlockGenerator(numpy_generator(*words).bit_generator)


@given(
    st.lists(
        st.tuples(st.sampled_from([*ASKED, *["uniforms"] * 8]), st.sampled_from([0, 1, 2, 3, 7, 200, 511, 512, 513])),
        max_size=60,
    )
)
def test_every_number_and_state_is_that_of_a_generator_without_blocks(calls):
    ours, numpys = block_generator("blocks"), numpy_generator("blocks")
    for name, count in calls:
        assert ASKED[name](ours, count) == ASKED[name](numpys, count)
    assert ours.bit_generator.state == numpys.bit_generator.state


def test_many_draws_take_few_calls_of_numpy(monkeypatch):
    ours, calls = block_generator("few"), []
    monkeypatch.setattr(
        BlockGenerator, "_settle", lambda self, settle=BlockGenerator._settle: (calls.append(1), settle(self))
    )
    drawn = [u for _ in range(1000) for u in uniforms(ours, 3)]
    assert drawn == numpy_generator("few").random(3000).tolist()
    assert len(calls) < 10


def test_a_refused_call_loses_nothing():
    ours = block_generator("refused")
    before = [uniforms(ours, 2) for _ in range(5)]
    for call in (lambda: uniforms(ours, -1), lambda: ours.integers(0), lambda: ours.random(-1)):
        with pytest.raises(ValueError):
            call()
    assert [*before, uniforms(ours, 2)] == numpy_generator("refused").random((6, 2)).tolist()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
def test_a_copy_goes_on_from_the_same_number(copied):
    ours = block_generator("copy")
    for _ in range(4):
        uniforms(ours, 3)
    again = copied(ours)
    assert uniforms(again, 5) == uniforms(ours, 5) == numpy_generator("copy").random(17)[12:].tolist()


@pytest.mark.parametrize("seed", [1.5, -1, True, None])
def test_a_seed_is_a_word_or_a_whole_number(seed):
    with pytest.raises(SpecError, match="a seed must be a whole number from 0 up, not"):
        numpy_generator("weights", seed)


class FakeCuda:
    """What `seeded` may touch of `torch.cuda`, of a machine with several GPUs."""

    def __init__(self, monkeypatch, *, used, gpus=3):
        self.used = used
        self.default_generators = tuple(torch.Generator().manual_seed(100 + gpu) for gpu in range(gpus))
        self.before = [generator.get_state() for generator in self.default_generators]
        for name, value in {
            "init": self.init,
            "is_initialized": lambda: self.used,
            "current_device": lambda: 1,
            "default_generators": self.default_generators,
            "is_available": lambda: pytest.fail("asked whether there is CUDA, which may initialise it"),
            "manual_seed_all": lambda seed: pytest.fail("seeded every GPU"),
            "device_count": lambda: pytest.fail("counted the GPUs"),
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)

    def init(self):
        self.used = True

    def seeds(self):
        return [generator.initial_seed() for generator in self.default_generators]

    def as_before(self):
        return all(map(torch.equal, self.before, (generator.get_state() for generator in self.default_generators)))


def test_a_block_on_the_cpu_leaves_cuda_alone(monkeypatch):
    cuda = FakeCuda(monkeypatch, used=False)
    with seeded("weights"):
        assert torch.rand(3).tolist() == torch.rand(3, generator=torch_generator("weights")).tolist()
    cuda.used = True
    with seeded("weights", device="cpu"):
        assert cuda.seeds() == [100, 101, 102]
    cuda.used = False
    with seeded("weights", device=torch.device("cpu")):
        pass
    assert not cuda.used
    assert cuda.as_before()


@pytest.mark.parametrize(
    ("used", "device", "gpu"),
    [(True, None, 1), (True, "cuda", 1), (False, "cuda:2", 2), (True, torch.device("cuda:0"), 0)],
)
def test_a_block_seeds_the_gpu_that_is_in_use_and_no_other(monkeypatch, used, device, gpu):
    cuda = FakeCuda(monkeypatch, used=used)
    own = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt), seeded("layers", 7, device=device):
        of_the_key = torch_generator("layers", 7).initial_seed()
        assert cuda.seeds() == [of_the_key if number == gpu else 100 + number for number in range(3)]
        torch.rand(5, generator=cuda.default_generators[gpu])
        assert torch.initial_seed() == of_the_key
        torch.rand(5)
        raise KeyboardInterrupt
    assert cuda.as_before()
    assert torch.equal(own, torch.get_rng_state())
