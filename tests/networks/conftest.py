"""The plain supernets, which the benchmarks measure against and these tests compare with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PLAIN = Path(__file__).parents[2] / "benchmarks" / "plain.py"


@pytest.fixture(scope="session")
def plain():
    spec = importlib.util.spec_from_file_location("naslab_benchmarks_plain", PLAIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
