"""Interventions in a search: settings, which stay in force until they are changed, and acts, which happen once.

A value of a setting is JSON, and a new value replaces the old one as a whole, so that a change can be logged, replayed
bit for bit and taken back:

    Slider    a number in an interval
    Count     a whole number, typed rather than slid
    Switch    True or False
    Select    one of several words or numbers
    Several   a subset of several words, in the order in which they are offered; empty at first
    Mask      {"row or choice": [options that are forbidden there]}; {} forbids nothing

An act returns what it changed as it was before, so that its inverse can restore it.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from naslab.architecture import Option
from naslab.callers import caller_level
from naslab.errors import SpecError, among, listed, plain, real, unknown, whole
from naslab.immutable import FrozenDict, FrozenList, frozen_json
from naslab.lazy import keep_old_hooks, warn_of_old_name


@dataclass(frozen=True, kw_only=True)
class Setting(ABC):
    """A value that may be changed while the search runs. `check` refuses invalid values."""

    kind: ClassVar[str]
    """Name of the kind in JSON."""
    value: Any
    """Present value, as JSON."""
    description: str = ""

    @abstractmethod
    def check(self, name: str, value: Any) -> Any:
        """Returns the value as JSON in its normal form; a `SpecError` for an invalid one calls the setting `name`."""

    @property
    def active(self) -> bool:
        """False for a value that is left out of events, such as an empty mask."""
        return True

    def to_json(self) -> dict[str, Any]:
        """Returns JSON from which `from_json` makes the setting again."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {"kind": self.kind, **{name: _thawed(value) for name, value in fields.items()}}


def _thawed(value: Any) -> Any:
    """Returns plain dictionaries and lists for frozen ones."""
    if isinstance(value, Mapping):
        return {key: _thawed(one) for key, one in value.items()}
    return [_thawed(one) for one in value] if isinstance(value, list | tuple) else value


def from_json(record: Mapping[str, Any]) -> Setting:
    """Returns the setting of a record of `to_json`. Raises `SpecError`, and nothing else, for an invalid record."""
    given = dict(record) if isinstance(record, Mapping) else {}
    kind = given.pop("kind", None)
    if not among(kind, KINDS):
        raise SpecError(unknown("kind of setting", kind, KINDS))
    try:
        return KINDS[kind](**given)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(f"not a setting of the kind {kind!r}: {error}; given: {given!r:.200}") from None


@dataclass(frozen=True, kw_only=True)
class Slider(Setting):
    """A number in an interval."""

    kind: ClassVar[str] = "slider"
    value: float
    low: float
    high: float
    log: bool = True
    """Whether the slider's scale is logarithmic."""
    whole: bool = False
    """Whether values are rounded to whole numbers."""
    base: float | None = None
    """Value that was set, and which a schedule has since changed to `value`; None without a schedule."""
    schedule: str = ""
    """Kind of schedule: "cosine", "linear", "exponential", ..."""

    def check(self, name: str, value: Any) -> float:
        number = math.nan
        with suppress(SpecError):
            number = real(name, value)
        if not self.low <= number <= self.high:
            raise SpecError(f"{name} must be a number from {self.low:g} to {self.high:g}, not {value!r:.200}")
        return float(round(number) if self.whole else number)


@dataclass(frozen=True, kw_only=True)
class Count(Setting):
    """A whole number."""

    kind: ClassVar[str] = "count"
    value: int
    low: int = 1
    high: int | None = None
    """Largest value; None: no limit."""
    now: int | None = None
    """Value that still acts, if `value` takes effect later, for instance in the next epoch."""

    def check(self, name: str, value: Any) -> int:
        return whole(name, value, self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Switch(Setting):
    """True or False."""

    kind: ClassVar[str] = "switch"
    value: bool
    silent: bool | None = None
    """Value that events leave out, so that events of runs from before the setting existed are unchanged."""

    def check(self, name: str, value: Any) -> bool:
        if not isinstance(value := plain(value), bool):
            raise SpecError(f"{name} is True or False, not {value!r:.200}")
        return value

    @property
    def active(self) -> bool:
        return self.value is not self.silent


@dataclass(frozen=True, kw_only=True)
class Select(Setting):
    """One of several options."""

    kind: ClassVar[str] = "select"
    value: Option
    options: Sequence[Option]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _options("a select", self.options))
        object.__setattr__(self, "value", self.check("value", self.value))

    def check(self, name: str, value: Any) -> Option:
        return _one_of(name, value, self.options)


@dataclass(frozen=True, kw_only=True)
class Several(Setting):
    """A subset of several options, empty at first."""

    kind: ClassVar[str] = "several"
    value: Sequence[str] = ()
    options: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _options("a setting", self.options))
        object.__setattr__(self, "value", self.check("value", self.value))

    def check(self, name: str, value: Any) -> list[Option]:
        """Returns the chosen options in the order in which they are offered."""
        return _several(name, value, self.options)

    @property
    def active(self) -> bool:
        return bool(self.value)


