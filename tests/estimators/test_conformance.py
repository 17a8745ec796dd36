"""Every estimator of naslab passes the checks of `naslab.testing`."""

import functools

import pytest

import naslab as nl
from naslab.estimators import (
    ESTIMATORS,
    Constrained,
    Function,
    FunctionOfEpochs,
    LatencyReward,
    LearningCurve,
    Penalised,
    Resources,
    Table,
    Training,
    Weighted,
    WithMetrics,
    ZeroCost,
)
from naslab.testing import EstimatorCase

SPACE = nl.spaces.NASBench201(channels=2, cells=1)
COSTLY = {"flops": 0.5}


@functools.cache
def digits():
    return nl.tasks.Digits().subset(40, 8)


@functools.cache
def benchmark():
    return nl.benchmarks.NASBench201()


def table(**given):
    return Table(benchmark(), metrics=["flops", "parameters"], **given)


def resources(**given):
    return Resources(SPACE, digits(), ["flops", "parameters"], **{"batch": 2, **given})


def training(**given):
    return Training(SPACE, digits(), **{"epochs": 2, "batch_size": 16, "size": 4, **given})


def votes(seed):
    return ZeroCost(SPACE, digits(), "vote", batch_size=8, seed=seed, reference=3)


def length(architecture):
    return float(len(set(architecture.choices)))


def learnt(architecture, epochs=4):
    return length(architecture) * (1 - 0.5**epochs)


CASES = {  # the estimator, one that scores otherwise, and what else its checks are told
    "table": (
        lambda: Table(benchmark(), "valid_accuracy", epochs=12),
        lambda: Table(benchmark(), "valid_accuracy"),
        {"fidelities": (12, 200), "unknown_fidelity": 13},
    ),
    "training": (lambda: training(seed=2), lambda: training(seed=3), {"unknown_fidelity": 3}),
    "function": (lambda: Function(length), lambda: Function(learnt), {"remade": False}),
    "function of epochs": (lambda: FunctionOfEpochs(learnt), None, {"remade": False}),
    "zero cost": (lambda: votes(seed=2), lambda: votes(seed=3), {}),
    "resources": (resources, lambda: Resources(SPACE, digits(), ["parameters"]), {}),
    "with figures": (lambda: WithMetrics(table(), resources()), table, {"fidelities": (12, 200)}),
    "constrained": (lambda: Constrained(table(), {"flops": 1e9}), table, {"fidelities": (12, 200)}),
    "limited before": (lambda: Constrained(table(), {"flops": 1e9}, resources()), table, {"fidelities": (12, 200)}),
    "penalised": (
        lambda: Penalised(table(), {"flops": 1e8}, {"flops": 1e6}, penalty=0.3),
        table,
        {"fidelities": (12, 200)},
    ),
    "weighted": (lambda: Weighted(Weighted(table(), COSTLY), {"flops": -0.5}), table, {"fidelities": (12, 200)}),
    "reward": (
        lambda: LatencyReward(table(), 3.0, below=0.0, above=-2.0, metric="flops"),
        table,
        {"fidelities": (12, 200)},
    ),
    "learning curve": (lambda: LearningCurve(training(), 2), training, {}),
}


class TestEstimators(EstimatorCase):
    @pytest.fixture(autouse=True, params=CASES)
    def _of(self, request):
        self._make, self._other, more = CASES[request.param]
        for name, value in more.items():
            setattr(self, name, value)

    def make(self):
        return self._make()

    def other(self):
        return self._other and self._other()

    def space(self):
        return SPACE if self.scorer.space is None else super().space()


def test_every_estimator_is_tested():
    assert {type(make()) for make, _, _ in CASES.values()} >= set(ESTIMATORS.values())
