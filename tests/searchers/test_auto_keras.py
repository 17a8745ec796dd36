"""The Gaussian process against scikit-learn's, the tree search, the limit on memory, and what is inherited."""

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.searchers import AutoKeras
from naslab.searchers.gaussian_process import GaussianProcess
from naslab.spaces import NetworkMorphism

SPACE = NetworkMorphism.laptop()


def told(sampler, score):
    trial = sampler.ask()
    sampler.tell(trial, score(trial.architecture))
    return trial


def depth(architecture):
    return float(len(SPACE.layers_of(architecture)))


def test_the_process_is_scikit_learn_s_where_distances_are_euclidean():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    rng = numpy_generator("points")
    x, new = rng.normal(size=(12, 3)), rng.normal(size=(7, 3))
    y = np.sin(x).sum(axis=1) + 5
    theirs = GaussianProcessRegressor(RBF(1.3), alpha=0.01, optimizer=None, normalize_y=True).fit(x, y)

    def distances(a, b):
        return np.linalg.norm(a[:, None] - b, axis=2)

    ours = GaussianProcess(distances(x, x), y, length=1.3, noise=0.01)
    mean, deviation = theirs.predict(new, return_std=True)
    found, spread = ours.expect(distances(new, x))
    np.testing.assert_allclose(found, mean, rtol=1e-9)
    np.testing.assert_allclose(spread, deviation, rtol=1e-7)
    assert ours.log_likelihood == pytest.approx(theirs.log_marginal_likelihood_value_)


def test_the_grid_finds_the_likeliest_length_and_noise():
    rng = numpy_generator("line")
    x = np.sort(rng.uniform(0, 10, size=30))
    distances = np.abs(x[:, None] - x)
    smooth, rough = (GaussianProcess(distances, values) for values in (np.sin(x / 3), rng.normal(size=30)))
    assert smooth.noise == 1e-4 < rough.noise
    every = [
        GaussianProcess(distances, np.sin(x / 3), length=smooth.length * factor).log_likelihood
        for factor in (0.25, 0.5, 2, 4)
    ]
    assert smooth.log_likelihood >= max(every)


def test_distances_that_are_of_no_space_give_a_process_all_the_same():
    """A negative eigenvalue of K would be a negative variance."""
    far = 1e3
    distances = np.array([[0, 0.1, 0.1, far], [0.1, 0, far, 0.1], [0.1, far, 0, 0.1], [far, 0.1, 0.1, 0]])
    process = GaussianProcess(distances, np.array([1.0, 2.0, 3.0, 4.0]), length=1.0, noise=1e-4)
    mean, deviation = process.expect(distances)
    assert np.isfinite(mean).all()
    assert np.isfinite(process.log_likelihood)
    assert (deviation >= 0).all()


def test_it_begins_at_the_start_and_never_repeats_itself():
    sampler = AutoKeras(SPACE, seed=1, coldest=0.5)
    trials = [told(sampler, depth) for _ in range(15)]
    assert trials[0].architecture == SPACE.start()
    assert len({trial.architecture for trial in trials}) == 15
    assert {trial.origin for trial in trials[1:]} == {"acquisition"}


def test_a_child_begins_with_a_network_that_it_is_a_morph_of():
    from naslab.networks.morphism import embedding

    sampler = AutoKeras(SPACE, seed=2, coldest=0.5)
    seen = {}
    for _ in range(15):
        trial = told(sampler, depth)
        seen[trial.number] = SPACE.layers_of(trial.architecture)
        if trial.parents:
            assert trial.parents == (trial.begins_from,)
            assert embedding(seen[trial.begins_from], seen[trial.number]) is not None


def test_the_tree_search_goes_more_than_one_move_deep():
    """And knows from which of the trained networks."""
    sampler = AutoKeras(SPACE, seed=3, coldest=0.3)
    seen, moves, roots = {}, [], set()
    for _ in range(12):
        trial = told(sampler, depth)
        seen[trial.number] = trial.architecture
        if trial.parents:
            roots.add(trial.begins_from)
            moves.append(SPACE.edit_distance(seen[trial.begins_from], trial.architecture, skips=1))
    assert max(moves) > 1.5
    assert len(roots) > 2


