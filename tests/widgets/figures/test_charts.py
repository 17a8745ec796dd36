"""Charts follow from the names of metrics, their directions and units; nothing else is known of any of them."""

import pytest

from naslab.quantities import Objective, Quantity
from naslab_widgets.figures.charts import charts_apart, charts_of, format_value, metric_words, objective_json

NATS, SHARE = Quantity("min", "nats"), Quantity("max", "%")
IMAGES = {
    "train/loss": NATS,
    "valid/loss": NATS,
    "train/accuracy": SHARE,
    "valid/accuracy": SHARE,
    "entropy": Quantity(None, "nats"),
    "discretisation_gap": Quantity(None, "nats"),
    "count/skip_connect": Quantity(),
}


def titles(charts):
    return [chart.title for chart in charts]


def test_image_classification_has_its_five_charts():
    charts = charts_of(IMAGES)
    assert titles(charts) == [
        "loss (nats)",
        "accuracy (%)",
        "entropy (nats)",
        "discretisation gap (nats)",
        "skip connections",
    ]
    assert charts[0].lines == (("train/loss", "train"), ("valid/loss", "valid"))
    assert charts[1].to_json()["direction"] == "max"
    assert charts[4].lines == (("count/skip_connect", "skip connections"),)


def test_compared_searches_have_a_chart_a_split_the_validation_first():
    assert titles(charts_apart(IMAGES)) == [
        "validation accuracy (%)",
        "validation loss (nats)",
        "training loss (nats)",
        "entropy (nats)",
        "discretisation gap (nats)",
        "skip connections",
    ]


def test_a_language_model_has_its_own():
    metrics = {
        f"{split}/{name}": quantity
        for name, quantity in {
            "loss": NATS,
            "perplexity": Quantity("min"),
            "bits_per_character": Quantity("min", "bits"),
        }.items()
        for split in ("train", "valid")
    }
    assert titles(charts_of(metrics)) == ["loss (nats)", "perplexity", "bits per character"]


def test_operations_that_are_counted_share_a_chart_in_their_own_colours():
    counts = {f"count/{name}": Quantity() for name in ("none", "tanh", "relu")}
    (chart,) = charts_of(counts)
    assert chart.title == "operations kept"
    assert [line.label for line in chart.lines] == ["tanh", "relu"], "none is never kept"
    hues = {"tanh": ("#1", "#2"), "relu": ("#3", "#4")}
    assert chart.to_json(hues)["colours"] == [["#1", "#2"], ["#3", "#4"]]
    assert chart.to_json()["colours"] is None
    assert charts_apart(counts) == []


def test_what_differs_in_unit_or_direction_is_no_one_chart():
    metrics = {"train/f": Quantity("max", "%"), "valid/f": Quantity("max"), "child/f": Quantity("min")}
    assert titles(charts_of(metrics)) == ["training f (%)", "validation f", "derived f"]


@pytest.mark.parametrize("name", ["", "/", "a/b/c", "valid/", "/loss", "__", "count/", "<b>"])
def test_any_name_is_a_title(name):
    (chart,) = charts_of({name: Quantity()})
    assert chart.lines[0].metric == name
    assert isinstance(metric_words(name, split=True), str)


def test_values_are_told_with_their_units():
    assert format_value(0.9344, "%") == "93.4 %"
    assert format_value(2.5, "nats") == "2.500 nats"
    assert format_value(31.25) == "31.250"
    assert format_value(1e61) == "1e+61"
    shown = objective_json(Objective("bits_per_character", "min", "bits"))
    assert (shown["title"], shown["sign"]) == ("bits per character", -1)
