"""What a hand does to a search: settings, which are in force until they are changed, and acts, which happen once.

A value of a setting is JSON, and a new value replaces the old one as a whole, so that a change can be logged, replayed
bit for bit and taken back:

    Slider    a number in an interval
    Count     a whole number, typed rather than slid
    Switch    True or False
    Select    one of several words or numbers
    Several   some of several words, in the order in which they are offered; none of them at first
    Mask      {"row or choice": [options that are forbidden there]}; {} forbids nothing

An act tells what it changed as it was before, so that its inverse can put it back.
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
from naslab.errors import SpecError, among, listed, plain, real, unknown, whole
from naslab.immutable import FrozenDict, FrozenList, frozen_json
from naslab.lazy import class_level, keep_old_hooks, warn_of_old_name


@dataclass(frozen=True, kw_only=True)
class Setting(ABC):
    """A value that may be changed while the search runs. `check` refuses what it cannot be."""

    kind: ClassVar[str]
    """Name of the kind in JSON."""
    value: Any
    """The value now in force, as JSON."""
    description: str = ""

    @abstractmethod
    def check(self, name: str, value: Any) -> Any:
        """The value as JSON in its usual form; `SpecError`, in which the setting is called `name`, if it cannot be."""

    @property
    def active(self) -> bool:
        """Whether the value says anything: an empty mask, say, does not."""
        return True

    def to_json(self) -> dict[str, Any]:
        """JSON from which `from_json` makes the setting again."""
        told = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {"kind": self.kind, **{name: _thawed(value) for name, value in told.items()}}


def _thawed(value: Any) -> Any:
    """Plain dictionaries and lists."""
    if isinstance(value, Mapping):
        return {key: _thawed(one) for key, one in value.items()}
    return [_thawed(one) for one in value] if isinstance(value, list | tuple) else value


def from_json(record: Mapping[str, Any]) -> Setting:
    """The setting that `to_json` took apart. Raises `SpecError`, and nothing else, on anything else."""
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
    """Whether a slider for it should be logarithmic."""
    whole: bool = False
    """Whether only whole numbers make sense; others are rounded."""
    base: float | None = None
    """What was set, from where a schedule has led to `value`; None where no schedule leads anywhere."""
    schedule: str = ""
    """How it is led: "cosine", "linear", "exponential", ..."""

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
    """None: any."""
    now: int | None = None
    """What acts as yet, where the value waits for something, the next epoch for instance."""

    def check(self, name: str, value: Any) -> int:
        return whole(name, value, self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Switch(Setting):
    """Yes or no."""

    kind: ClassVar[str] = "switch"
    value: bool
    silent: bool | None = None
    """The value of which events say nothing, as searches had it before anybody could turn it."""

    def check(self, name: str, value: Any) -> bool:
        if not isinstance(value := plain(value), bool):
            raise SpecError(f"{name} is True or False, not {value!r:.200}")
        return value

    @property
    def active(self) -> bool:
        return self.value is not self.silent


@dataclass(frozen=True, kw_only=True)
class Select(Setting):
    """One of several."""

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
    """Some of several, none at first."""

    kind: ClassVar[str] = "several"
    value: Sequence[str] = ()
    options: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _options("a setting", self.options))
        object.__setattr__(self, "value", self.check("value", self.value))

    def check(self, name: str, value: Any) -> list[Option]:
        """The chosen ones in the order of the options."""
        return _several(name, value, self.options)

    @property
    def active(self) -> bool:
        return bool(self.value)


@dataclass(frozen=True, kw_only=True)
class Mask(Setting):
    """Options that are forbidden, by the row or choice that has them."""

    kind: ClassVar[str] = "mask"
    value: Mapping[str, Sequence[Option]] = field(default_factory=dict)
    options: Mapping[str, Sequence[Option]]
    """Row or choice -> all that it offers."""
    what: str = "choice"
    """What the rows are, in words."""

    def __post_init__(self) -> None:
        offered = {name: _options(f"{self.what} {name!r}", options) for name, options in self.options.items()}
        object.__setattr__(self, "options", FrozenDict(offered))
        object.__setattr__(self, "value", frozen_json("value", self.check("value", self.value)))

    def check(self, name: str, value: Any) -> dict[str, list[Option]]:
        """Rows and options in the order in which they are offered; a row that forbids nothing is left out."""
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
"""Name in JSON -> the kind of setting."""


def values_of(settings: Mapping[str, Setting]) -> dict[str, Any]:
    """Name -> the value of each setting that says anything: what an event keeps of them."""
    return {name: setting.value for name, setting in settings.items() if setting.active}


def known(name: Any, settings: Mapping[str, Setting]) -> Setting:
    """The setting of that name; `SpecError` if there is none."""
    if not among(name, settings):
        raise SpecError(
            unknown("setting", name, settings) if settings else f"there is no setting {name!r}: nothing can be turned"
        )
    return settings[name]


def _options(what: str, options: Any) -> FrozenList[Any]:
    """A list of at least one word or number, all different."""
    if not listed(options) or not (given := [plain(option) for option in options]):
        raise SpecError(f"{what} needs a list of at least one option, not {options!r:.200}")
    if strange := [one for one in given if isinstance(one, bool) or not isinstance(one, str | int | float)]:
        raise SpecError(f"an option of {what} is a word or a number, not {strange[0]!r:.100}")
    if len(set(given)) < len(given):
        raise SpecError(f"{what} offers an option twice: {given!r:.200}")
    return FrozenList(given)


def _one_of(name: str, value: Any, options: Sequence[Option]) -> Option:
    """The option that equals the value; `SpecError` if none does."""
    given = plain(value)
    if isinstance(given, bool) or not among(given, options):
        raise SpecError(f"{name}: {unknown('option', value, options)}")
    return next(option for option in options if option == given)


def _several(name: str, value: Any, options: Sequence[Option]) -> list[Option]:
    """Those of the options that the value lists, in the order of the options; `SpecError` for others, or one twice."""
    if not isinstance(value, list | tuple):
        raise SpecError(f"{name}: expected a list of options, such as [{options[0]!r}], not {value!r:.200}")
    chosen = [_one_of(name, one, options) for one in value]
    if twice := [one for place, one in enumerate(chosen) if one in chosen[:place]]:
        raise SpecError(f"{name}: {twice[0]!r} is listed twice")
    return [option for option in options if option in chosen]


Undoing = tuple[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that can be done to a search once."""

    description: str
    arguments: Mapping[str, str]
    """Name -> what it is, in words."""
    inverse: str
    """How it is undone, in words: the act, and what it is to be told."""
    undo: Callable[[Mapping[str, Any], Any], Undoing] | None = field(default=None, repr=False, compare=False)
    """(arguments, what it told as before) -> the act that undoes it now, and what that is to be told. `SpecError`
    where it cannot be undone, or not now. None: never."""
    prepare: Callable[..., Callable[[], Any]] = field(repr=False, compare=False)
    """(**arguments) -> what does it, and gives what it changed as it was before, as JSON. `SpecError` at once, and
    nothing changed, for arguments that do not make sense."""

    def ready(self, name: str, arguments: Mapping[str, Any]) -> Callable[[], Any]:
        """What does it; `SpecError` if it cannot be done with these arguments, which are JSON."""
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
    """Base of search algorithms whose settings can be changed, and on which acts can be done, between two steps.

    A subclass overrides `settings` (adding to `super().settings`), `apply_setting` (leaving names that it does not know
    to `super().apply_setting`) and `acts`. A subclass written for an earlier version may define `put`, or `knobs` and
    `turn` for sliders alone, and gets a warning.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)
        for old, new in (("knobs", "settings"), ("turn", "apply_setting")):
            if old in vars(cls):
                warn_of_old_name(f"{cls.__qualname__}.{old}", new, stacklevel=class_level())

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Name -> what may be changed during the search, with the value now in force."""
        return dict(self.knobs) if type(self).knobs is not Steerable.knobs else {}

    def check_setting(self, name: str, value: Any) -> Any:
        """The value as JSON, in its usual form; `SpecError` if there is no such setting, or it cannot have it."""
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
        """The value of a setting now, as JSON; `SpecError` if there is no such setting."""
        return known(name, self.settings).value

    def aged(self, name: str, value: Any, step: int) -> Any:
        """What a value would be by now that was put into force before this step and left alone since: another one
        where a schedule leads it on.
        """
        return value

    def planned(self, values: Mapping[str, Any]) -> int:
        """Steps in the whole search, were these values put into force now."""
        return self.total  # type: ignore[attr-defined]

    @property
    def acts(self) -> Mapping[str, Act]:
        """What can be done once."""
        return {}

    def check_act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as JSON; `SpecError` if there is no such act, or it cannot be done with them now."""
        told = _thawed(frozen_json("arguments", dict(arguments)))
        self._act(name).ready(name, told)
        return told

    def act(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Do it, before the next step. Gives what it changed, as it was before, as JSON."""
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