@dataclass(frozen=True, kw_only=True)
class Mask(Setting):
    """Forbidden options of each row of a supernet, or of each choice of a space."""

    kind: ClassVar[str] = "mask"
    value: Mapping[str, Sequence[Option]] = field(default_factory=dict)
    options: Mapping[str, Sequence[Option]]
    """Row or choice -> all its options."""
    what: str = "choice"
    """What a row is called in messages."""

    def __post_init__(self) -> None:
        offered = {name: _options(f"{self.what} {name!r}", options) for name, options in self.options.items()}
        object.__setattr__(self, "options", FrozenDict(offered))
        object.__setattr__(self, "value", frozen_json("value", self.check("value", self.value)))

    def check(self, name: str, value: Any) -> dict[str, list[Option]]:
        """Returns the mask with rows and options in the order of `options`; a row that forbids nothing is left out."""
        if not isinstance(value, Mapping):
            raise SpecError(
                f"{name} is a dictionary from the {self.what} to what is forbidden there, as {self._example()}, or "
                f"{{}} to forbid nothing; not {value!r:.200}"
            )
        for row in value:
            if not among(row, self.options) or not isinstance(row, str):
                raise SpecError(f"{name}: {unknown(self.what, row, self.options)}")
        found: dict[str, list[Option]] = {}
        for row, options in self.options.items():
            forbidden = _several(f"{name}, {self.what} {row!r}", value.get(row, []), options)
            if len(forbidden) == len(options):
                raise SpecError(
                    f"{name}: nothing would be left of the {self.what} {row!r}, all of whose options are forbidden "
                    f"({', '.join(map(str, options))}); leave at least one"
                )
            if forbidden:
                found[row] = forbidden
        return found

    def _example(self) -> str:
        row, options = next(iter(self.options.items()), ("...", ("...",)))
        return f"{{{row!r}: [{options[0]!r}]}}"

    @property
    def active(self) -> bool:
        return bool(self.value)


KINDS: dict[str, type[Setting]] = {kind.kind: kind for kind in (Slider, Count, Switch, Select, Several, Mask)}
"""Name in JSON -> class of the setting."""


