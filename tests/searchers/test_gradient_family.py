"""The presets of the gradient family: what each of them alone could get wrong."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

import naslab as nl
from naslab.errors import SpecError
from naslab.networks.batch_norm import frozen_statistics

CELL = nl.spaces.DartsCell(
    nodes=2, operations=("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3"), channels=4, cells=3
)
TINY = nl.spaces.NASBench201(channels=4, cells=1)
PRESETS = ("milenas", "idarts", "snas", "gdas", "proxylessnas", "pcdarts", "drnas", "sdarts", "robust_darts")


def make(name, task, space=TINY, **hyperparameters):
    return nl.searchers.SEARCHERS[name](space, task, **{"batch_size": 16, "epochs": 2, "seed": 1, **hyperparameters})


def gradient_that_reaches_adam(search, monkeypatch):
    """Of one step: the gradients handed to Adam, the alphas before, and the sample."""
    found = []
    move = search._optimizers.move_alphas
    alphas = {part: alpha.detach().clone() for part, alpha in search.alphas.items()}

    def spy(gradients, rate, still):
        found.extend(gradient.clone() for gradient in gradients)
        move(gradients, rate, still)

    monkeypatch.setattr(search._optimizers, "move_alphas", spy)
    search.advance()
    return found, alphas


@pytest.mark.slow
def test_without_its_parts_every_preset_is_darts(digits):
    """One in one channel, lambda ruled out, radius zero, ...: the same events as DARTS, bit for bit."""
    darts = nl.searchers.Darts(TINY, digits, batch_size=16, epochs=2, seed=1)
    expected = [darts.advance() for _ in range(2)]
    same = {"w_lr": 0.025, "w_lr_min": 0.001, "alpha_lr": 3e-4}
    plain = make("pcdarts", digits, one_in=1, edge_normalisation=False, warmup=0.0, **same)
    assert [plain.advance() for _ in range(2)] == expected
    composed = make("gradient", digits)
    assert [composed.advance() for _ in range(2)] == expected
    stopping = make("robust_darts", digits)
    assert [stopping.advance() for _ in range(2)] == expected


def test_the_constants_are_those_of_the_authors_code():
    """Where they are not those of DARTS: the scripts that the modules name."""
    of = {name: nl.searchers.SEARCHERS[name].Hyperparameters() for name in PRESETS}
    darts = {"batch_size": 64, "w_lr": 0.025, "w_lr_min": 0.001, "w_weight_decay": 3e-4, "alpha_lr": 3e-4}
    darts |= {"epochs": 50, "w_momentum": 0.9, "gradient_clipping": 5.0, "train_portion": 0.5, "alpha_scale": 1e-3}
    darts |= {"alpha_beta1": 0.5, "alpha_beta2": 0.999, "alpha_weight_decay": 1e-3}
    other = {
        "snas": {"epochs": 150, "alpha_scale": 0.01, "temperature": 1.0, "temperature_end": 0.03},
        "gdas": {
            "epochs": 250,
            "batch_size": 256,
            "w_weight_decay": 5e-4,
            "temperature": 10.0,
            "temperature_end": 0.1,
        },
        "proxylessnas": {
            "epochs": 40 + 120,
            "warmup": 40 / (40 + 120),
            "batch_size": 256,
            "w_lr_min": 0.0,
            "w_weight_decay": 4e-5,
            "alpha_lr": 1e-3,
            "alpha_beta1": 0.0,
            "alpha_weight_decay": 0.0,
        },
        "pcdarts": {"batch_size": 256, "w_lr": 0.1, "alpha_lr": 6e-4, "one_in": 4, "warmup": 15 / 50},
        "drnas": {"w_lr": 0.1, "w_lr_min": 0.0, "alpha_lr": 6e-4},
        "sdarts": {"radius": 0.03, "radius_end": 0.3, "ascent_steps": 7},
        "milenas": {"valid_weight": 1.0},
    }
    for name, given in of.items():
        expected = darts | other.get(name, {})
        assert {constant: getattr(given, constant) for constant in expected} == expected, name


def test_milenas_adds_the_two_gradients(digits, monkeypatch):
    search = make("milenas", digits, valid_weight=0.5)
    network = search.network.train()
    expected = 0.0
    with frozen_statistics(network):
        for half, share in (("weights", 1.0), ("architecture", 0.5)):
            x, y = search._batch(half)
            alpha = search.alphas["cell"].detach().clone().requires_grad_()
            loss = torch.nn.functional.cross_entropy(network(x, {"cell": alpha.softmax(-1)}), y)
            expected = expected + share * torch.autograd.grad(loss, alpha)[0]
    (found,), _ = gradient_that_reaches_adam(search, monkeypatch)
    assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_milenas_tracks_sizes_and_stops(digits):
    search = make("milenas", digits, train_portion=0.05, epochs=8, patience=2, alpha_lr=0.2, w_lr=1e-5)
    whole = search.total
    events = []
    while search.step < search.total:
        events.append(search.advance())
    for one in search.by_size:
        built = TINY.build(one.architecture, digits)
        assert sum(p.numel() for p in built.parameters()) == one.parameters
    steps = whole // 8
    means = [
        np.mean([e.valid_accuracy for e in events[n * steps : (n + 1) * steps]]) for n in range(len(events) // steps)
    ]
    assert max(one.valid_accuracy for one in search.by_size) == pytest.approx(max(means))
    assert search.total == search.step < whole
    assert len(means) - 1 - int(np.argmax(means)) == 2
    assert search.best == events[-1].best == events[(int(np.argmax(means)) + 1) * steps - 1].best
    with pytest.raises(SpecError, match="take MiLeNAS"):
        _ = make("gdas", digits).by_size


def test_idarts_rows_of_a_node_sum_to_one(digits):
    rows = make("idarts", digits, CELL).advance().probabilities["normal"]
    assert rows[:2].sum() == pytest.approx(1, abs=1e-6)
    assert rows[2:].sum() == pytest.approx(1, abs=1e-6)


def test_pcdarts_weighs_edges_and_learns_how(digits):
    search = make("pcdarts", digits, CELL, warmup=0.0, alpha_lr=0.1)
    before = {part: logits.detach().clone() for part, logits in search.edges.items()}
    probabilities = search.advance().probabilities["normal"]
    assert not torch.equal(before["normal"], search.edges["normal"])
    alpha, logits = search.alphas["normal"].detach().numpy(), search.edges["normal"].detach().numpy()
    for rows in ([0, 1], [2, 3, 4]):
        shares = np.exp(logits[rows]) / np.exp(logits[rows]).sum()
        softmax = np.exp(alpha[rows]) / np.exp(alpha[rows]).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities[rows], shares[:, None] * softmax, rtol=1e-4)


def test_gdas_computes_the_chosen_operations_and_no_other(digits):
    """The supernet with a sample is the subnet of that sample: same logits, and gradients in its operations only."""
    search = make("gdas", digits)
    search.network.train()
    x, y = search._batch("architecture")
    drawn = search._draw("architecture", {"temperature": 2.0})
    one_hot = {part: one.weights.detach() for part, one in drawn.items()}
    with frozen_statistics(search.network):
        with FlopCounterMode(display=False) as sampled:
            logits = search._forward(x, drawn, "architecture", {})
        with FlopCounterMode(display=False) as alone:
            assert_close(logits, search.network(x, one_hot), rtol=1e-5, atol=1e-6)
        assert sampled.get_total_flops() == alone.get_total_flops()
    drawn = search._draw("weights", {"temperature": 2.0})
    digits.loss(search._forward(x, drawn, "weights", {}), y).backward()
    used = drawn["cell"].used
    assert used.sum() == 6
    reached = False
    for name, w in search.network.named_parameters():
        if ".stacked." in name:
            source, operation = int(name.split(".leaving.")[1][0]), name.split(".stacked.")[1].split(".")[0]
            rows = ([0, 1, 3], [2, 4], [5])[source]
            chosen = used[rows, TINY.operations.index(operation)]
            if w.grad is not None:
                touched = w.grad.unflatten(0, (len(rows), -1)).flatten(1).any(1)
                assert not (touched & ~chosen).any(), name
                reached |= bool(touched.any())
    assert reached


@pytest.mark.parametrize("name", ["gdas", "proxylessnas"])
def test_what_reaches_adam_is_the_estimate_and_the_penalty(digits, monkeypatch, name):
    """dL/dw at the computed operations by finite differences of the weights, through the estimator's Jacobian."""
    given = {"warmup": 0.0, "resource_weight": 0.0} if name == "proxylessnas" else {}
    search = make(name, digits, **given)
    x, y = search._batch("architecture")
    rates = {n: search._value_at(n, 0) for n in search._schedules}
    drawn = search._draw("architecture", rates)["cell"]
    with frozen_statistics(search.network):
        search.network.train()
        w = drawn.weights.detach().clone().requires_grad_()
        loss = digits.loss(search.network(x, {"cell": w}), y)
        slope = torch.autograd.grad(loss, w)[0] * drawn.used
        expected = torch.autograd.grad((drawn.weights * slope).sum(), search.alphas["cell"])[0]
    (found,), _ = gradient_that_reaches_adam(search, monkeypatch)
    assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert found.abs().max() > 0


