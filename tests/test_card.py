import math
import re

import pytest

from naslab.card import card
from naslab.errors import SpecError

GOOD = {"mine": [3.0, 3.1, 3.2, 3.3, 3.4], "random search": [1.0, 1.1, 1.2, 1.3, 1.35]}
BUDGETS = {"mine": 10, "random search": 10}


def test_a_comparison_with_everything_has_no_warning():
    found = card(GOOD, what="accuracy, %", budgets=BUDGETS)
    assert found.warnings == ()
    assert found.baseline == "random search"
    (pair,) = found.pairs
    assert (pair.first, pair.second) == ("mine", "random search")
    assert pair.difference == pytest.approx(2.01)
    assert pair.superiority == 1.0
    assert pair.p == pytest.approx(2 / 252)
    assert pair.verdict == "differ"
    assert "random search (baseline)" in str(found)
    assert "10 evaluations" in str(found)
    assert "p = 0.008" in str(found)


@pytest.mark.parametrize(
    ("samples", "options", "warning"),
    [
        ({"mine": GOOD["mine"], "theirs": GOOD["mine"]}, {}, "no random-search baseline"),
        ({**GOOD, "mine": [3.0, 3.1]}, {}, r"fewer than 3 samples \('mine' 2\)"),
        (GOOD, {"budgets": {"mine": 20, "random search": 10}}, "budgets differ.*'mine' 20"),
        (GOOD, {"chose_by_test_data": True}, "test data themselves"),
        ({**GOOD, "mine": [math.nan, *GOOD["mine"]]}, {}, "1 of 6 samples of 'mine' found nothing"),
        ({k: v[:3] for k, v in GOOD.items()}, {}, "with 3 and 3 samples a test of ranks cannot go below p = 0.1"),
    ],
)
def test_what_is_missing_is_said(samples, options, warning):
    found = card(samples, what="x", **options)
    assert len([text for text in found.warnings if re.search(warning, text)]) == 1
    assert f"warning: {found.warnings[0]}" in str(found)


def test_pairs_are_corrected_for_their_number():
    three = card({**GOOD, "theirs": [2.0, 2.1, 2.2, 2.3, 2.4]}, what="x")
    assert len(three.pairs) == 3
    assert [pair.p for pair in three.pairs] == pytest.approx([3 * 2 / 252] * 3)
    assert [pair.second for pair in three.pairs] == ["theirs", "random search", "random search"]


def test_the_same_everywhere_is_no_difference():
    found = card({"random": [1.0] * 5, "b": [1.0] * 5}, what="x")
    assert found.pairs[0].verdict == "no difference shown"
    assert math.isnan(found.entries[0].low)
    welch = card({"random": [1.0] * 5, "b": [1.0] * 5}, what="x", test="welch")
    assert welch.pairs[0].verdict == "cannot be told"


def test_a_budget_that_is_not_known_has_no_column():
    known, unknown = card(GOOD, what="x", budgets=BUDGETS), card(GOOD, what="x")
    assert "  budget\n" in str(known)
    assert ">budget</th>" in known._repr_html_()
    assert "budget" not in str(unknown) + unknown._repr_html_()
    assert unknown._repr_html_().count("<td") == known._repr_html_().count("<td") - 2


def test_a_name_is_text_in_html():
    found = card({"<script>x</script>": [1.0, 2.0], "random": [1.0, 3.0]}, what="<b>%</b>")
    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()
    assert "<b>%</b>" not in found._repr_html_()


def test_bad_input():
    with pytest.raises(SpecError, match="at least one group"):
        card({}, what="x")
    with pytest.raises(SpecError, match="did you mean 'welch'"):
        card(GOOD, what="x", test="welsh")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="did you mean 'mine'"):
        card(GOOD, what="x", baseline="min")
    nothing = card({"random": [math.nan], "b": []}, what="x")
    assert nothing.pairs == ()
    assert "-" in str(nothing)
