"""The plain supernets, which the benchmarks measure against and these tests compare with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # so that tests find what several of them begin with

PLAIN = Path(__file__).parents[2] / "benchmarks" / "plain.py"


@pytest.fixture(scope="session")
def plain():
    spec = importlib.util.spec_from_file_location("naslab_benchmarks_plain", PLAIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
