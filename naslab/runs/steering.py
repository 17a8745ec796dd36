"""How a search is steered: settings and acts, their undoing, and the interventions so far.

    set, act                      what the next step is to begin with
    forbid, allow, lock, drop, nudge, freeze, ...     the same, in the words of who looks at a cell
    ledger, undo, redo, script    what was done, taken back, and done again

Whatever is asked for is an event once the next step is done, and no part of the run before.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from naslab.architecture import Architecture
from naslab.errors import RunError, SpecError, among, unknown
from naslab.events import HAND, Event
from naslab.runs import interventions
from naslab.runs.interventions import Intervention
from naslab.runs.script import script
from naslab.runs.wishes import Wish, Wishes, as_wished, who_of
from naslab.searchers import Act, Mask, Setting, Several, Slider, Stepper
from naslab.searchers.black_box import WORKERS

MASK, FORBIDDEN = "mask", "forbidden"


class Steering(ABC):
    """What a search can be told. A `naslab.Search` is one."""

    searcher: Stepper
    spec: dict[str, Any]
    _wishes: Wishes
    _events: list[Any]
    moved: Callable[[], None] = staticmethod(lambda: None)
    """Called after each step, measurement, rewind and wish, in the thread that did it: the open view's way to hear of
    what was done by hand. It must take no time, and do nothing to the search."""
    _scanned: tuple[list[Any], int, list[int]] = ([], 0, [])
    """The events, how many of them were looked at, and the places of those that are interventions."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps finished."""

    @property
    @abstractmethod
    def events(self) -> Sequence[Event]:
        """Every event so far."""

    @abstractmethod
    def _check_mine(self) -> None:
        """`RunError` if this object does not drive its run any more."""

    # --- settings and acts -------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Steps in the whole search, as its settings will have it from the next step on."""
        wished = self._wishes.values
        return self.searcher.planned(wished) if wished else self.searcher.total

    @property
    def settings(self) -> dict[str, Setting]:
        """What may be changed, with the values that the next step will use."""
        wished = self._wishes.values
        return {
            name: as_wished(setting, wished[name]) if name in wished else setting
            for name, setting in self.searcher.settings.items()
        }

    @property
    def knobs(self) -> dict[str, Slider]:
        """The sliders among the settings."""
        return {name: setting for name, setting in self.settings.items() if isinstance(setting, Slider)}

    @property
    def wished(self) -> list[Wish]:
        """What the next step will begin with: values of settings, then acts."""
        return self._wishes.all

    @property
    def acts(self) -> Mapping[str, Act]:
        """What can be done once, with the arguments that it takes."""
        return self.searcher.acts

    def set(self, name: str, value: Any, *, who: str = HAND, undoes: int | None = None, check: bool = True) -> None:
        """Give a setting another value from the next step on, which logs it as a `Changed` event.

        The value is JSON and replaces the one before: for a mask `{"2": ["skip_connect"]}` forbids that and nothing
        else, and `{}` nothing at all. Until the next step it is a wish, and no part of the run: `rewind` and `close`
        forget it, and a fork does not have it.

        Args:
            who: whom the ledger names for it, if not a hand: "cure", for instance.
            undoes: number of the intervention that this undoes; `undo` finds the value itself.
            check: False leaves the check to the next step, when all else that it begins with has been done.
        """
        self._check_mine()
        value = self.searcher.check_setting(name, value) if check else value
        self._wish(Wish(name=name, given=value, act=False, who=who_of(who), undoes=self._undoes(undoes)))

    def act(
        self, name: str, *, who: str = HAND, undoes: int | None = None, check: bool = True, **arguments: Any
    ) -> None:
        """Do something once, before the next step, which logs it as an `Acted` event with what it changed as it was
        before. `acts` has what there is; only its own inverse undoes it. Until the next step it is a wish, as with
        `set`, with the same arguments. An architecture of the space is given as such, or by its choices.
        """
        self._check_mine()
        arguments = self._checked_act(name, arguments) if check else self._told(arguments)
        self._wish(Wish(name=name, given=arguments, act=True, who=who_of(who), undoes=self._undoes(undoes)))

    def _checked_act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as JSON, if the act could be done with them now."""
        return self.searcher.check_act(name, self._told(arguments))

    def _told(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of an act, architectures by their choices."""
        return {
            key: list(self.searcher.space.check(value).choices) if isinstance(value, Architecture) else value
            for key, value in arguments.items()
        }

    def _undoes(self, number: int | None) -> int | None:
        return None if number is None else self._numbered(number, self._interventions()).number

    def _wish(self, wish: Wish) -> None:
        """`RunError` if no step would be left for it."""
        values = self._wishes.values if wish.act else {**self._wishes.values, wish.name: wish.given}
        if self.step >= self.searcher.planned(values):
            raise RunError(
                f"all {self.searcher.total} steps are done, and {wish.name!r} would act on none. rewind(step) goes "
                "back to an earlier one, fork(folder, step) does so in a copy"
            )
        self._wishes.add(wish)
        self.moved()

    def _hire(self, workers: int) -> None:
        """From the next step on, so many at once."""
        workers = self.searcher.check_workers(workers)  # also where there is no step left
        if self.step < self.total:
            self.set(WORKERS, workers)

    # --- the same in other words -----------------------------------------------------------------------

    def forbid(self, *where: Any, who: str = HAND) -> None:
        """Forbid an option from the next step on: `forbid("normal", 2, "skip_connect")` on an edge of a mixture, by
        part and row; `forbid("cell/1/from_0", "skip_connect")` at a choice, where a search draws architectures.
        """
        name, row, option = self._place(where)
        self._mask(name, {row: [*self._forbidden(name).get(row, []), option]}, who)

    def allow(self, *where: Any, who: str = HAND) -> None:
        """Take `forbid` back, for one option."""
        name, row, option = self._place(where)
        self._mask(name, {row: [one for one in self._forbidden(name).get(row, []) if one != option]}, who)

    def lock(self, *where: Any, who: str = HAND) -> None:
        """Forbid all but this option; arguments as of `forbid`."""
        name, row, option = self._place(where)
        self._mask(name, {row: [one for one in self._offered(name)[row] if one != option]}, who)

    def unlock(self, *where: Any, who: str = HAND) -> None:
        """Forbid nothing on an edge, or at a choice: `unlock("normal", 2)`, `unlock("cell/1/from_0")`."""
        name, row, _ = self._place((*where, None))
        self._mask(name, {row: []}, who)

    def forbid_everywhere(self, option: Any, *, who: str = HAND) -> None:
        """Forbid an option wherever it is offered, as one change."""
        self._everywhere(option, True, who)

    def allow_everywhere(self, option: Any, *, who: str = HAND) -> None:
        """Forbid an option nowhere."""
        self._everywhere(option, False, who)

    def drop(self, part: str, edge: int | str, *, who: str = HAND) -> None:
        """Leave an edge of a mixture out, from the next step on."""
        name = self._edges(part)
        self.set(name, [*(one for one in self.settings[name].value if one != str(edge)), str(edge)], who=who)

    def undrop(self, part: str, edge: int | str, *, who: str = HAND) -> None:
        """Take `drop` back."""
        name = self._edges(part)
        self.set(name, [one for one in self.settings[name].value if one != str(edge)], who=who)

    def freeze(self, what: str, *, who: str = HAND) -> None:
        """Have "weights", "alphas" or a "controller" stand still, with all that their optimizer keeps."""
        self.set(self._frozen(what), True, who=who)

    def thaw(self, what: str, *, who: str = HAND) -> None:
        """Have them move again."""
        self.set(self._frozen(what), False, who=who)

    def nudge(self, part: str, edge: int | str, operation: str, by: float, *, who: str = HAND) -> None:
        """Add a number to an alpha, once."""
        self.act("nudge", part=part, row=int(edge), operation=operation, by=by, who=who)

    def unset(self, name: str, *, who: str = HAND) -> None:
        """Give a setting the value that it would have now, had nobody changed it: a learning rate is on its schedule
        again.
        """
        first = next((one for one in self.ledger if one.kind == "changed" and one.name == name), None)
        if first is not None and first.pending:
            self._take_back(first.number)
        elif first is not None:
            value = self.searcher.aged(name, interventions.plain(first.before), first.step)
            self.set(name, value, who=who)
        else:
            self.searcher.in_force(name)  # `SpecError` if there is none

    def _place(self, where: Sequence[Any]) -> tuple[str, str, Any]:
        """The mask, its row or choice, and the option."""
        if len(where) not in (2, 3):
            raise SpecError(
                'say where: ("normal", 2, "skip_connect") is an operation on an edge, by part and row; '
                f'("cell/1/from_0", "skip_connect") an option of a choice; not {tuple(where)!r:.200}'
            )
        *part, row, option = where
        name = f"{MASK}/{part[0]}" if part else MASK
        if row not in self._offered(name) and str(row) not in self._offered(name):
            raise SpecError(f"{name}: {unknown('edge' if part else 'choice', row, self._offered(name))}")
        offered = self._offered(name)[row if row in self._offered(name) else str(row)]
        if option is not None and option not in offered:
            raise SpecError(f"{name}: {unknown('option', option, dict.fromkeys(offered))}")
        return name, str(row), option

    def _offered(self, name: str) -> Mapping[str, Sequence[Any]]:
        """Row or choice -> the options of a mask."""
        settings = self.searcher.settings
        masks = [one for one, setting in settings.items() if isinstance(setting, Mask)]
        if name not in masks:
            what = f"{self.spec['searcher']} has no {name!r}: there is nothing to forbid there"
            raise SpecError(f"{what}; its masks are {', '.join(masks)}" if masks else what)
        return settings[name].options  # type: ignore[attr-defined, no-any-return]

    def _forbidden(self, name: str) -> dict[str, list[Any]]:
        """Row or choice -> what the next step will not have there."""
        return {row: list(options) for row, options in self.settings[name].value.items()}

    def _mask(self, name: str, rows: Mapping[str, list[Any]], who: str) -> None:
        """Forbid exactly this in some rows, and in the others what is forbidden there."""
        value = {**self._forbidden(name), **{row: list(dict.fromkeys(options)) for row, options in rows.items()}}
        self.set(name, value, who=who)

    def _everywhere(self, option: Any, forbidden: bool, who: str) -> None:
        settings = self.settings
        if isinstance(everywhere := settings.get(FORBIDDEN), Several):
            others = [one for one in everywhere.value if one != option]
            return self.set(FORBIDDEN, [*others, option] if forbidden else others, who=who)
        offered = self._offered(MASK)
        if not any(option in options for options in offered.values()):
            raise SpecError(unknown("option", option, {one: None for options in offered.values() for one in options}))
        rows = {}
        for row, options in offered.items():
            if option in options:
                others = [one for one in self._forbidden(MASK).get(row, []) if one != option]
                rows[row] = [*others, option] if forbidden else others
        return self._mask(MASK, rows, who)

    def _edges(self, part: str) -> str:
        name, settings = f"edges/{part}", self.searcher.settings
        if name not in settings:
            known = [one.removeprefix("edges/") for one in settings if one.startswith("edges/")]
            raise SpecError(
                unknown("part", part, known) if known else f"{self.spec['searcher']} has no edges to be left out"
            )
        return name

    def _frozen(self, what: str) -> str:
        known = [one.removeprefix("freeze/") for one in self.searcher.settings if one.startswith("freeze/")]
        if not among(what, known):
            raise SpecError(
                unknown("part to be frozen", what, known)
                if known
                else f"{self.spec['searcher']} has nothing that could be frozen"
            )
        return f"freeze/{what}"

    # --- what was done -----------------------------------------------------------------------------

    @property
    def ledger(self) -> list[Intervention]:
        """All that was changed and done, in order, and what the next step will begin with: each in a sentence, with
        its step, by whom, and whether it can be undone.
        """
        found = self._interventions()
        wished = self._wishes.values
        return [
            one if one.pending else dataclasses.replace(one, why_not=self._why_not(one, found, wished)) for one in found
        ]

    def _interventions(self) -> list[Intervention]:
        events, rows = self.events, self._events
        if self._scanned[0] is not rows:  # another list: the search has gone back
            self._scanned = rows, 0, []
        _, seen, places = self._scanned
        count = len(rows)
        places += [place for place in range(seen, count) if rows[place].kind in ("changed", "acted")]
        self._scanned = rows, count, places
        told = [events[place] for place in places]
        return interventions.interventions(told, self._wishes.all, self.searcher, self.step + 1)

    def _why_not(self, one: Intervention, found: Sequence[Intervention], wished: Mapping[str, Any]) -> str:
        try:
            interventions.undoing(one, found, self.searcher, wished)
        except SpecError as error:
            return str(error)
        except RuntimeError:  # the population moved meanwhile; whoever undoes it is told
            return ""
        return ""

    def undo(self, number: int | Intervention | None = None) -> None:
        """Undo an intervention of the `ledger` from the next step on, which logs it as an event, or take a wish back.

        Args:
            number: of the intervention; the last that stands, if left out.

        Raises:
            SpecError: it cannot be undone, and why.
        """
        self._check_mine()
        found = self._interventions()
        if number is None:
            standing = [one for one in found if one.undone is None and one.undoes is None]
            if not standing:
                raise SpecError("there is nothing to undo: nobody has changed or done anything")
            one = standing[-1]
        else:
            one = self._numbered(number, found)
        if one.pending:
            return self._take_back(one.number)
        self._wish(interventions.undoing(one, found, self.searcher, self._wishes.values))
        return None

    def redo(self) -> None:
        """Undo the last undo."""
        undos = [one for one in self._interventions() if one.undoes is not None and one.undone is None]
        if not undos:
            raise SpecError("there is nothing to do again: nothing was undone")
        self.undo(undos[-1])

    def without(
        self, number: int | Intervention, run: str | None = None, *, name: str | None = None, **how: Any
    ) -> Any:
        """A fork as if an intervention had not been: it begins before its step, with what else was done at that step.

        What was done later is left out, too: it may have been an answer.

        Args:
            number: of the intervention in the `ledger`.
            run: folder of the fork; None keeps it in memory.
            name: what the fork is called, if it has no folder.
            **how: `progress` and `cancel` of `fork`.
        """
        found = self._interventions()
        one = self._numbered(number, found)
        if one.pending:
            raise SpecError(f"intervention {one.number} is a wish yet; undo({one.number}) takes it back")
        made = self.fork(run, one.step - 1, name=name, **how)  # type: ignore[attr-defined]
        for other in found:
            if other.step == one.step and other is not one and not other.pending:
                given = interventions.plain(other.told)
                made._wish(Wish(name=other.name, given=given, act=other.kind == "acted", who=other.who))
        return made

    def _numbered(self, number: Any, found: Sequence[Intervention]) -> Intervention:
        wanted = number.number if isinstance(number, Intervention) else number
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= len(found):
            known = f"1 to {len(found)}" if found else "none yet"
            raise SpecError(f"the interventions are numbered from 1, and there are {known}; not {wanted!r:.100}")
        return found[wanted - 1]

    def _take_back(self, number: int) -> None:
        """Forget a wish."""
        done = sum(not one.pending for one in self._interventions())
        wishes = [
            wish for wish in self._wishes.all if wish.act or wish.given != self.searcher.in_force(wish.name)
        ]  # those that the ledger tells of
        self._wishes.take_back(wishes[number - done - 1])
        self.moved()

    def script(self, run: str | None = None) -> str:
        """A Python program that makes this search anew, with every intervention at its step, bit for bit.

        With one evaluation at a time the answers are found again. Where several were evaluated at once, nobody could
        say who will be first, and the program brings the answers along, in the order in which they came.

        Args:
            run: the folder that it writes; None keeps its search in memory.
        """
        return script(cast(Any, self), run)
