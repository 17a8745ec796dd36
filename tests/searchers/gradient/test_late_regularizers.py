"""Dropout behind skip connections and perturbation, in a search that was made without."""

from __future__ import annotations

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.searchers import gradient as g

SPACE = nl.spaces.NASBench201(channels=4, cells=1)
LATE = {"skip_dropout": 0.3, "perturbation": 0.1}


def darts(**more):
    return nl.searchers.Darts(SPACE, nl.tasks.Digits(), epochs=1, batch_size=16, seed=0, **more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "regularizer"),
    [
        ("skip_dropout", g.SkipDropout(rate=0.3, rate_end=0.3)),
        ("perturbation", g.Perturbation(radius=0.1, radius_end=0.1)),
    ],
)
def test_a_regularizer_set_before_the_first_step_equals_one_given_at_the_start(name, regularizer):
    made = nl.searchers.GradientSearch(
        SPACE, nl.tasks.Digits(), epochs=1, batch_size=16, seed=0, regularizers=(regularizer,)
    )
    late, plain = darts(), darts()
    late.set(name, LATE[name])
    for _ in range(3):
        event = late.advance()
        assert event == made.advance()
        assert event != plain.advance()


@pytest.mark.slow
def test_nothing_is_otherwise_while_it_is_off():
    search = nl.Search(darts())
    assert all(search.settings[name].value == 0 for name in LATE)
    first = [next(search) for _ in range(2)]
    assert not set(LATE) & set(first[0].settings)
    fork = search.fork(step=1, change=LATE)
    cured = [next(fork), next(fork)]
    assert cured[0].settings["skip_dropout"] == 0.3
    assert cured[0].probabilities["cell"].tolist() != first[1].probabilities["cell"].tolist()
    fork.rewind(2)
    assert next(fork) == cured[1]
    for name in LATE:
        fork.set(name, 0.0)
    assert next(fork).settings["perturbation"] == 0.0


def test_it_is_offered_where_it_can_do_something():
    gdas = nl.searchers.GDAS(SPACE, nl.tasks.Digits(), epochs=1, batch_size=16)
    assert "skip_dropout" in gdas.settings
    with pytest.raises(SpecError):
        gdas.set("perturbation", 0.1)
    robust = nl.searchers.RobustDarts(SPACE, nl.tasks.Digits(), epochs=1, batch_size=16, skip_dropout=0.2)
    assert robust.settings["skip_dropout"].value == pytest.approx(0.2)
    convolutions = nl.spaces.DartsCell(nodes=2, channels=2, cells=3, operations=("none", "sep_conv_3x3"))
    assert "skip_dropout" not in nl.searchers.Darts(convolutions, nl.tasks.Digits(), epochs=1, batch_size=16).settings
