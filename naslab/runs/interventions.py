"""The interventions in a search, meaning changed settings and acts: their list, their sentences, and their undoing.

The list follows from the events of a run (`Changed`, `Acted`) and from the wishes that its next step will fulfil. It is
numbered from 1. An undo is an intervention, too, which refers to the number of the one that it undoes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from naslab.errors import SpecError
from naslab.events import Acted, Changed, Event
from naslab.immutable import frozen_json
from naslab.runs.wishes import Wish
from naslab.searchers import Act, Mask, Setting, Several, Stepper


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """A change of a setting, or an act, in a search."""

    number: int
    """Number from 1, in the order in which the interventions take effect."""
    step: int
    """The first step on which it acts."""
    kind: str
    """"changed" for a setting, "acted" for an act."""
    name: str
    """The name of the setting or of the act."""
    sentence: str
    """The intervention in words."""
    who: str
    """Its author: "hand" for the user, "cure" for a regulariser, or another name."""
    undoes: int | None
    """Number of the intervention that this one undoes; None if it is no undo."""
    undone: int | None
    """Number of the intervention that undoes this one; None while it is in force."""
    pending: bool
    """True while it is a wish: its step is not done yet."""
    told: Any
    """New value of the setting; the arguments of the act."""
    before: Any
    """Old value of the setting; what the act changed, as it was before. None for an act that is pending."""
    why_not: str = ""
    """Why it cannot be undone now; empty if it can."""

    @property
    def undoable(self) -> bool:
        """True if it can be undone now."""
        return not self.why_not

    def to_json(self) -> dict[str, Any]:
        """Returns the fields that a page shows."""
        shown = ("number", "step", "name", "sentence", "who", "undoes", "undone", "pending", "undoable", "why_not")
        return {name: getattr(self, name) for name in shown}


def interventions(
    events: Iterable[Event], wishes: Sequence[Wish], stepper: Stepper, next_step: int
) -> list[Intervention]:
    """Returns all interventions in order; their `why_not` is left empty.

    Args:
        events: events of the run.
        wishes: wishes, in the order in which the next step will fulfil them.
        stepper: the searcher, which has the settings as they are now.
        next_step: number of the next step.
    """
    settings = stepper.settings
    rows: list[tuple[int, str, str, Any, Any, str, int | None, bool]] = []
    for event in events:
        if isinstance(event, Changed):
            rows.append((event.step, "changed", event.name, event.old, event.new, event.who, event.undoes, False))
        elif isinstance(event, Acted):
            given = (event.before, event.arguments, event.who, event.undoes, False)
            rows.append((event.step, "acted", event.name, *given))
    for wish in wishes:
        before = None if wish.act or wish.name not in settings else settings[wish.name].value
        if wish.act or wish.given != before:
            kind = "acted" if wish.act else "changed"
            rows.append((next_step, kind, wish.name, before, wish.given, wish.who, wish.undoes, True))
    # From the last to the first: an undo that was itself undone, which is a redo, does not count.
    undone: dict[int, int] = {}
    for number in range(len(rows), 0, -1):
        if (undoes := rows[number - 1][6]) is not None and number not in undone:
            undone.setdefault(undoes, number)
    found = []
    for number, (step, kind, name, before, told, who, undoes, pending) in enumerate(rows, 1):
        said = changed(name, before, told, settings.get(name)) if kind == "changed" else acted(name, told, before)
        found.append(
            Intervention(
                number=number,
                step=step,
                kind=kind,
                name=name,
                sentence=said if undoes is None else f"undo of {undoes}: {said}",
                who=who,
                undoes=undoes,
                undone=undone.get(number),
                pending=pending,
                told=told,
                before=before,
            )
        )
    return found


# --- undoing -----------------------------------------------------------------------------------------


def undoing(one: Intervention, all_: Sequence[Intervention], stepper: Stepper, wished: Mapping[str, Any]) -> Wish:
    """Returns the wish that undoes an intervention from the next step on. For a pending one, forget its wish instead.

    A mask, or a set of options, is undone option by option, so that later changes to it stay. A single value can only
    be undone if nothing has changed it since.

    Args:
        one: the intervention to undo.
        all_: all interventions.
        stepper: the searcher.
        wished: setting -> value that the next step will put into force.

    Raises:
        SpecError: why it cannot be undone, or not now.
    """
    if one.undone is not None:
        raise SpecError(f"intervention {one.number} is undone already, by {one.undone}; undo that one to have it again")
    later = [each for each in all_[one.number :] if each.undone is None and not (each.undoes or 0) > one.number]
    if one.kind == "acted":
        return _undoing_an_act(one, later, stepper.acts)
    settings = stepper.settings
    if one.name not in settings:
        raise SpecError(f"there is no setting {one.name!r} any more")
    now = wished.get(one.name, settings[one.name].value)
    if isinstance(settings[one.name], Mask | Several):
        value = without(now, one.before, one.told)
        if value == now:
            raise SpecError(f"nothing of intervention {one.number} is in force any more")
    else:
        if changes := [each for each in later if each.kind == "changed" and each.name == one.name]:
            raise SpecError(
                f"{one.name} was changed again at step {changes[-1].step}, by intervention {changes[-1].number}; undo "
                "that one first"
            )
        value = stepper.aged(one.name, one.before, one.step)
    return Wish(name=one.name, given=stepper.check_setting(one.name, value), act=False, undoes=one.number)


def _undoing_an_act(one: Intervention, later: Sequence[Intervention], acts: Mapping[str, Act]) -> Wish:
    act = acts.get(one.name)
    if act is None or act.undo is None:
        how = "" if act is None else f" ({act.inverse})"
        raise SpecError(f"what {one.name!r} did cannot be undone{how}; search.rewind(step) goes back to before it")
    for each in later:
        if each.kind == "acted" and _same_numbers(one.told, each.told):
            raise SpecError(
                f"the same was moved again at step {each.step}, by intervention {each.number}; undo that one first"
            )
    name, arguments = act.undo(one.told, one.before)
    if name not in acts:
        raise SpecError(f"there is no act {name!r} that would undo it")
    arguments = plain(arguments)
    acts[name].ready(name, arguments)
    return Wish(name=name, given=arguments, act=True, undoes=one.number)


def _same_numbers(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if two acts change the same alphas. An act without a row or operation changes all rows or operations."""
    if "part" not in one or one["part"] != other.get("part"):
        return False
    return all(one[key] == other[key] for key in ("row", "operation") if key in one and key in other)


