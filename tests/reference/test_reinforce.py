"""REINFORCE as it is composed, against the plain one."""

import pytest
import torch

import naslab as nl
from naslab.reference.controller import Independent, Recurrent
from naslab.reference.reinforce import reinforce
from naslab.searchers.nas_rl import DONG_AND_YANG

SPACE = nl.spaces.NASBench201()
STEPS = 12


def worth(decisions):
    return sum(len(decision) for decision in decisions) / 60


@pytest.mark.parametrize(
    "given",
    [
        {"policy": "lstm", "units": 6, "layers": 2, "children": 3, "learning_rate": 0.02, "entropy_weight": 0.01},
        {"policy": "independent", "children": 4, "learning_rate": 0.05, "entropy_weight": 0.1},
        DONG_AND_YANG,
    ],
    ids=["lstm", "independent", "a step for every child"],
)
def test_the_same_policy(given, drawn, learnt, monkeypatch):
    """The same children; the same weights but for rounding, since the plain policy writes one child at a time."""
    searcher = nl.searchers.NasRL(SPACE, seed=2, **given)
    choices = SPACE.fixed_choices
    weights = learnt(searcher.controller.policy, choices)
    sizes = {name: given[name] for name in ("units", "layers") if name in given}
    policy = Recurrent(choices, **sizes) if given["policy"] == "lstm" else Independent(choices)
    start = {name: w.detach().clone() for name, w in weights().items()}
    policy.load_state_dict(start)

    rng, asked = drawn.by(searcher.controller, monkeypatch), []
    for _ in range(STEPS * given["children"]):
        trial = searcher.ask()
        asked.append(trial.architecture.choices)
        searcher.tell(trial, worth(asked[-1]))

    history = reinforce(
        SPACE,
        policy,
        worth,
        rng,
        STEPS,
        children=given["children"],
        rate=given["learning_rate"],
        entropy_weight=given.get("entropy_weight", 0.0),
        momentum=searcher.hyperparameters.baseline_momentum,
    )
    assert not drawn.numbers, "no number more or less was drawn"
    assert [decisions for decisions, _ in history] == asked
    found = weights()
    plain = policy.state_dict()
    assert found.keys() == plain.keys()
    for name, w in found.items():
        torch.testing.assert_close(w.detach(), plain[name], rtol=1e-5, atol=1e-5, msg=name)
    moved = [name for name, w in plain.items() if not torch.equal(w, start[name])]
    assert set(start) - set(moved) <= {f"embedding.{choices[-1].name}"}, "no decision follows the last"
