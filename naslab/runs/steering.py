"""Steering a search: changes of settings, acts, their undoing, and the list of interventions so far.

    set, act                                          change a setting, or act once, at the next step
    forbid, allow, lock, drop, nudge, freeze, ...     shorthands for these, in terms of edges and operations
    ledger, undo, redo, without, script               list, revert, repeat and export interventions

A request is a wish until the next step is done, and then an event of the run.
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
    """The part of `naslab.Search` by which the user steers it."""

    searcher: Stepper
    spec: dict[str, Any]
    _wishes: Wishes
    _events: list[Any]
    moved: Callable[[], None] = staticmethod(lambda: None)
    """Callback after each step, measurement, rewind and wish, in the thread that made it: it lets an open view follow
    changes made from code. It must return quickly, and not use the search."""
    _scanned: tuple[list[Any], int, list[int]] = ([], 0, [])
    """The list of events, the number of them that were examined, and the indices of those that are interventions. It
    saves a pass over all events whenever the ledger is read."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Number of finished steps."""

    @property
    @abstractmethod
    def events(self) -> Sequence[Event]:
        """Every event so far."""

    @abstractmethod
    def _check_mine(self) -> None:
        """Raises `RunError` if this object does not drive its run any more."""

    # --- settings and acts -------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """Number of steps of the whole search, with the settings of the next step."""
        wished = self._wishes.values
        return self.searcher.planned(wished) if wished else self.searcher.total

    @property
    def settings(self) -> dict[str, Setting]:
        """Name -> setting that may be changed, with the value that the next step will use."""
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
        """The wishes that the next step will fulfil: values of settings, then acts."""
        return self._wishes.all

    @property
    def acts(self) -> Mapping[str, Act]:
        """Name -> act, with the arguments that it takes."""
        return self.searcher.acts

    def set(self, name: str, value: Any, *, who: str = HAND, undoes: int | None = None, check: bool = True) -> None:
        """Change a setting from the next step on, which logs a `Changed` event.

        The value is JSON and replaces the old one: for a mask `{"2": ["skip_connect"]}` forbids that operation and
        nothing else, and `{}` nothing at all. Until the next step it is a wish and not part of the run: `rewind` and
        `close` drop it, and a fork does not have it.

        Args:
            name: one of `settings`.
            value: new value.
            who: author in the ledger, if it is not the user: "cure", for instance.
            undoes: number of the intervention that this undoes; `undo` finds the value itself.
            check: False leaves the check to the next step, after the wishes before this one are fulfilled.

        Raises:
            SpecError: there is no such setting, or it cannot have this value.
            RunError: no step is left, or this object does not drive its run any more.
        """
        self._check_mine()
        value = self.searcher.check_setting(name, value) if check else value
        self._wish(Wish(name=name, given=value, act=False, who=who_of(who), undoes=self._undoes(undoes)))

    def act(
        self, name: str, *, who: str = HAND, undoes: int | None = None, check: bool = True, **arguments: Any
    ) -> None:
        """Do one of `acts` once, before the next step, which logs an `Acted` event with the old values.

        Only its own inverse undoes an act. Until the next step it is a wish, as with `set`, and `who`, `undoes` and
        `check` are those of `set`. An architecture of the space is given as such, or by its choices.

        Raises:
            SpecError: there is no such act, or it cannot be done with these arguments now.
            RunError: no step is left, or this object does not drive its run any more.
        """
        self._check_mine()
        arguments = self._checked_act(name, arguments) if check else self._as_json(arguments)
        self._wish(Wish(name=name, given=arguments, act=True, who=who_of(who), undoes=self._undoes(undoes)))

    def _checked_act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments as JSON; `SpecError` if the act cannot be done with them now."""
        return self.searcher.check_act(name, self._as_json(arguments))

    def _as_json(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of an act, with architectures as lists of their choices."""
        return {
            key: list(self.searcher.space.check(value).choices) if isinstance(value, Architecture) else value
            for key, value in arguments.items()
        }

    def _undoes(self, number: int | None) -> int | None:
        return None if number is None else self._numbered(number, self._interventions()).number

    def _wish(self, wish: Wish) -> None:
        """Add a wish; `RunError` if no step would be left to fulfil it."""
        values = self._wishes.values if wish.act else {**self._wishes.values, wish.name: wish.given}
        if self.step >= self.searcher.planned(values):
            raise RunError(
                f"all {self.searcher.total} steps are done, and {wish.name!r} would act on none. rewind(step) goes "
                "back to an earlier one, fork(folder, step) does so in a copy"
            )
        self._wishes.add(wish)
        self.moved()

    def _set_workers(self, workers: int) -> None:
        """Evaluate this many candidates at once from the next step on."""
        workers = self.searcher.check_workers(workers)  # an invalid number is an error even if no step is left
        if self.step < self.total:
            self.set(WORKERS, workers)

    # --- shorthands ------------------------------------------------------------------------------------

    def forbid(self, *where: Any, who: str = HAND) -> None:
        """Forbid an option from the next step on: `forbid("normal", 2, "skip_connect")` on an edge of a mixture, by
        part and row; `forbid("cell/1/from_0", "skip_connect")` at a choice, where a search draws architectures.
        """
        name, row, option = self._mask_entry(where)
        self._mask(name, {row: [*self._forbidden(name).get(row, []), option]}, who)

    def allow(self, *where: Any, who: str = HAND) -> None:
        """Take `forbid` back, for one option."""
        name, row, option = self._mask_entry(where)
        self._mask(name, {row: [one for one in self._forbidden(name).get(row, []) if one != option]}, who)

    def lock(self, *where: Any, who: str = HAND) -> None:
        """Forbid all options but this one; arguments as of `forbid`."""
        name, row, option = self._mask_entry(where)
        self._mask(name, {row: [one for one in self._offered(name)[row] if one != option]}, who)

    def unlock(self, *where: Any, who: str = HAND) -> None:
        """Allow all options on an edge or at a choice: `unlock("normal", 2)`, `unlock("cell/1/from_0")`."""
        name, row, _ = self._mask_entry((*where, None))
        self._mask(name, {row: []}, who)

    def forbid_everywhere(self, option: Any, *, who: str = HAND) -> None:
        """Forbid an option wherever it is offered, as one intervention."""
        self._everywhere(option, True, who)

    def allow_everywhere(self, option: Any, *, who: str = HAND) -> None:
        """Allow an option everywhere."""
        self._everywhere(option, False, who)

    def drop(self, part: str, edge: int | str, *, who: str = HAND) -> None:
        """Remove an edge of a mixture from the next step on."""
        name = self._edges(part)
        self.set(name, [*(one for one in self.settings[name].value if one != str(edge)), str(edge)], who=who)

    def undrop(self, part: str, edge: int | str, *, who: str = HAND) -> None:
        """Take `drop` back."""
        name = self._edges(part)
        self.set(name, [one for one in self.settings[name].value if one != str(edge)], who=who)

    def freeze(self, what: str, *, who: str = HAND) -> None:
        """Stop the updates of "weights", "alphas" or a "controller", and of the state of their optimizer."""
        self.set(self._frozen(what), True, who=who)

    def thaw(self, what: str, *, who: str = HAND) -> None:
        """Take `freeze` back."""
        self.set(self._frozen(what), False, who=who)

    def nudge(self, part: str, edge: int | str, operation: str, by: float, *, who: str = HAND) -> None:
        """Add a number to an alpha, once."""
        self.act("nudge", part=part, row=int(edge), operation=operation, by=by, who=who)

    def unset(self, name: str, *, who: str = HAND) -> None:
        """Reset a setting to the value that it would have now if it had never been changed: a learning rate returns to
        its schedule.
        """
        first = next((one for one in self.ledger if one.kind == "changed" and one.name == name), None)
        if first is not None and first.pending:
            self._take_back(first.number)
        elif first is not None:
            value = self.searcher.aged(name, interventions.plain(first.before), first.step)
            self.set(name, value, who=who)
        else:
            self.searcher.in_force(name)  # raises `SpecError` if there is no such setting

    def _mask_entry(self, where: Sequence[Any]) -> tuple[str, str, Any]:
        """Returns the name of the mask, its row or choice, and the option."""
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
        """Returns row or choice -> options of a mask."""
        settings = self.searcher.settings
        masks = [one for one, setting in settings.items() if isinstance(setting, Mask)]
        if name not in masks:
            what = f"{self.spec['searcher']} has no {name!r}: there is nothing to forbid there"
            raise SpecError(f"{what}; its masks are {', '.join(masks)}" if masks else what)
        return settings[name].options  # type: ignore[attr-defined, no-any-return]

    def _forbidden(self, name: str) -> dict[str, list[Any]]:
        """Returns row or choice -> options that are forbidden at the next step."""
        return {row: list(options) for row, options in self.settings[name].value.items()}

    def _mask(self, name: str, rows: Mapping[str, list[Any]], who: str) -> None:
        """Replace the forbidden options of some rows, and leave the other rows as they are."""
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

    # --- interventions -----------------------------------------------------------------------------

    @property
    def ledger(self) -> list[Intervention]:
        """All interventions in order, those of the next step included: each with its sentence, step and author, and
        whether it can be undone.
        """
        found = self._interventions()
        wished = self._wishes.values
        return [
            one if one.pending else dataclasses.replace(one, why_not=self._why_not(one, found, wished)) for one in found
        ]

    def _interventions(self) -> list[Intervention]:
        events, rows = self.events, self._events
        if self._scanned[0] is not rows:  # another list: the search was rewound
            self._scanned = rows, 0, []
        _, seen, places = self._scanned
        count = len(rows)
        places += [place for place in range(seen, count) if rows[place].kind in ("changed", "acted")]
        self._scanned = rows, count, places
        acted = [events[place] for place in places]
        return interventions.interventions(acted, self._wishes.all, self.searcher, self.step + 1)

    def _why_not(self, one: Intervention, found: Sequence[Intervention], wished: Mapping[str, Any]) -> str:
        try:
            interventions.undoing(one, found, self.searcher, wished)
        except SpecError as error:
            return str(error)
        except RuntimeError:  # the population changed in another thread; `undo` itself reports it
            return ""
        return ""

    def undo(self, number: int | Intervention | None = None) -> None:
        """Undo an intervention of the `ledger` from the next step on, which logs it as an event, or take a wish back.

        Args:
            number: number of the intervention; if left out, the last one in force.

        Raises:
            SpecError: why it cannot be undone.
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
        """Returns a counterfactual fork without an intervention: it begins before its step, with the other
        interventions of that step.

        Later interventions are left out, too: they may have been reactions to this one.

        Args:
            number: number of the intervention in the `ledger`.
            run: folder of the fork; None keeps it in memory.
            name: name of the fork, if it has no folder.
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
        """Drop the wish behind a pending intervention."""
        done = sum(not one.pending for one in self._interventions())
        wishes = [
            wish for wish in self._wishes.all if wish.act or wish.given != self.searcher.in_force(wish.name)
        ]  # the ledger does not list wishes that change nothing
        self._wishes.take_back(wishes[number - done - 1])
        self.moved()

    def script(self, run: str | None = None) -> str:
        """Returns a Python program that repeats this search, with every intervention at its step, bit for bit.

        With one evaluation at a time the program evaluates the candidates again. With several at once the order in
        which they finish is not reproducible, and the program contains the results in the recorded order.

        Args:
            run: folder that the program writes; None keeps its search in memory.
        """
        return script(cast(Any, self), run)