def without(now: Any, old: Any, new: Any) -> Any:
    """Returns the value in force as if a change from `old` to `new` had not been made.

    The options that the change added are removed, those that it removed are added, and other changes stay.
    """
    if isinstance(now, Mapping):
        rows = {row: without(now.get(row, []), old.get(row, []), new.get(row, [])) for row in {**now, **old}}
        return {row: options for row, options in rows.items() if options}
    return [one for one in now if one in old or one not in new] + [
        one for one in old if one not in new and one not in now
    ]


def plain(value: Any) -> Any:
    """Returns the value with plain dictionaries and lists in the place of the frozen ones of events."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


# --- in words ----------------------------------------------------------------------------------------


def changed(name: str, old: Any, new: Any, setting: Setting | None = None) -> str:
    """Returns a sentence for a change of a setting."""
    what, _, part = name.partition("/")
    old, new = frozen_json("old", old), frozen_json("new", new)
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        return _masked(old, new, part, setting) or f"{name}: as it was"
    if isinstance(new, Sequence) and isinstance(old, Sequence) and not isinstance(new, str):
        more, fewer = [one for one in new if one not in old], [one for one in old if one not in new]
        if what == "edges":
            said = [f"{_edges(more)} of {part} left out"] if more else []
            return "; ".join([*said, *([f"{_edges(fewer)} of {part} there again"] if fewer else [])])
        said = [f"{_listed(more)} forbidden on every edge" if name == "forbidden" else f"{name}: + {_listed(more)}"]
        back = [f"{_listed(fewer)} free on every edge" if name == "forbidden" else f"{name}: - {_listed(fewer)}"]
        return "; ".join([*(said if more else []), *(back if fewer else [])])
    if what == "freeze":
        return f"{part} {'frozen' if new else 'move again'}"
    return f"{name} {_short(old)} → {_short(new)}"


def _masked(old: Mapping[str, Any], new: Mapping[str, Any], part: str, setting: Setting | None) -> str:
    """Returns the options that a changed mask forbids and frees, in words; "" if it did not change."""
    offered = setting.options if isinstance(setting, Mask) else {}
    on = (lambda row: f"edge {row} of {part}") if part else str
    said, more, fewer = [], {}, {}
    for row in {**old, **new}:
        before, after = old.get(row, []), new.get(row, [])
        left = [option for option in offered.get(row, ()) if option not in after]
        if len(left) == 1 and set(after) - set(before) and len(after) > 1:
            said.append(f"{on(row)} locked to {left[0]}")
            continue
        for option in after:
            if option not in before:
                more.setdefault(option, []).append(row)
        for option in before:
            if option not in after:
                fewer.setdefault(option, []).append(row)
    for found, word in ((more, "forbidden"), (fewer, "free")):
        for option, rows in found.items():
            everywhere = [row for row, options in offered.items() if option in options]
            where = "everywhere" if len(rows) > 1 and set(rows) == set(everywhere) else None
            if where is None and part:
                where = f"on {_edges(rows)} of {part}"
            said.append(f"{option} {word} {where or 'at ' + _listed(rows)}")
    return "; ".join(said)


def acted(name: str, arguments: Mapping[str, Any], before: Any) -> str:
    """Returns a sentence for an act."""
    part, number = arguments.get("part"), arguments.get("candidate")
    alpha = f"alpha of {arguments.get('operation')} on edge {arguments.get('row')} of {part}"
    known = {
        "nudge": lambda: f"{alpha} moved by {_short(arguments['by'])}",
        "put": lambda: f"{alpha} set to {_short(arguments['to'])}",
        "reset": lambda: f"alphas of {part} back at their start",
        "restore": lambda: f"alphas of {part} as they were before",
        "kill": lambda: f"candidate {number} taken out",
        "revive": lambda: f"candidate {number} brought back",
        "protect": lambda: f"candidate {number} protected",
        "release": lambda: f"candidate {number} protected no more",
        "add": lambda: f"to be proposed next: {_short(arguments['architecture'])}",
        "withdraw": lambda: f"not to be proposed after all: {_short(arguments['architecture'])}",
    }
    try:
        said = known[name]() if name in known else f"{name} {_short(dict(arguments))}"
    except KeyError:  # an act of the same name with other arguments
        said = f"{name} {_short(dict(arguments))}"
    if name in ("nudge", "put") and isinstance(before, float):
        said += f" (it was {_short(before)})"
    return said


def _edges(rows: Sequence[Any]) -> str:
    return f"edge{'s' if len(rows) > 1 else ''} {_listed(rows)}"


def _listed(given: Sequence[Any]) -> str:
    return ", ".join(map(str, given))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_short(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return f"{_listed(value):.80}"
    return f"{value!s:.80}"