def test_proxyless_moves_two_paths_an_edge(digits):
    search = make("proxylessnas", digits, warmup=0.0, resource_weight=0.0, alpha_scale=0.5, alpha_lr=0.3)
    before = search.alphas["cell"].detach().clone()
    used = search._draw("architecture", {})["cell"].used
    search.advance()
    moved = search.alphas["cell"].detach() != before
    assert moved.any(), "where nothing came through, nothing moves"
    assert not (moved & ~used).any()
    assert_close(search.alphas["cell"].softmax(-1)[~used], before.softmax(-1)[~used])


def test_reinforce_goes_by_the_reward_above_its_moving_average(digits, monkeypatch):
    search = make("proxylessnas", digits, rule="reinforce", warmup=0.0, resource_weight=0.0, baseline_decay=0.5)
    first, _ = gradient_that_reaches_adam(search, monkeypatch)
    assert not first[0].any(), "the first reward is its own baseline"
    baseline = search._baseline = 0.9
    alpha = search.alphas["cell"].detach().clone()
    chosen = search._draw("architecture", {})["cell"].weights
    found = []
    monkeypatch.setattr(search._optimizers, "move_alphas", lambda gs, rate, still: found.extend(gs))
    event = search.advance()
    expected = -(event.valid_accuracy - baseline) * (chosen - alpha.softmax(-1))
    assert_close(found[0], expected, rtol=1e-4, atol=1e-6)
    assert search._baseline == pytest.approx(0.5 * baseline + 0.5 * event.valid_accuracy)


