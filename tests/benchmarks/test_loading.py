"""Every bundled benchmark is small in memory, in a process of its own (`benchmarks/loading.py` has the time)."""

import json
import subprocess
import sys

import pytest

from naslab.benchmarks import BUNDLED

PROGRAM = """
import json, os, resource
from naslab.benchmarks import BUNDLED

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

grown = {}
for name, table in BUNDLED.items():
    inner, outer = os.pipe()
    if not os.fork():
        before = peak()
        table().best()
        os.write(outer, str(peak() - before).encode())
        os._exit(0)
    os.wait()
    grown[name] = float(os.read(inner, 100))
print(json.dumps(grown))
"""
"""A fork for each table: they are measured apart, and torch is imported once."""


@pytest.mark.slow
def test_they_are_small():
    came = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    grown = json.loads(came)
    assert set(grown) == set(BUNDLED)
    assert all(0 < megabytes < 200 for megabytes in grown.values()), grown