def values_of(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Returns name -> value of the active settings, as events keep them."""
    return {name: setting.value for name, setting in settings.items() if setting.active}


def known(name: Any, settings: Mapping[str, Setting]) -> Setting:
    """Returns the setting of that name; `SpecError` if there is none."""
    if not among(name, settings):
        raise SpecError(
            unknown("setting", name, settings)
            if settings
            else f"there is no setting {name!r}: this search has no settings"
        )
    return settings[name]


def _options(what: str, options: Any) -> FrozenList[Any]:
    """Returns a list of at least one word or number, all different; `SpecError` for anything else."""
    if not listed(options) or not (given := [plain(option) for option in options]):
        raise SpecError(f"{what} needs a list of at least one option, not {options!r:.200}")
    if strange := [one for one in given if isinstance(one, bool) or not isinstance(one, str | int | float)]:
        raise SpecError(f"an option of {what} is a word or a number, not {strange[0]!r:.100}")
    if len(set(given)) < len(given):
        raise SpecError(f"{what} offers an option twice: {given!r:.200}")
    return FrozenList(given)


def _one_of(name: str, value: Any, options: Sequence[Option]) -> Option:
    """Returns the option that equals the value; `SpecError` if none does."""
    given = plain(value)
    # True == 1 in Python, but True is no answer to a choice between numbers
    if isinstance(given, bool) or not among(given, options):
        raise SpecError(f"{name}: {unknown('option', value, options)}")
    return next(option for option in options if option == given)


def _several(name: str, value: Any, options: Sequence[Option]) -> list[Option]:
    """Returns the listed options in the order of `options`; `SpecError` for others, or for one that is listed twice."""
    if not isinstance(value, list | tuple):
        raise SpecError(f"{name}: expected a list of options, such as [{options[0]!r}], not {value!r:.200}")
    chosen = [_one_of(name, one, options) for one in value]
    if twice := [one for place, one in enumerate(chosen) if one in chosen[:place]]:
        raise SpecError(f"{name}: {twice[0]!r} is listed twice")
    return [option for option in options if option in chosen]


Undoing = tuple[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Act:
    """An intervention that happens once, between two steps."""

    description: str
    arguments: Mapping[str, str]
    """Name -> description of each argument."""
    inverse: str
    """Description of the inverse act and its arguments."""
    undo: Callable[[Mapping[str, Any], Any], Undoing] | None = field(default=None, repr=False, compare=False)
    """(arguments, returned state before) -> name and arguments of the act that undoes it now. Raises `SpecError` if it
    cannot be undone, or not now. None: it can never be undone."""
    prepare: Callable[..., Callable[[], Any]] = field(repr=False, compare=False)
    """(**arguments) -> function that does the act and returns what it changed, as it was before, as JSON. Raises
    `SpecError` for invalid arguments, before anything is changed."""

    def ready(self, name: str, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """Returns the function that does the act; `SpecError` if these arguments, which are JSON, are invalid."""
        for given in arguments:
            if given not in self.arguments:
                raise SpecError(f"{name}: {unknown('argument', given, self.arguments)}")
        for missing in self.arguments:
            if missing not in arguments:
                raise SpecError(f"{name}: {missing!r} is missing: {self.arguments[missing]}")
        return self.prepare(**arguments)


HOOKS = {"put": "apply_setting"}
"""Earlier name -> name of the methods that a subclass of `Steerable` overrides."""


class Steerable:
    """Base class of search algorithms whose settings can be changed, and on which acts can be done, between two steps.

    A subclass overrides `settings` (adding to `super().settings`), `apply_setting` (leaving names that it does not know
    to `super().apply_setting`) and `acts`. A subclass written for an earlier version may define `put`, or `knobs` and
    `turn` for sliders alone, and gets a warning.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)
        for old, new in (("knobs", "settings"), ("turn", "apply_setting")):
            if old in vars(cls):
                warn_of_old_name(f"{cls.__qualname__}.{old}", new, stacklevel=caller_level() + 1)

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Name -> what may be changed during the search, with the value now in force."""
        return dict(self.knobs) if type(self).knobs is not Steerable.knobs else {}

    def check_setting(self, name: str, value: Any) -> Any:
        """Returns the value as JSON in its normal form; `SpecError` for an unknown setting or an invalid value."""
        return known(name, self.settings).check(name, value)

    def set(self, name: str, value: Any) -> None:
        """Check a value and put it into force from the next step on; it replaces the value before.

        Raises:
            SpecError: there is no such setting, or it cannot have this value.
        """
        self.apply_setting(name, self.check_setting(name, value))

    def apply_setting(self, name: str, value: Any) -> None:
        """Puts a value that `check_setting` returned into force: the hook of `set`, and of replaying a run."""
        if type(self).turn is not Steerable.turn:  # a subclass that was written for an earlier version
            self.turn(name, value)

    def in_force(self, name: str) -> Any:
        """Returns the present value of a setting, as JSON; `SpecError` if there is no such setting."""
        return known(name, self.settings).value

    def aged(self, name: str, value: Any, step: int) -> Any:
        """Returns what a value that was set before step `step`, and not changed since, has become by now.

        The same value, unless a schedule changes it.
        """
        return value

    def planned(self, values: Mapping[str, Any]) -> int:
        """Returns the number of steps in the whole search if these values were set now."""
        return self.total  # type: ignore[attr-defined]

    @property
    def acts(self) -> Mapping[str, Act]:
        """Name -> act that can be done to the search."""
        return {}

    def check_act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments as JSON; `SpecError` if there is no such act, or it cannot be done with them now."""
        given = _thawed(frozen_json("arguments", dict(arguments)))
        self._act(name).ready(name, given)
        return given

    def act(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Does the act, before the next step. Returns what it changed, as it was before, as JSON."""
        return self._act(name).ready(name, _thawed(frozen_json("arguments", dict(arguments))))()

    def _act(self, name: str) -> Act:
        acts = self.acts
        if not among(name, acts):
            raise SpecError(unknown("act", name, acts) if acts else f"there is no act {name!r}: nothing can be done")
        return acts[name]

    # --- earlier names ---------------------------------------------------------------------------

    @property
    def knobs(self) -> Mapping[str, Slider]:
        """The sliders among the `settings`, by an earlier name."""
        warn_of_old_name(f"{type(self).__name__}.knobs", "settings")
        return {name: setting for name, setting in self.settings.items() if isinstance(setting, Slider)}

    def turn(self, name: str, value: Any) -> None:
        """`set`, by an earlier name. A subclass that overrides `turn` calls this first, which then only checks."""
        if type(self).turn is Steerable.turn:
            warn_of_old_name(f"{type(self).__name__}.turn", "set")
            self.set(name, value)
        else:
            self.check_setting(name, value)

    def check_knob(self, name: str, value: Any) -> Any:
        """`check_setting`, by an earlier name."""
        warn_of_old_name(f"{type(self).__name__}.check_knob", "check_setting")
        return self.check_setting(name, value)


keep_old_hooks(Steerable, HOOKS)  # `__init_subclass__` does not run for the class itself