def test_snas_moves_all_by_one_backward_pass_of_all_the_data(digits, monkeypatch):
    search = make("snas", digits, resource_weight=0.3)
    assert [len(feed.stream) for feed in search._feeds.values()] == [len(digits.train)] * 2
    x, y = search._batch("weights")
    rates = {name: search._value_at(name, 0) for name in search._schedules}
    search.network.train()
    with frozen_statistics(search.network):
        weights = search._draw("architecture", rates)["cell"].weights
        loss = digits.loss(search.network(x, {"cell": weights}), y)
    cost = 0.3 * (search.alphas["cell"].softmax(-1) * search._costs["cell"]).sum()
    (expected,) = torch.autograd.grad(loss + cost, search.alphas["cell"])
    calls = []
    forward = search.network.forward
    monkeypatch.setattr(search, "_must_fit", lambda: None)
    monkeypatch.setattr(
        search.network, "forward", lambda x, w: (calls.append(torch.is_grad_enabled()), forward(x, w))[1]
    )
    (found,), _ = gradient_that_reaches_adam(search, monkeypatch)
    assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert calls == [True, False], "one pass that learns, one that looks at the derived cell"


@pytest.mark.slow
def test_a_resource_term_makes_cells_cheaper(digits):
    costs = {}
    for weight in (0.0, 30.0):
        search = make("proxylessnas", digits, warmup=0.0, alpha_lr=0.1, resource_weight=max(weight, 1e-9))
        for _ in range(15):
            event = search.advance()
        costs[weight] = float((torch.from_numpy(event.probabilities["cell"].copy()) * search._costs["cell"]).sum())
    assert costs[30.0] < 0.6 * costs[0.0]


