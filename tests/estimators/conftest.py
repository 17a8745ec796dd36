"""The zero-cost proxies as published, which the benchmarks measure against and these tests compare with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "zero_cost.py"


@pytest.fixture(scope="session")
def published():
    spec = importlib.util.spec_from_file_location("naslab_benchmarks_zero_cost", PUBLISHED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
