from xml.etree import ElementTree

from naslab.architecture import Architecture
from naslab.quantities import Objective
from naslab.trainers import Comparison, Score
from naslab_widgets.figures import comparison

BITS = Objective("bits_per_character", "min", "bits")


def scores(group, values):
    return [
        Score(group=group, architecture=Architecture("s", (group, i)), seed=0, test_accuracy=v, parameters=9)
        for i, v in enumerate(values)
    ]


def test_dots_means_and_intervals():
    found = Comparison(tuple(scores("found <b>", [0.8, 0.82, 0.84]) + scores("random", [0.7])))
    root = ElementTree.fromstring(str(comparison(found)))
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "found <b>" in texts
    assert "82.0 (77.0 to 87.0), n = 3" in texts
    assert "70.0, n = 1" in texts, "one sample has no interval"
    dots = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(dots) == 4
    places = [float(dot.get("cx")) for dot in dots]
    assert places[3] < places[0] < places[1] < places[2]


def test_bits_have_a_name_in_words_and_as_many_digits_as_tell_them_apart():
    found = Comparison(tuple(scores("found", [2.41, 2.43]) + scores("random", [2.5])), BITS)
    texts = [element.text for element in ElementTree.fromstring(str(comparison(found))).iter()]
    assert "test bits per character, bits" in texts
    assert "2.50, n = 1" in texts
