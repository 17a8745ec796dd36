"""Guests that the library does not know (`guest_tasks.py`), and the smallest space that they can be taken through."""

import sys
from pathlib import Path

import pytest

import naslab as nl

sys.path.append(str(Path(__file__).parent))  # so that other processes find them, too
import guest_tasks


@pytest.fixture(scope="session")
def guests():
    """The module of the guests."""
    return guest_tasks


@pytest.fixture(scope="session", params=["two heads", "a median"])
def guest(request, guests):
    return guests.GUESTS[request.param]()


@pytest.fixture(scope="session")
def space():
    """16 cells, two of whose operations have no weights: quick to train all of."""
    return nl.spaces.DartsCell(nodes=1, operations=("none", "skip_connect", "max_pool_3x3"), channels=4, cells=2)
