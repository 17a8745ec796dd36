"""Export of a search as a Python program that repeats it: built from its spec, with every intervention at its step.

With one evaluation at a time, a search is a function of its spec and its interventions, and the program computes the
same events bit for bit. With several evaluations at once, the order in which they finish depends on the machine. Such a
program therefore contains the results, each with the number of its proposal, and the searcher observes them in the
recorded order.
"""

from __future__ import annotations

import keyword
import pprint
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from naslab.estimators.evaluation import Outcome, outcome_of
from naslab.events import HAND, Evaluated
from naslab.quantities import as_objectives
from naslab.runs.branches import ASIDE_KINDS
from naslab.runs.interventions import Intervention, plain
from naslab.searchers import BlackBoxSearch
from naslab.searchers.black_box import WORKERS

if TYPE_CHECKING:
    from naslab.runs.search import Search

WIDTH = 110
_HEAD = '''"""{name}, {done} of {total} steps, with {interventions}, done again{how}.

{note}
"""

{imports}import naslab as nl

SPEC = {spec}

TASK = None  # put the task here, if it was made from data of your own, such as arrays
{estimator}
search = nl.Search(nl.searchers.from_spec(SPEC, TASK{estimated}){more})
{answers}

def to(step):
    """Do steps until so many are done."""
    while search.step < step:
        next(search)


'''
_ESTIMATOR = "ESTIMATOR = None  # put the estimator here, if it is a function or class of your own\n"
_ALONE = """The same torch, processor and number of threads give the same events bit for bit. What was measured or kept
on request changes nothing in a search, and is left out."""
_REPLAYED = """Candidates were evaluated {most} at a time, so that the order in which they finished depended on the
machine. So nothing is evaluated here: ANSWERS holds the result of each proposal, in the order in which the searcher
observed them, and it observes them in that order again. Without them, the search would take another course."""


def script(search: Search, run: str | None = None) -> str:
    """See `naslab.Search.script`."""
    events, performed = search.events, [one for one in search.ledger if not one.pending]
    many = _at_once(search, performed)
    trials = isinstance(search.searcher, BlackBoxSearch)
    spec = {name: value for name, value in search.spec.items() if name != "ranking"}
    ranking = search.spec.get("ranking")
    every = f"\n    ranking=nl.LiveRanking.from_spec({ranking!r}),\n" if ranking else ""
    more = "".join([f", run={run!r}" if run else "", f",{every}" if every else ""])
    steps = sum(event.kind not in ASIDE_KINDS for event in search._events)
    answers = ""
    if many > 1:
        collected = [_answer(event) for event in events if isinstance(event, Evaluated)]
        lines = "".join(f"    {one!r},\n" for one in collected)
        answers = f"\nANSWERS = [\n{lines}]\nsearch.searcher.foretell(nl.runs.script.answers(ANSWERS))\n"
    count, described = len(performed), pprint.pformat(spec, width=WIDTH, sort_dicts=False)
    strange = [word for word in ("inf", "nan") if re.search(rf"\b{word}\b", described + answers)]
    head = _HEAD.format(
        name=search.spec["searcher"],
        done=steps,
        total=search.searcher.total,
        interventions="1 intervention" if count == 1 else f"{count or 'no'} interventions",
        how=" as it went" if many > 1 else "",
        note=(_REPLAYED.format(most=many) if many > 1 else _ALONE),
        imports=f"from math import {', '.join(strange)}\n\n" if strange else "",
        spec=described.replace("\n", "\n" + " " * len("SPEC = ")),
        estimator=_ESTIMATOR if trials else "",
        estimated=", ESTIMATOR" if trials else "",
        more=more,
        answers=answers,
    )
    return head + "".join(_lines(performed, steps))


def _at_once(search: Search, performed: Sequence[Intervention]) -> int:
    """Returns the largest number of candidates that were evaluated at once."""
    changed = [one.told for one in performed if one.kind == "changed" and one.name == WORKERS]
    return max([int(search.spec.get("workers", 1)), *changed])


def _lines(performed: Sequence[Intervention], steps: int) -> Iterator[str]:
    """Yields the lines of the program: go to a step, make the interventions there, and so on to the last step."""
    last = None
    for one in performed:
        if one.step != last:
            yield f"to({one.step - 1})\n"
            last = one.step
        by = f", who={one.who!r}" if one.who != HAND else ""
        by += "" if one.undoes is None else f", undoes={one.undoes}"
        if sum(other.step == one.step for other in performed) > 1:  # one may be valid only after another
            by += ", check=False"
        if one.kind == "changed":
            call = f"search.set({one.name!r}, {plain(one.told)!r}{by})"
        else:
            arguments = plain(one.told)
            named = all(name.isidentifier() and not keyword.iskeyword(name) for name in arguments)
            given = (
                "".join(f", {name}={value!r}" for name, value in arguments.items()) if named else f", **{arguments!r}"
            )
            call = f"search.act({one.name!r}{given}{by})"
        yield f"# step {one.step}: {_comment(one.sentence)}\n{call}\n"
    yield f"to({steps})\n"


def _comment(text: str) -> str:
    """Returns a text on a single line, without control characters that could end the comment."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


# --- results in the program ----------------------------------------------------------------------


def _answer(event: Evaluated) -> list[Any]:
    """Returns an evaluation as plain Python values, which `answers` reads."""
    status, fitness, figures, message, values, objectives = outcome_of(event)
    return [event.number, status, fitness, figures, message, dict(values), [list(one) for one in objectives]]


def answers(recorded: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Outcome]]:
    """Yields (number of the proposal, result) for `BlackBoxSearch.foretell`, from the ANSWERS of a program."""
    for number, status, fitness, figures, message, values, objectives in recorded:
        named = as_objectives(objectives) if objectives else ()
        yield number, Outcome(status, fitness, figures, message, values, named)