def test_smooth_darts_steps_at_perturbed_weights(digits, monkeypatch):
    search = make("sdarts", digits, radius=0.1)
    seen = []
    forward = search.network.forward

    def spy(x, weights):
        if torch.is_grad_enabled() and not weights["cell"].weights.requires_grad:
            seen.append(weights["cell"].weights)
        return forward(x, weights)

    monkeypatch.setattr(search, "_must_fit", lambda: None)
    monkeypatch.setattr(search.network, "forward", spy)
    search.advance()
    off = (seen[0] - search.alphas["cell"].detach().softmax(-1)).abs()
    assert 0.02 < off.max() < 0.2
    assert_close(seen[0].sum(dim=1), torch.ones(6))


@pytest.mark.slow
def test_robust_darts_stops_at_the_verdict_and_goes_back(digits, monkeypatch):
    search = make("robust_darts", digits, train_portion=0.05, epochs=6, window=1, alpha_lr=0.5)
    values = iter([1.0, 1.0, 2.0, 9.0])
    monkeypatch.setattr(search, "measure", lambda name: next(values))
    whole, best = search.total, []
    while search.step < search.total:
        event = search.advance()
        best.append(event.best)
    steps = whole // 6
    assert search.step == 3 * steps
    assert search.best == best[-1] == best[2 * steps - 1]
    state = search.state_dict()
    again = make("robust_darts", digits, train_portion=0.05, epochs=6, window=1, alpha_lr=0.5)
    again.load_state_dict(state)
    assert (again.total, again.best) == (search.total, search.best)


def test_drnas_derives_from_the_mean_or_as_its_authors_do(digits):
    """Nothing of the search depends on it but what is derived, and the gap to that."""
    searches = [make("drnas", digits, CELL, derivation=rule, alpha_scale=2.0, seed=2) for rule in ("mean", "softmax")]
    events = [search.advance() for search in searches]
    assert events[0].train_loss == events[1].train_loss
    for part, alpha in searches[0].alphas.items():
        assert torch.equal(alpha, searches[1].alphas[part])
    alphas = {part: alpha.detach().double().numpy() for part, alpha in searches[0].alphas.items()}
    means, softmaxes = {}, {}
    for part, alpha in alphas.items():
        concentration = np.where(alpha > 0, alpha + 1, np.exp(alpha))
        means[part] = concentration / concentration.sum(axis=1, keepdims=True)
        softmaxes[part] = np.exp(alpha) / np.exp(alpha).sum(axis=1, keepdims=True)
    assert (events[0].best, events[1].best) == (CELL.discretize(means), CELL.discretize(softmaxes))
    assert events[0].best != events[1].best
    assert searches[1].best == events[1].best
    assert events[0].discretisation_gap != events[1].discretisation_gap
    for part in alphas:
        np.testing.assert_allclose(events[1].probabilities[part], means[part], rtol=1e-5)
    old = searches[0].spec()
    del old["hyperparameters"]["derivation"]
    assert nl.searchers.from_spec(old, digits).hyperparameters.derivation == "mean"
    with pytest.raises(SpecError, match='derivation must be "mean" or "softmax"'):
        make("drnas", digits, derivation="mode")
    free = nl.spaces.DartsCell(nodes=1, operations=CELL.operations[1:], channels=2, cells=2)  # no "none", as theirs
    assert "none" not in make("drnas", digits, free).advance().best.choices


