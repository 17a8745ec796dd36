"""The closed form against the definition."""

import numpy as np
import pytest

from naslab.estimators.kernel_ridge import CONSTANT, KernelRidge


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)) * [1, 20, 0.1] + [5, 0, 1]
    return features, np.sin(features[:, 0]) + features[:, 1] / 20 + 0.1 * rng.normal(size=40) + 90


def solved(near, far, y, noise):
    return far @ np.linalg.solve(near + noise * np.eye(len(y)), y)


def test_what_is_left_is_that_of_forty_fits_without_the_one(data):
    features, targets = data
    model = KernelRidge(features, targets)
    scaled = (features - features.mean(0)) / features.std(0)
    apart = np.square(scaled[:, None] - scaled).mean(2)
    best = np.inf
    for length in (0.5, 1, 2, 4):
        for noise in (1e-3, 1e-2, 0.1, 1):
            kernel = np.exp(-apart / 2 / length**2) + CONSTANT
            y = (targets - targets.mean()) / targets.std()
            left = []
            for i in range(len(y)):
                others = np.arange(len(y)) != i
                left.append(y[i] - solved(kernel[np.ix_(others, others)], kernel[i, others], y[others], noise))
            if np.square(left).sum() < best:
                best, expected = np.square(left).sum(), np.array(left) * targets.std()
                far = np.exp(-np.square(scaled[:5, None] + 0.1 - scaled).mean(2) / 2 / length**2) + CONSTANT
                answer = solved(kernel, far, y, noise) * targets.std() + targets.mean()
    np.testing.assert_allclose(model.left, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(model(features[:5] + 0.1 * features.std(0)), answer, rtol=1e-9)
    assert model.deviation == pytest.approx(np.sqrt(np.square(expected).mean()))


def test_it_learns_and_its_error_is_honest(data):
    features, targets = data
    model = KernelRidge(features[:30], targets[:30])
    error = np.sqrt(np.square(model(features[30:]) - targets[30:]).mean())
    assert model.deviation / 2 < error < 2 * model.deviation < targets.std()


def test_the_unit_does_not_matter(data):
    features, targets = data
    one, other = KernelRidge(features, targets), KernelRidge(features * 7 - 3, targets * 100 + 5)
    np.testing.assert_allclose(other(features * 7 - 3), one(features) * 100 + 5, rtol=1e-6)


def test_what_does_not_vary_is_foretold_exactly():
    model = KernelRidge(np.ones((4, 2)), np.full(4, 3.0))
    assert model(np.array([[1.0, 9.0]])) == pytest.approx([3.0])
    assert model.deviation == 0
