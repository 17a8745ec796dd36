"""A mistake that fails every candidate is pointed out once, early, and nothing is lost by it."""

import json
import warnings

import pytest

import naslab as nl
from naslab.errors import RunError
from naslab.searchers.failures import FIRST, KINDS, LATER, NEVER, Failures


def said(*outcomes):
    """What is said of some outcomes: (place, text); None is one that succeeded."""
    failures = Failures()
    notes = (failures.note("done", "") if why is None else failures.note("failed", why) for why in outcomes)
    return [(place, text) for place, text in enumerate(notes, 1) if text is not None]


def test_the_first_few_alike_are_pointed_out_once():
    [(place, text)] = said(*["KeyError: 'x'"] * 50)
    assert place == FIRST
    assert text.startswith("the first 3 candidates failed alike: KeyError: 'x'. The search goes on")


def test_different_ones_are_not_and_a_row_of_others_is():
    assert said(*"abcabcabcabc") == []
    [(place, text)] = said("a", *"bbbb")
    assert place == 4
    assert text.startswith("the last 3 candidates")


def test_after_a_success_it_takes_a_longer_row():
    assert said(None, *"x" * (LATER - 1), None, *"x" * (LATER - 1)) == []
    [(place, text)] = said(None, *"x" * 30, None, *"x" * 30)
    assert (place, text[:23]) == (LATER + 1, f"the last {LATER} candidates ")


def test_errors_that_differ_in_detail_are_pointed_out_where_none_succeeds():
    [(place, text)] = said(*(f"ValueError: bad {number}" for number in range(40)))
    assert place == NEVER
    assert text.startswith(
        "none has succeeded, and 5 candidates failed with ValueError, the last of them: ValueError: bad 4."
    )
    assert (
        said(*(f"ValueError: bad {number}" for number in range(4)), None, *(f"ValueError: {n}" for n in range(9))) == []
    )


def test_limits_may_refuse_many():
    assert said(*(f"TooMuch: it does not keep to the limits: {number}" for number in range(40))) == []


def test_reasons_that_all_differ_are_summed_up():
    failures = Failures()
    for number in range(3):
        failures.note("failed", f"ValueError: bad {number}")
    assert str(failures) == "all of them with ValueError, the last: ValueError: bad 2"
    failures.note("failed", "KeyError: 'x'")
    assert str(failures) == "no two of them alike, the last: KeyError: 'x'"


def test_memory_is_bounded_and_takes_up_where_it_was():
    failures = Failures()
    for number in range(1000):
        failures.note("failed", f"ValueError: {number}")
        failures.note("crashed", "")
    memory = json.loads(json.dumps(failures.state_dict()))
    assert len(memory[0]) == KINDS
    assert str(failures) == "most often, 1000 times: crashed"
    again = Failures()
    again.load_state_dict(memory)
    assert (str(again), again.state_dict()) == (str(failures), memory)
    assert str(Failures()) == ""


def wrong(architecture):
    return architecture.operations  # there is no such thing


@pytest.fixture
def begin(benchmark):
    def begin(estimator, budget=12, **given):
        return nl.Search(nl.searchers.RandomSearch(benchmark.space), estimator=estimator, budget=budget, **given)

    return begin


def test_a_search_warns_and_goes_on(begin, tmp_path):
    search = begin(wrong, run=tmp_path / "run", snapshot_every=5)
    next(search), next(search)
    with pytest.warns(UserWarning, match=r"first 3 candidates failed alike: AttributeError.*fix it") as caught:
        events = list(search)
    assert len(caught) == 1
    assert caught[0].filename == __file__, "where `next(search)` stands"
    assert len(events) == 10
    assert {event.status for event in search.events} == {"failed"}
    with pytest.raises(RunError, match=r"none of 12 .*\(all of them: AttributeError: 'Architecture' object has no"):
        _ = search.best
    search.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = nl.Search.open(tmp_path / "run", estimator=wrong)  # replays without saying it again
    with pytest.raises(RunError, match=r"all of them: AttributeError"):
        _ = again.best


def test_where_warnings_are_errors_nothing_is_lost_either(begin):
    asked = []

    def score(architecture):
        asked.append(architecture)
        raise ValueError("no data")

    search = begin(score)
    next(search), next(search)
    with pytest.raises(UserWarning, match="no data"):
        next(search)
    assert search.step == 2
    list(search)
    assert [event.number for event in search.events] == list(range(1, 13))
    assert len(set(asked)) == 12


def test_the_commonest_reason_is_quoted(begin):
    def score(architecture):
        raise ValueError("odd" if architecture.choices[0] == "none" else "even")

    search = begin(score)
    with pytest.warns(UserWarning, match="even"):
        list(search)
    count = sum(event.message == "ValueError: even" for event in search.events)
    assert 6 < count < 12
    with pytest.raises(RunError, match=rf"most often, {count} times: ValueError: even"):
        _ = search.best