@pytest.mark.slow
def test_snas_keeps_all_edges(digits, tmp_path):
    cell = nl.spaces.DartsCell(nodes=2, operations=CELL.operations[:3], channels=2, cells=3)
    two, every = (nl.Search(make("snas", digits, cell, edges=edges)) for edges in ("strongest", "all"))
    of_two, of_all = next(two), next(every)
    assert of_two.train_loss == of_all.train_loss
    assert all(np.array_equal(of_two.probabilities[part], of_all.probabilities[part]) for part in of_two.probabilities)
    assert every.space == cell.all_edges()
    strongest = [of_all.probabilities[part].argmax(axis=1) for part in ("normal", "reduce")]
    assert of_all.best.choices == tuple(cell.operations[column] for row in strongest for column in row)
    assert len(of_all.best.choices) == 2 * (2 + 3)
    network = every.space.build(every.best, digits)
    assert network(torch.randn(2, *digits.input_shape)).shape == (2, digits.classes)
    genotype = every.space.genotype(every.best)
    assert genotype.keeps_all_edges("normal")
    assert every.space.parse(str(genotype)) == every.best
    assert 0 <= every.searcher.accuracy(every.best) <= 1

    kept = nl.Search(make("snas", digits, cell, edges="all"), run=tmp_path / "run")
    assert next(kept) == of_all
    kept.close()
    again = nl.Search.open(tmp_path / "run", digits)
    assert (again.space, again.best) == (every.space, every.best)
    assert next(again) == next(every)

    assert make("snas", digits, TINY, edges="all").space == TINY, "which keeps every edge anyway"
    with pytest.raises(SpecError, match='edges must be "strongest" or "all"'):
        make("snas", digits, edges="two")


@pytest.mark.parametrize("name", ["gdas", "proxylessnas", "drnas"])
def test_a_step_trains_the_weights_under_a_choice_of_their_own(digits, monkeypatch, name):
    """Not under the one by which the architecture moved; hard samples compute one path an edge for the weights, and
    two of ProxylessNAS for the architecture."""
    search = make(name, digits, **({"warmup": 0.0} if name == "proxylessnas" else {}))
    forward, seen = search._forward, {}

    def watched(images, drawn, half, rates):
        seen[half] = drawn["cell"], rates
        return forward(images, drawn, half, rates)

    monkeypatch.setattr(search, "_forward", watched)
    alpha = search.alphas["cell"].detach().clone()
    search.advance()
    (for_architecture, _), (for_weights, rates) = seen["architecture"], seen["weights"]
    assert not torch.equal(search.alphas["cell"], alpha)
    search._step -= 1  # draws depend on it, and the alphas are those that the weights were trained under
    assert torch.equal(for_weights.weights, search._draw("weights", rates)["cell"].weights)
    assert not torch.equal(for_weights.weights, search._draw("architecture", rates)["cell"].weights)
    if name != "drnas":
        paths = {"gdas": 1, "proxylessnas": 2}[name]
        assert for_architecture.used.sum(dim=1).tolist() == [paths] * 6
        assert for_weights.used.sum(dim=1).tolist() == [1] * 6


def test_a_sample_through_which_nothing_leads_moves_no_alpha(digits, monkeypatch):
    search = make("gdas", digits, alpha_weight_decay=0.0)
    search.advance()
    with torch.no_grad():
        search.alphas["cell"].fill_(-50.0)[:, TINY.operations.index("none")] = 50.0
    monkeypatch.setattr(search._optimizers.adam, "state", type(search._optimizers.adam.state)(dict))
    before = search.alphas["cell"].detach().clone()
    event = search.advance()
    assert event.best.choices == ("none",) * 6
    assert_close(search.alphas["cell"].detach(), before, rtol=0, atol=0)
