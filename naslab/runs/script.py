"""A search as a Python program that does it again: made anew from its spec, with every intervention at its step.

With one evaluation at a time a search is a function of its spec and its interventions, so that the program finds the
same answers again, bit for bit. With several at once, who was first depended on the machine: such a program brings the
answers along, each with the number of its proposal, and they are told in the order in which they came.
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
_TOLD = """Candidates were evaluated {most} at a time, so that it depended on the machine which of them was done first.
So nothing is evaluated here: ANSWERS holds what each proposal came to, in the order in which the answers were told, and
the searcher is told them in that order again. Without it, the search would go its own way."""


def script(search: Search, run: str | None = None) -> str:
    """See `naslab.Search.script`."""
    events, ledger = search.events, [one for one in search.ledger if not one.pending]
    many = _at_once(search, ledger)
    trials = isinstance(search.searcher, BlackBoxSearch)
    spec = {name: value for name, value in search.spec.items() if name != "ranking"}
    ranking = search.spec.get("ranking")
    every = f"\n    ranking=nl.LiveRanking.from_spec({ranking!r}),\n" if ranking else ""
    more = "".join([f", run={run!r}" if run else "", f",{every}" if every else ""])
    steps = sum(event.kind not in ASIDE_KINDS for event in search._events)
    answers = ""
    if many > 1:
        told = [_answer(event) for event in events if isinstance(event, Evaluated)]
        lines = "".join(f"    {one!r},\n" for one in told)
        answers = f"\nANSWERS = [\n{lines}]\nsearch.searcher.foretell(nl.runs.script.answers(ANSWERS))\n"
    count, described = len(ledger), pprint.pformat(spec, width=WIDTH, sort_dicts=False)
    strange = [word for word in ("inf", "nan") if re.search(rf"\b{word}\b", described + answers)]
    head = _HEAD.format(
        name=search.spec["searcher"],
        done=steps,
        total=search.searcher.total,
        interventions="1 intervention" if count == 1 else f"{count or 'no'} interventions",
        how=" as it went" if many > 1 else "",
        note=(_TOLD.format(most=many) if many > 1 else _ALONE),
        imports=f"from math import {', '.join(strange)}\n\n" if strange else "",
        spec=described.replace("\n", "\n" + " " * len("SPEC = ")),
        estimator=_ESTIMATOR if trials else "",
        estimated=", ESTIMATOR" if trials else "",
        more=more,
        answers=answers,
    )
    return head + "".join(_lines(ledger, steps))


def _at_once(search: Search, ledger: Sequence[Intervention]) -> int:
    """The most candidates that were ever evaluated at once."""
    changed = [one.told for one in ledger if one.kind == "changed" and one.name == WORKERS]
    return max([int(search.spec.get("workers", 1)), *changed])


def _lines(ledger: Sequence[Intervention], steps: int) -> Iterator[str]:
    """What is done, and at which step."""
    last = None
    for one in ledger:
        if one.step != last:
            yield f"to({one.step - 1})\n"
            last = one.step
        by = f", who={one.who!r}" if one.who != HAND else ""
        by += "" if one.undoes is None else f", undoes={one.undoes}"
        if sum(other.step == one.step for other in ledger) > 1:  # one may be possible only after another
            by += ", check=False"
        if one.kind == "changed":
            call = f"search.set({one.name!r}, {plain(one.told)!r}{by})"
        else:
            told = plain(one.told)
            named = all(name.isidentifier() and not keyword.iskeyword(name) for name in told)
            given = "".join(f", {name}={value!r}" for name, value in told.items()) if named else f", **{told!r}"
            call = f"search.act({one.name!r}{given}{by})"
        yield f"# step {one.step}: {_comment(one.sentence)}\n{call}\n"
    yield f"to({steps})\n"


def _comment(text: str) -> str:
    """A text that stays in its line."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


# --- answers -------------------------------------------------------------------------------------


def _answer(event: Evaluated) -> list[Any]:
    """Of an evaluation what `answers` takes: plain Python."""
    status, fitness, figures, message, values, objectives = outcome_of(event)
    return [event.number, status, fitness, figures, message, dict(values), [list(one) for one in objectives]]


def answers(told: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Outcome]]:
    """What `BlackBoxSearch.foretell` takes, from the ANSWERS of a program."""
    for number, status, fitness, figures, message, values, objectives in told:
        named = as_objectives(objectives) if objectives else ()
        yield number, Outcome(status, fitness, figures, message, values, named)
