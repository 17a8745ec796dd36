"""Colours are told apart, also by those who see fewer of them."""

import itertools

import numpy as np
import pytest

from naslab_widgets.figures.palette import GREY, HUES, NAMED, RUNS, colours, of_runs

SEEN = {
    "all": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Machado, Oliveira and Fernandes 2009, severity 1: linear RGB as it is seen."""
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
"""Of linear sRGB, D65."""
GROUNDS = ("#ffffff", "#111111")


def lab(colour, sight):
    """CIE L*a*b* of a colour as somebody sees it."""
    value = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    x, y, z = np.array(XYZ) @ np.clip(np.array(SEEN[sight]) @ linear, 0, 1) / [0.95047, 1.0, 1.08883]
    x, y, z = (np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(one, other, sight):
    return float(np.linalg.norm(lab(one, sight) - lab(other, sight)))


def test_white_and_black_are_a_hundred_apart():
    assert apart("#ffffff", "#000000", "all") == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("sight", SEEN)
@pytest.mark.parametrize("ground", [0, 1])
def test_any_two_operations_are_told_apart_and_from_the_ground(ground, sight):
    for one, other in itertools.combinations([*HUES, GREY], 2):
        assert apart(one[ground], other[ground], sight) > 20, (one, other)
    for hue in (*HUES, GREY):
        assert apart(hue[ground], GROUNDS[ground], sight) > 20, hue


@pytest.mark.parametrize("ground", [0, 1])
def test_no_run_has_the_colour_of_an_operation(ground):
    for run, hue in itertools.product(RUNS[:3], HUES):
        assert apart(run[ground], hue[ground], "all") > 20, (run, hue)
    for one, other in itertools.combinations(RUNS, 2):
        assert apart(one[ground], other[ground], "all") > 12, (one, other)


def test_the_page_draws_its_curves_in_the_colours_of_runs(javascript):
    assert javascript("told(SERIES);", {"curves.js": ["SERIES"]}) == [list(pair) for pair in RUNS]


def test_operations_keep_their_colours_and_strangers_take_what_is_left():
    found = colours(["sep_conv_3x3", "mine", "none"])
    assert found["sep_conv_3x3"] == NAMED["sep_conv_3x3"]
    assert found["mine"] not in (NAMED["sep_conv_3x3"], GREY)
    assert list(of_runs(["a", "b"])) == ["a", "b"]
    assert of_runs(["a", "b"])["b"] == RUNS[1]