def test_without_curiosity_it_climbs_and_with_it_alone_it_explores():
    """With beta 0 it goes where the mean is best; with a large beta to what is far from all that is known."""

    def apart(beta):
        sampler = AutoKeras(SPACE, seed=4, beta=beta, coldest=0.5)
        known = [told(sampler, lambda architecture: -depth(architecture)).architecture for _ in range(15)]
        return np.mean([SPACE.edit_distance(a, b) for a in known for b in known])

    assert apart(50.0) > 1.2 * apart(0.0)


def test_an_open_proposal_is_not_proposed_again():
    sampler = AutoKeras(SPACE, seed=5, coldest=0.5)
    told(sampler, depth)
    open_ = [sampler.ask().architecture for _ in range(6)]
    assert len(set(open_)) == 6


def test_a_network_that_does_not_fit_lowers_the_limit():
    """A machine with room for 6,000 weights: what fails is larger than what worked, and is not tried again."""
    sampler = AutoKeras(SPACE, seed=6, coldest=0.5)
    limits = []
    for _ in range(25):
        trial = sampler.ask()
        weights, limit = SPACE.weights(trial.architecture), sampler.diagnostics.get("most_weights")
        assert limit is None or weights <= limit
        sampler.tell(trial, None if weights > 6000 else float(weights))
        limits.append(sampler.diagnostics.get("most_weights", float("inf")))
    assert limits == sorted(limits, reverse=True)
    assert 6000 <= limits[-1] < float("inf")
    assert sampler.diagnostics["largest"] <= 6000


def test_a_failure_that_is_not_about_size_changes_nothing():
    sampler = AutoKeras(SPACE, seed=6, coldest=0.5)
    told(sampler, depth)
    large = sampler.ask()
    small = next(
        one for one in iter(sampler.ask, None) if SPACE.weights(one.architecture) <= SPACE.weights(large.architecture)
    )
    sampler.tell(large, 1.0)
    sampler.tell(small, None)
    assert "most_weights" not in sampler.diagnostics


def test_the_limit_that_is_given_holds():
    limit = SPACE.weights(SPACE.start()) + 2000
    sampler = AutoKeras(SPACE, seed=7, coldest=0.5, most_weights=limit)
    found = [SPACE.weights(told(sampler, lambda a: float(SPACE.weights(a))).architecture) for _ in range(12)]
    assert max(found) <= limit


@pytest.mark.slow
def test_it_beats_random_search_on_a_table(benchmark):
    """Best of 40 queries of NAS-Bench-201, in the mean of 4 and of 50 seeds, well apart."""

    def best(make, seed):
        sampler = make(seed)
        return max(table(told(sampler, table).architecture) for _ in range(40))

    table = nl.estimators.Table(benchmark, "test_accuracy")
    ours = [best(lambda s: AutoKeras(benchmark.space, seed=s, coldest=0.3, branches=6), seed) for seed in range(4)]
    random = [best(lambda s: nl.searchers.RandomSearch(benchmark.space, seed=s), seed) for seed in range(50)]
    assert np.mean(ours) > np.mean(random) + 2 * np.std(random) / 50**0.5


@pytest.mark.slow
def test_a_search_with_real_training_carries_weights_over():
    """After the first epoch a morph is at least about as good as what it grew from, and the whole climbs."""
    task = nl.tasks.Digits().subset(600, 10)
    estimator = nl.estimators.Training(SPACE, task, epochs=1, batch_size=32, learning_rate=0.1, schedule="constant")
    search = nl.Search(AutoKeras(SPACE, seed=1, coldest=0.5), estimator=estimator, budget=6)
    events = {event.number: event for event in search}
    heirs = [event for event in events.values() if event.begins_from]
    scratch = [estimator(event.architecture).fitness for event in heirs]
    assert np.mean([event.fitness for event in heirs]) > np.mean(scratch) + 0.1


def test_a_limit_below_the_first_network_is_refused():
    least = SPACE.weights(SPACE.start())
    assert AutoKeras(SPACE, most_weights=least).ask().architecture == SPACE.start()
    with pytest.raises(SpecError, match=f"most_weights must be at least {least}"):
        AutoKeras(SPACE, most_weights=least - 1)
