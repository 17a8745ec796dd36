"""Memory on the device: measured as torch's allocator counts it, known to be scarce, and survived."""

import pytest
import torch

import naslab as nl
from naslab.device import available
from naslab.errors import OutOfMemory, SpecError
from naslab.estimators import Resources, Workers, ZeroCost
from naslab.estimators.resources import latency


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_the_estimate_is_the_true_peak_and_equal_twice(space, gpu, darts):
    search = darts(gpu, space, batch_size=64)
    search.advance()
    found = search.measure("step_memory")
    assert search.measure("step_memory") == found > 0
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    search._trial_pass()
    torch.cuda.synchronize()
    assert found * 1e6 == pytest.approx(torch.cuda.max_memory_allocated() - before, rel=0.15)


def test_a_measurement_leaves_the_users_own_peak(gpu, darts):
    search = darts(gpu)
    search.advance()
    large = torch.empty(2**28, device=gpu)
    del large
    peak = torch.cuda.max_memory_allocated()
    search.measure("step_memory")
    assert torch.cuda.max_memory_allocated() == peak


def test_the_cache_of_the_allocator_counts_as_free(gpu):
    torch.cuda.empty_cache()
    before = available(gpu)
    block = torch.empty(2**28, device=gpu)
    del block
    assert available(gpu) == pytest.approx(before, abs=2**26), "the block is kept for later, and free"


def test_checkpointing_needs_less(gpu, darts):
    plain, less = (darts(gpu, "darts", batch_size=64, checkpointing=given) for given in (False, True))
    assert less.measure("step_memory") < plain.measure("step_memory")


def test_a_step_without_memory_is_survived_with_a_smaller_batch(gpu, darts):
    search = nl.Search(darts(gpu, batch_size=256, epochs=2))
    next(search)
    search.searcher._must_fit = lambda *_: None
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    few = search.searcher.measure("step_memory") * 1e6 / 2  # half of what a step needs
    try:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + few) / whole)
        with pytest.raises(OutOfMemory, match=r"step 2 ran out of memory on cuda.*search\.rewind\(0\)") as said:
            next(search)
        assert said.value.batch_size is not None
        search.rewind(0)
        search.set("batch_size", 32)
        assert next(search).step == 1
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_latency_is_that_of_finished_kernels(gpu):
    network, x = torch.nn.Linear(8192, 8192).to(gpu), torch.zeros(8192, 8192, device=gpu)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    network(x)
    start.record()
    network(x)
    end.record()
    torch.cuda.synchronize()
    assert latency(network, x, repeats=5) > 0.5 * start.elapsed_time(end) / 1000


def test_resources_are_measured_there(gpu, cells, digits):
    space = cells["nasbench201"]
    found = Resources(space, digits, ["latency", "memory", "parameters"], device=gpu).measure(space.sample(0))
    assert min(found.values()) > 0


@pytest.mark.parametrize("proxy", ["grad_norm", "snip", "synflow", "fisher", "jacob_cov", "naswot"])
def test_proxies_are_those_of_the_cpu(proxy, device, cells, digits, without_tf32):
    space = cells["nasbench201"]
    child = space.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    )
    ours, theirs = (ZeroCost(space, digits, proxy, batch_size=16, device=where)(child) for where in (device, "cpu"))
    assert ours == pytest.approx(theirs, rel=1e-2 if proxy == "jacob_cov" else 1e-3)


def test_workers_share_a_gpu(gpu, cells, digits):
    estimator = ZeroCost(cells["nasbench201"], digits, "grad_norm", batch_size=16, device=gpu)

    def fitnesses(**given):
        sampler = nl.searchers.RandomSearch(cells["nasbench201"], seed=0)
        with nl.Search(sampler, estimator=estimator, budget=6, **given) as search:
            return sorted((event.number, event.fitness) for event in search)

    assert fitnesses(workers=2) == pytest.approx(fitnesses())


def filled(size):
    return torch.empty(int(size), dtype=torch.uint8, device="cuda").numel()


def test_a_worker_keeps_to_its_memory(gpu):
    with Workers(1, memory=1e9) as pool:
        assert pool.submit(filled, 1e8).result(120) == 1e8
        with pytest.raises((torch.OutOfMemoryError, RuntimeError), match="out of memory"):
            pool.submit(filled, 4e9).result(120)


def test_a_number_that_there_is_not_is_refused(gpu):
    with pytest.raises(SpecError, match="GPUs, so cuda:99 is not one of them"):
        nl.trainers.fit(torch.nn.Linear(1, 1), nl.tasks.Digits(), device="cuda:99")
