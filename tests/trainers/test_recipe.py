import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from naslab.errors import SpecError
from naslab.trainers import Recipe


def test_the_cosine_goes_from_the_highest_to_the_lowest_rate():
    recipe = Recipe(epochs=4, learning_rate=0.1, learning_rate_min=0.02)
    rates = [recipe.learning_rate_at(step, 5) for step in range(20)]
    assert rates[0] == 0.1
    assert rates[10] == pytest.approx(0.06), "half-way in the middle"
    assert rates[5] == pytest.approx(0.02 + 0.08 * (1 + math.cos(math.pi / 4)) / 2)
    assert rates == sorted(rates, reverse=True)
    assert recipe.learning_rate_at(20, 5) == pytest.approx(0.02)


def test_the_warm_up_is_linear_and_comes_first():
    recipe = Recipe(epochs=4, learning_rate=0.1, warmup_epochs=1.2)
    rates = [recipe.learning_rate_at(step, 5) for step in range(20)]
    assert rates[:6] == pytest.approx([0.1 * n / 6 for n in range(1, 7)])
    assert rates[6] == 0.1
    assert rates[19] < 0.01
    assert Recipe(schedule="constant").learning_rate_at(7, 2) == 0.025


def test_after_the_warm_up_a_line():
    recipe = Recipe(epochs=4, learning_rate=0.1, learning_rate_min=0.02, warmup_epochs=1, schedule="linear")
    rates = [recipe.learning_rate_at(step, 5) for step in range(21)]
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[5:] == pytest.approx([0.1 - 0.08 * n / 15 for n in range(16)])


def test_what_is_written_is_what_was_written_before():
    """Fingerprints of runs depend on it."""
    written = Recipe(learning_rate=0.1).to_json()
    assert list(written) == [
        "epochs", "batch_size", "optimizer", "learning_rate", "learning_rate_min", "momentum", "weight_decay",
        "schedule", "schedule_epochs", "warmup_epochs", "gradient_clipping", "label_smoothing", "auxiliary_weight",
        "drop_path", "augment", "held_out", "patience", "precision", "channels_last", "compile", "sync_batch_norm",
    ]  # fmt: skip
    recipe = Recipe(betas=[0.5, np.float64(0.9)], optimizer="adam", scale_rate=True)
    assert recipe.betas == (0.5, 0.9)
    assert Recipe(**json.loads(json.dumps(recipe.to_json()))) == recipe
    assert recipe.to_json()["betas"] == [0.5, 0.9]


@pytest.mark.parametrize(("short", "full"), [("no", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")])
def test_a_precision_has_two_names_and_is_written_by_the_short_one(short, full):
    assert Recipe(precision=short) == Recipe(precision=full)
    assert Recipe(precision=short).precision == full
    written = Recipe(precision=full).to_json()
    assert written["precision"] == short
    assert Recipe(**written) == Recipe(precision=full)


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_optimizers(name, kind):
    optimizer = Recipe(optimizer=name, weight_decay=0.01).make_optimizer(nn.Linear(2, 2))
    assert type(optimizer) is kind
    assert optimizer.defaults["weight_decay"] == 0.01
    assert name == "sgd" or optimizer.defaults["betas"] == (0.9, 0.999)
    if name == "sgd":
        assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.9, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"schedule": "step"}, "unknown schedule"),
        ({"precision": "fp8"}, "unknown precision"),
        ({"epochs": 0}, "epochs must be a whole number from 1 up, not 0"),
        ({"epochs": 2.0}, "whole number"),
        ({"epochs": np.float64(2)}, "whole number"),
        ({"epochs": np.True_}, "whole number"),
        ({"batch_size": torch.tensor(True)}, "whole number"),
        ({"momentum": np.True_}, "momentum"),
        ({"batch_size": -8}, "batch_size"),
        ({"learning_rate": -0.1}, "learning_rate must be a finite number from 0 up"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": math.inf}, "learning_rate"),
        ({"learning_rate": "0.1"}, "learning_rate"),
        ({"betas": (0.9,)}, r"betas are two numbers from 0 up and below 1, such as \(0.9, 0.999\), not \(0.9,\)"),
        ({"betas": (0.9, 1.0)}, "betas are two numbers"),
        ({"betas": 0.9}, "betas are two numbers"),
        ({"betas": ("a", 0.9)}, "a beta of Adam must be a number"),
        ({"nonmonotone_interval": -1}, "nonmonotone_interval must be"),
        ({"evaluation_batch_size": 1.5}, "evaluation_batch_size must be"),
        ({"momentum": 1.0}, "momentum .* below 1"),
        ({"drop_path": 1.2}, "drop_path"),
        ({"warmup_epochs": 6}, "warmup_epochs=6 is longer"),
        ({"patience": 2}, "held_out=0.1"),
        ({"learning_rat": 0.1}, "did you mean 'learning_rate'"),
    ],
)
def test_nonsense_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        Recipe().but(**changes)


def test_numbers_may_be_numpys_and_are_pythons_afterwards():
    recipe = Recipe(epochs=np.int64(3), batch_size=np.array(8), learning_rate=np.float32(0.5), momentum=np.float64(0.5))
    assert recipe == Recipe(epochs=3, batch_size=8, learning_rate=0.5, momentum=0.5)
    assert json.loads(json.dumps(dataclasses.asdict(recipe)))["learning_rate"] == 0.5
    assert repr(recipe) == repr(Recipe(epochs=3, batch_size=8, learning_rate=0.5, momentum=0.5))
