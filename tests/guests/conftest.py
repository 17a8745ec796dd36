"""Guests that the library does not know (`tasks.py`), and the smallest space that they all can be taken through."""

import importlib.util
import sys
from pathlib import Path

import pytest

import naslab as nl

_NAME = "naslab_tests_guests"
if _NAME not in sys.modules:  # under one name, so that processes find the classes again
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name("tasks.py"))
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])


@pytest.fixture(scope="session")
def guests():
    """The module of the guests."""
    return sys.modules[_NAME]


@pytest.fixture(scope="session", params=["two heads", "a median"])
def guest(request, guests):
    return guests.GUESTS[request.param]()


@pytest.fixture(scope="session")
def space():
    """16 cells, two of whose operations have no weights: quick to train all of."""
    return nl.spaces.DartsCell(nodes=1, operations=("none", "skip_connect", "max_pool_3x3"), channels=4, cells=2)
