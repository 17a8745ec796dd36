"""The machinery of compiled kernels: compiled once, shared between threads, absent without loss."""

import os
import stat
import subprocess
import sys
import threading

import pytest
import torch

from naslab.operations import kernels
from naslab.threads import torch_threads

needs_a_compiler = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")


@pytest.mark.parametrize(
    ("threads", "count", "size", "parts"), [(1, 10, 10**6, 1), (3, 10, 10**6, 3), (3, 2, 10**6, 2)]
)
def test_the_parts_make_the_whole(threads, count, size, parts):
    seen = {}
    with torch_threads(threads):
        kernels.in_parts(count, size, lambda part, first, end: seen.update({part: range(first, end)}))
    assert sorted(seen) == list(range(parts))
    assert [i for part in sorted(seen) for i in seen[part]] == list(range(count))


def test_few_numbers_stay_in_one_thread():
    where = []
    with torch_threads(3):
        kernels.in_parts(10, 10, lambda *_: where.append(threading.get_ident()))
    assert where == [threading.get_ident()]


def test_an_error_in_a_thread_comes_out():
    def fail(part, first, end):
        if part == 1:
            raise ArithmeticError("here")

    with torch_threads(2), pytest.raises(ArithmeticError, match="here"):
        kernels.in_parts(10, 10**6, fail)


def test_channels_that_there_is_no_code_for():
    assert kernels.kernel("blend", 6, torch.float32) is None
    assert kernels.kernel("blend", 8, torch.bfloat16) is None


def available(**environment):
    code = "from naslab.operations import kernels; print(kernels.available())"
    given = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


@needs_a_compiler
@pytest.mark.slow
def test_absent_without_loss(tmp_path):
    cache = tmp_path / "cache"
    assert available(NASLAB_CACHE=str(cache))
    (compiled,) = cache.iterdir()
    before = compiled.stat().st_mtime_ns
    assert available(NASLAB_CACHE=str(cache))
    assert compiled.stat().st_mtime_ns == before  # compiled once
    assert not available(NASLAB_KERNELS="0")
    assert not available(NASLAB_CACHE=str(tmp_path / "none"), CC="no-such-compiler")
    assert not available(NASLAB_CACHE=str(tmp_path / "other"), CC="false")  # a compiler that fails
    assert list((tmp_path / "other").iterdir()) == []
    cache.chmod(cache.stat().st_mode | stat.S_IWOTH)
    assert not available(NASLAB_CACHE=str(cache))  # what others may write is not run
