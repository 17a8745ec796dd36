"""Single precision with all optimizations against double precision: rounding is no greater than without any."""

import importlib.util
import statistics
import sys
from pathlib import Path

import pytest
from torch import nn

from naslab.operations import kernels
from naslab.operations.norms import BatchNorm2d
from naslab.operations.optimizations import Optimizations

_spec = importlib.util.spec_from_file_location("accuracy", Path(__file__).parents[2] / "benchmarks" / "accuracy.py")
accuracy = importlib.util.module_from_spec(_spec)
sys.modules["accuracy"] = accuracy  # as its dataclasses want it
_spec.loader.exec_module(accuracy)

pytestmark = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")
SIZES = {"darts": {"channels": 8, "cells": 3, "nodes": 2}, "nasbench201": {"channels": 8, "cells": 1}}
SETTINGS = {"none": Optimizations.none(), "all": Optimizations()}


def median_of_logits(found):
    return {name: statistics.median(row.logits for row in rows) for name, rows in found.items()}


def least_of_gradients(found):
    """Of the seeds, that in which no ReLU and no maximum is decided otherwise."""
    return {name: min(max(row.alphas, row.weights) for row in rows) for name, rows in found.items()}


@pytest.mark.parametrize("job", list(SIZES))
@pytest.mark.slow
def test_the_tricks_do_not_cost_accuracy(job):
    found = accuracy.measure(job, range(2), SETTINGS, **SIZES[job])
    logits, gradients = median_of_logits(found), least_of_gradients(found)
    assert logits["all"] <= min(1e-6, 2 * logits["none"])
    assert gradients["all"] <= min(1e-5, 2 * gradients["none"])


@pytest.mark.slow
def test_the_normalisation_of_pytorch_would(monkeypatch):
    """The measurement sees what it is there for."""
    monkeypatch.setattr(BatchNorm2d, "forward", nn.BatchNorm2d.forward)
    settings = {**SETTINGS, "all": Optimizations(fused_unit=False, fused_projection=False)}  # these have their own
    logits = median_of_logits(accuracy.measure("darts", range(1), settings, **SIZES["darts"]))
    assert logits["all"] > 2 * logits["none"]
