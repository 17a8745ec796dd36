"""Data, spaces and networks that several tests of estimators begin with; the zero-cost proxies as published."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

import naslab as nl

sys.path.append(str(Path(__file__).parent))  # so that tests find what several of them begin with

from small_networks import build

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "zero_cost.py"


@pytest.fixture(scope="session")
def published():
    spec = importlib.util.spec_from_file_location("naslab_benchmarks_zero_cost", PUBLISHED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="session")
def space():
    return nl.spaces.NASBench201(channels=4, cells=1)


@pytest.fixture(scope="session")
def batch(digits):
    return digits.batch(torch.arange(12))


@pytest.fixture
def network(space, digits):
    return build(space, digits)
