"""Benchmarks whose table comes with naslab say from which file."""

import inspect
import json

import pytest

import naslab as nl
import naslab.data
from naslab.benchmarks.bundled import Bundled


@pytest.mark.parametrize(
    "make", sorted(Bundled.__subclasses__(), key=lambda each: each.name), ids=lambda each: each.name
)
def test_it_is_made_again_from_its_spec_and_names_its_file(make):
    assert not inspect.isabstract(make)
    benchmark = make()
    again = nl.benchmarks.from_spec(json.loads(json.dumps(benchmark.spec())))
    assert type(again) is make
    assert again.fingerprint() == benchmark.fingerprint()
    assert benchmark.sources == [naslab.data.sidecar(make.file)["sha256"]]
