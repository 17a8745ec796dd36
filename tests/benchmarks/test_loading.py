"""Every bundled benchmark is small in memory, in a process of its own (`benchmarks/loading.py` has the time)."""

import subprocess
import sys

import pytest

from naslab.benchmarks import BUNDLED

PROGRAM = """
import resource, sys
from naslab.benchmarks import BUNDLED
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
BUNDLED[sys.argv[1]]().best()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_it_is_small(name):
    came = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True).stdout
    assert float(came) < 200
