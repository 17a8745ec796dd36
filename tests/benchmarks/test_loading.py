"""Every bundled benchmark is in memory at once: under a second of CPU and 200 MB, measured in a process of its own."""

import subprocess
import sys

import pytest

from naslab.benchmarks import BUNDLED

PROGRAM = """
import resource, sys, time
from naslab.benchmarks import BUNDLED
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
table = BUNDLED[sys.argv[1]]()
table.best()
seconds = time.process_time() - start
print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_it_loads_at_once_and_is_small(name):
    came = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True).stdout
    seconds, megabytes = map(float, came.split())
    assert seconds < 1.0
    assert megabytes < 200
