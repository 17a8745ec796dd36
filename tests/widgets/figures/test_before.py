"""Pictures of rates and of feature maps: what is drawn is what was found."""

import io
from base64 import b64decode
from xml.etree import ElementTree

import numpy as np
import pytest

from naslab.analysis import FeatureMaps
from naslab.errors import SpecError
from naslab.searchers import Rates
from naslab_widgets import figures
from naslab_widgets.figures.contact_sheet import png

EVIL = "<script>alert(1)</script>"


def elements(drawing, tag, **attributes):
    found = [element for element in ElementTree.fromstring(drawing).iter() if element.tag.endswith("}" + tag)]
    return [element for element in found if all(element.get(name) == value for name, value in attributes.items())]


def fell(**given):
    rates = np.geomspace(1e-5, 1, 61)
    losses = np.where(rates < 0.1, 2.3 - np.clip(np.log10(rates) + 3, 0, 2) / 4, 1.8 + 60 * (rates - 0.1))
    about = dict(name="w_lr", metric="train/loss", unit="nats", rates=rates, losses=losses, now=0.01, steps=61)
    return Rates(**{**about, "ended": "exploded", **given})


def test_a_panel_a_rate_with_its_dots_its_mean_and_its_suggestion():
    one, flat = fell(), fell(name=EVIL, losses=np.full(61, 2.0), ended="tried")
    drawing = figures.rates(one, flat)
    assert not elements(drawing, "script")
    assert f"train/loss (nats) while {EVIL} grows" in [text.text for text in elements(drawing, "text")]
    dots = elements(drawing, "circle", **{"class": "loss"})
    assert 61 < len(dots) < 122, "what explodes leaves the picture at the top"
    for dot in dots:
        assert 34 <= float(dot.get("cy")) <= 206
    (line, _) = elements(drawing, "polyline")
    points = np.array([[float(number) for number in point.split(",")] for point in line.get("points").split()])
    assert len(points) == 61
    assert np.allclose(np.diff(points[:, 0]), np.diff(points[:, 0]).mean(), atol=0.2), "a logarithmic axis"
    (ring,) = elements(drawing, "circle", **{"class": "suggestion"})
    place = int(np.abs(np.log(one.rates / one.suggestion)).argmin())
    assert float(ring.get("cx")) == pytest.approx(points[place, 0], abs=4)
    assert len(elements(drawing, "path", **{"class": "steepest"})) == 1
    with pytest.raises(SpecError, match="at least one range test"):
        figures.rates()


def test_a_sheet_shows_the_maps_as_they_are():
    from PIL import Image

    reads = np.arange(2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
    maps = np.stack([reads[:, ::2, ::2], np.zeros((2, 2, 2), np.float32)])
    found = FeatureMaps(
        part="normal",
        row=1,
        place="cells.0",
        operations=("conv", EVIL),
        shares=np.array([0.75, 0.25]),
        reads=reads,
        maps=maps,
    )
    drawing = figures.contact_sheet(found)
    assert not elements(drawing, "script")
    assert {"what it reads", "conv", EVIL, "75.0 %", "25.0 %"} <= {text.text for text in elements(drawing, "text")}
    images = [image.get("href").removeprefix("data:image/png;base64,") for image in elements(drawing, "image")]
    assert len(images) == 3 * 2
    first = np.asarray(Image.open(io.BytesIO(b64decode(images[0]))))
    assert first.tolist() == np.round(255 * reads[0] / 15).astype(int).tolist()
    small = np.asarray(Image.open(io.BytesIO(b64decode(images[2]))))
    assert small[1:3, 1:3].tolist() == [[0, 51], [204, 255]], "a smaller map stands in the middle of its field"
    assert set(small[0].tolist()) == {255}
    for wrong in (np.zeros((2, 2)), np.zeros((0, 2), np.uint8), np.zeros((1, 2, 2), np.uint8)):
        with pytest.raises(SpecError, match="uint8"):
            png(wrong)
