"""Memory that a step frees is kept for the next one."""

import os
import platform
import subprocess
import sys

import pytest

from naslab.allocator import keep_freed_memory

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
MAPPED = """
import ctypes
from naslab.allocator import keep_freed_memory
class Use(ctypes.Structure):  # struct mallinfo2 of malloc.h
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
c = ctypes.CDLL(None)
c.mallinfo2.restype, c.malloc.restype, c.malloc.argtypes = Use, ctypes.c_void_p, [ctypes.c_size_t]
print(keep_freed_memory())
before = c.mallinfo2().hblkhd
c.malloc(16 << 20)
print(c.mallinfo2().hblkhd - before)
"""
"""Prints whether memory is kept, and how many bytes of a tensor's size were mapped by themselves."""


@pytest.mark.parametrize(
    "variables",
    [
        {"NASLAB_KEEP_MEMORY": "0"},
        {"MALLOC_TRIM_THRESHOLD_": "100000"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"},
    ],
    ids=str,
)
def test_the_environment_decides(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not keep_freed_memory()


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert not keep_freed_memory()


@glibc
@pytest.mark.parametrize("wanted", ["0", "1"])
def test_a_tensor_is_mapped_by_itself_only_without(wanted):
    environment = {**os.environ, "NASLAB_KEEP_MEMORY": wanted}
    done = subprocess.run([sys.executable, "-c", MAPPED], env=environment, capture_output=True, text=True, check=True)
    kept, mapped = done.stdout.split()
    assert (kept, int(mapped) >= 16 << 20) == (str(wanted == "1"), wanted == "0")
