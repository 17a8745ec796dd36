"""Who is dimmed as stopped by a hurdle, in Python's picture and on the page, against what the searcher did."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
import naslab_widgets
from naslab.searchers import Hurdles
from naslab_widgets.figures import trials
from naslab_widgets.figures.trial_table import AT, TrialTable

STATIC = Path(naslab_widgets.__file__).parent / "static"
TABLE = nl.benchmarks.NASBench201()


def constant(architecture, epochs):
    return 0.1


def graded(architecture, epochs):
    """Few values, so that many children are as good as a hurdle; every 23rd cell fails."""
    number = TABLE.index(architecture)
    if number % 23 == 0:
        raise MemoryError("the network does not fit")
    return round(TABLE.column()[number] / 10) + np.log2(epochs)


def just_above(architecture, epochs):
    """As good as the hurdles in float32, better in truth."""
    just_above.calls += 1
    return 0.1 + 1e-12 * just_above.calls


@pytest.fixture(params=[constant, graded, just_above], ids=lambda of: of.__name__)
def told(request):
    """Events, and of each whether the search stopped it at a hurdle: asked of the searcher, not of the events."""
    just_above.calls = 0
    sampler = Hurdles(TABLE.space, steps=(1, 1, 2), population=10, sample=3, per_hurdle=15, seed=3)
    search, events, faced = nl.Search(sampler, estimator=request.param, budget=150), [], []
    while search.step < 150:
        standing = sampler.hurdles
        event = next(search)
        cleared = [1, 2, 4].index(event.fidelity)
        events.append(event)
        faced.append(event.fitness is not None and cleared < len(standing))
    went_on = {event.begins_from for event in events} | {waiting.number for waiting, _ in sampler._going_on}
    return events, [hurdle and event.number not in went_on for event, hurdle in zip(events, faced, strict=True)]


def test_dimmed_are_those_that_the_search_did_not_train_on(told):
    events, stopped = told
    root = ElementTree.fromstring(trials(events))
    dots = [each for each in root.iter() if each.tag.endswith("}circle") and each.get("r") == "2.4"]
    dimmed = [float(dot.get("fill-opacity")) < 0.5 for dot in dots]
    assert dimmed == [stop for event, stop in zip(events, stopped, strict=True) if event.fitness is not None]


@pytest.mark.parametrize("stride", [1, 2])
def test_the_page_dims_the_same_also_where_it_knows_a_part(javascript, told, stride):
    events, stopped = told
    assert page(javascript, events, stride) == stopped[::stride]


def test_the_searches_stop_many_or_train_many_on(told):
    events, stopped = told
    assert len(events[-1].details["hurdles"]) >= 1
    assert sum(stopped) > 30 or sum(event.begins_from is not None for event in events) > 30


def page(javascript, events, stride):
    """What the page's own script says of every stride-th trial."""
    ledger = TrialTable()
    ledger.take(events)
    rows = np.ascontiguousarray(ledger.rows[::stride], "<f8")
    head = {"name": "trials", "width": rows.shape[1], "reset": True, "stride": 1}
    message = {"type": "trials", "number": 1, "fresh": True, "status": {}, "tables": [head]}
    script = f"""
        const C = {json.dumps(AT)};
        let hear;
        const model = {{ on: (_, listener) => (hear = listener), send() {{}} }};
        const {{ state }} = followTrials(model, C, () => {{}}, () => {{}});
        const bytes = Buffer.from("{rows.tobytes().hex()}", "hex");
        hear({json.dumps(message)}, [new DataView(bytes.buffer, bytes.byteOffset, bytes.length)]);
        told(state.trials.map((row) => isStopped(row, state, C)));
    """
    return javascript(script, {"stream.js": ["followTrials"], "trial_queries.js": ["isStopped"]})
