"""What a search says of itself in events, and what may be set and done while it runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from naslab import events
from naslab.errors import SpecError
from naslab.runs import Search
from naslab.searchers import BlackBoxSearch, Count, Mask, Select, Several, Slider, Switch
from naslab.searchers.settings import Act, Setting
from naslab.spaces.weight_sharing import edge_operations
from naslab.testing.case import check_events, check_states, comparable, refused, skip
from naslab.testing.searcher_replay import SearcherChecks, doubled
from naslab.testing.space_masks import masks, obeys

INVERSE = ("put", "restore", "revive", "release", "withdraw")
"""Acts that undo others, and are done that way."""


def other_value(setting: Setting) -> Any:
    """Another value of a setting that makes sense."""
    match setting:
        case Slider(whole=True):
            return setting.high
        case Slider():
            return setting.low + (setting.high - setting.low) * (0.3 if setting.value != setting.low else 0.5)
        case Count():
            return setting.value + 1 if setting.high is None else max(setting.low, setting.value // 2)
        case Switch():
            return not setting.value
        case Select():
            return next((option for option in setting.options if option != setting.value), setting.value)
        case Several():
            return [setting.options[0]]
        case Mask():
            some = next(((row, options) for row, options in setting.options.items() if len(options) > 1), None)
            return {} if some is None else {some[0]: [some[1][0]]}
    raise AssertionError(f"a setting is one of naslab.searchers.settings, not {setting!r:.200}")


def equal(one: Any, other: Any) -> bool:
    """Whether two values of a setting are the same, numbers but for their rounding."""
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)
    return one == other


class SteeringChecks(SearcherChecks):
    """Checks of events, settings, acts and masks."""

    def values_for(self, search: Search, act: Act) -> dict[str, Any]:
        """Arguments with which an act makes sense. A searcher with acts of its own says them here."""
        searcher: Any = getattr(search.searcher, "sampler", search.searcher)
        known = {
            "by": lambda: 0.25,
            "to": lambda: 0.5,
            "row": lambda: 0,
            "part": lambda: next(iter(searcher.alphas)),
            "operation": lambda: next(iter(edge_operations(searcher.space).values()))[0][0],
            "candidate": lambda: searcher.population[-1].number,
            "architecture": lambda: list(search.best.choices),
        }
        strange = [name for name in act.arguments if name not in known]
        assert not strange, f"say in values_for(search, act) what {strange} may be: {dict(act.arguments)}"
        return {name: known[name]() for name in act.arguments}

    def test_events_count_the_steps_and_survive_the_disk(self) -> None:
        searcher = self.begun(seed=3)
        done = [searcher.advance() for _ in range(2)]
        steps = [event.step for event in done]
        assert steps == [1, 2], f"the first two events have the steps {steps}, expected [1, 2]"
        quantities = searcher.metrics
        for event in done:
            again = events.from_record(event.kind, *event.to_record())
            check_events([again], [event], f"an event of the kind {event.kind!r}, written and read again,")
            assert event.best in searcher.space, f"the best of step {event.step}, {event.best}, is not in the space"
            measured = {*getattr(event, "metrics", {}), *getattr(event, "values", {})}
            assert measured, f"step {event.step} has neither metrics nor values: give what it measured in `metrics`"
            unknown = measured - quantities.keys()
            assert not unknown, f"step {event.step} measures {unknown}, of which searcher.metrics knows no direction"
            if isinstance(event, events.Evaluated):
                assert "fitness" in quantities, "searcher.metrics lacks the fitness"
        for name, quantity in quantities.items():
            judged = name.startswith(("train/", "valid/", "fitness"))
            assert quantity.direction is not None or not judged, f"{name!r} in searcher.metrics has no direction"

    # --- sliders ---------------------------------------------------------------------------------------------

    def test_a_slider_acts_on_the_next_step(self) -> None:
        one, other = self.begun(seed=3), self.begun(seed=3)
        one.advance()
        other.advance()
        sliders = {name: setting for name, setting in one.settings.items() if isinstance(setting, Slider)}
        for name in sliders:
            setting = one.settings[name]
            value = setting.check(name, doubled(setting))
            one.set(name, value)
            now = one.settings[name].value
            assert equal(now, value), f"set({name!r}, {value}) put {now} into force"
            settings = one.advance().settings  # type: ignore[attr-defined]
            assert equal(settings.get(name), value), f"the step after set({name!r}, {value}) says {settings}"
            assert setting.description, (
                f"the setting {name!r} has no description, which is its tooltip; give description=..., for instance "
                "that of the hyperparameter: naslab.searchers.signatures.attribute_docstrings(Hyperparameters)[name]"
            )
        same = comparable(one.state_dict()) == comparable(other.state_dict())
        assert not sliders or not same, f"sliders that were set, {list(sliders)}, are not in state_dict()"

    def test_a_slider_refuses_nonsense(self) -> None:
        searcher = self.begun(seed=3)
        changed = self.changed(searcher)
        if changed is None or not isinstance(searcher.settings[changed[0]], Slider):
            with refused("a setting that is not there", "unknown setting 'w_lr'|no setting 'w_lr'"):
                searcher.check_setting("w_lr", 0.1)
            return
        name = changed[0]
        for value in (math.nan, -1.0, math.inf, "fast", True, None):
            with refused(f"set({name!r}, {value!r})", "must be a number from"):
                searcher.check_setting(name, value)
        with refused("a setting whose name is nearly right", f"did you mean '{name}'"):
            searcher.check_setting(name[:-1], 0.1)

    # --- set, done, undone, and done again -------------------------------------------------------------------

    def check_done_again(self, search: Search) -> None:
        """A fresh searcher to which the events of a search happen comes to the same state."""
        again = self.begun(seed=3)
        for event in search.events:
            if isinstance(event, events.Changed):
                again.apply_setting(event.name, event.new)
            elif isinstance(event, events.Acted):
                told = json.loads(event.to_record()[0])
                before = json.loads(json.dumps(again.act(event.name, told["arguments"])))
                expected = told["before"]
                assert before == expected, f"the act {event.name!r} done again was {before!r:.200} before: {expected}"
            elif not isinstance(event, events.Phase | events.Measured):
                check_events([again.repeat(event)], [event], "a step done again with what was set and done before it")
        check_states(again.state_dict(), search.searcher.state_dict(), "all that was set and done, done again")

    def test_settings_are_undone_and_done_again(self) -> None:
        search = Search(self.begun(seed=3))
        next(search)
        before, done, failed = search.settings, [], []
        for name, setting in before.items():
            assert setting.description, (
                f"the setting {name!r} has no description, which is its tooltip; give description=..., for instance "
                "that of the hyperparameter: naslab.searchers.signatures.attribute_docstrings(Hyperparameters)[name]"
            )
            if name == "workers":
                continue  # several are another process each
            try:
                search.set(name, other_value(setting))
                done.append(name)
            except SpecError as error:  # it does not go with what this search is
                failed.append(str(error))
        assert len(failed) <= 3, f"of the settings {list(before)} these could not be set: {failed}"
        next(search)
        logged = [one.name for one in search.ledger]
        assert logged == done, f"the settings {done} were set, and the search has noted {logged}"
        for one in search.ledger:
            assert one.sentence, f"the change of {one.name!r} has no sentence"
            assert one.undoable, f"the change of {one.name!r} cannot be undone"
        for one in reversed(search.ledger):
            search.undo(one)
        next(search)
        for name, setting in search.settings.items():
            was, now = before[name].value, setting.value
            led = getattr(setting, "schedule", "") or name == "epsilon"  # which goes on meanwhile
            assert led or equal(was, now), (
                f"{name} is {now!r} after its change was undone, expected {was!r}; a value that the algorithm "
                "moves on by itself is a Slider with schedule=...; `aged` says what an earlier one would be now"
            )
        undone = [one.undone for one in search.ledger[: len(done)]]
        expected = [2 * len(done) - place for place in range(len(done))]
        assert undone == expected, f"changes were undone by the entries {undone} of the ledger, expected {expected}"
        self.check_done_again(search)

    def test_acts_are_undone_and_done_again(self) -> None:
        search = Search(self.begun(seed=3))
        for _ in range(6 if isinstance(search.searcher, BlackBoxSearch) else 1):
            next(search)
        for name in [name for name in search.acts if name not in INVERSE]:
            act = search.acts[name]
            assert act.description, f"the act {name!r} has no description"
            search.act(name, **self.values_for(search, act))
            next(search)
            (*_, one) = search.ledger
            assert (one.name, one.pending) == (name, False), f"after the act {name!r} the search has noted {one}"
            assert one.sentence, f"the act {name!r} has no sentence"
            if one.undoable:
                search.undo()
                next(search)
                undoes = search.ledger[-1].undoes
                assert undoes == one.number, f"undo of entry {one.number} of the ledger undid {undoes}"
            else:
                assert len(one.why_not) > 20, f"why the act {name!r} cannot be undone is said by {one.why_not!r}"
                with refused(f"undo of the act {name!r}, which cannot be undone,"):
                    search.undo(one)
        self.check_done_again(search)

    # --- masks -----------------------------------------------------------------------------------------------

    def _forbidden(self, search: Search) -> dict[str, Mapping[str, Any]]:
        """Masks of the search, with options of its best architecture that are to be forbidden now."""
        space: Any = search.space
        found: dict[str, Mapping[str, Any]] = {}
        for name, setting in search.settings.items():
            if not isinstance(setting, Mask):
                continue
            if name == "mask":
                known = masks(space, 1)
                found |= {name: known[0][1]} if known else {}
                continue
            kept = space.one_hot(search.best)[name.removeprefix("mask/")]
            for row, options in setting.options.items():
                taken = [one for one in options if kept[int(row), space.operations.index(one)]]
                if taken and len(options) > 1:
                    found[name] = {row: taken}
                    break
        return found

    def _check_obeys(self, search: Search, event: Any, forbidden: Mapping[str, Any]) -> None:
        """A step took nothing that is forbidden; a candidate from before, whose training goes on, may hold it."""
        space: Any = getattr(search.searcher, "whole", search.space)
        for name, value in forbidden.items():
            said = event.settings.get(name)
            assert said == value, f"{name} is {value}, and step {event.step} says {said}"
            if name == "mask":
                architecture = getattr(event, "architecture", None)
                known = getattr(event, "candidate", None) not in (None, getattr(event, "number", None))
                assert architecture is None or known or obeys(value, space, architecture), (
                    f"step {event.step} took {space.answers(architecture)}, although {value} is forbidden; draw from "
                    "self.space, and draw again in remasked() what was drawn ahead"
                )
                continue
            kept = space.one_hot(search.best)[name.removeprefix("mask/")]
            for row, options in value.items():
                for one in options:
                    assert not kept[int(row), space.operations.index(one)], (
                        f"after step {event.step} {one!r} would be chosen on row {row}, where {name} forbids it"
                    )

    def test_what_is_forbidden_is_taken_no_more_and_all_is_replayed(self) -> None:
        search = Search(self.begun(seed=3))
        whole, spec = search.space, search.searcher.spec()
        steps = max(2, self.count(search.searcher) // 2)
        for _ in range(steps):
            next(search)
        if not (forbidden := self._forbidden(search)):
            skip("no option can be forbidden")
        begun = search.step
        for name, value in forbidden.items():
            search.set(name, value)
        for _ in range(steps):
            self._check_obeys(search, next(search), forbidden)
        assert search.searcher.spec() == spec, "a mask changes spec(), which is that of the start"
        end = search.step
        fork, back = search.fork(), search.fork(step=begun + 1)
        for _ in range(end - begun - 1):
            next(back)
        check_events(list(back.events), list(search.events), "a fork from the first step with a mask")
        check_events([next(fork)], [next(search)], "a fork with a mask")
        for name in forbidden:
            search.set(name, {})
        settings = next(search).settings  # type: ignore[attr-defined]
        assert not settings.keys() & set(forbidden), f"masks that forbid nothing any more are in an event: {settings}"
        assert search.space == whole, f"without masks the space is {search.space}, expected {whole}"
