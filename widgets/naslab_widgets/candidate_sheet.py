"""The sheet of one candidate: why its training ended, its parents and children, and the acts on it (kill, protect,
...).

It is a section of a `TrialsView`, which knows the selected candidate. Over a run folder there are no acts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from naslab import markup
from naslab.analysis import Candidate, candidate
from naslab.architecture import Architecture
from naslab.errors import NaslabError, SpecError
from naslab.events import Evaluated, Event
from naslab.runs.steering import Steering
from naslab_widgets.sections import Section

RELATIVES = 100
"""Children that are listed; if there are more, only their number is shown as well."""
POINTS = 200
"""Points of a training curve, at most."""
LONGEST = 20_000
"""Characters of an architecture that a user types, at most."""
SELDOM = 0.5
"""Minimum seconds between two passes over all evaluations."""
SHARE = 0.02
"""Maximum share of the time spent in these passes: after one that took t seconds, the next waits t / SHARE."""
TENDING = ("kill", "revive", "protect", "release")
"""Acts on a member of the population."""


class CandidateSheet(Section):
    """Details of the selected candidate from the events, and acts on it and on the queue of candidates.

    Args:
        space: the search space, to read and write architectures.
        selected: returns the number of the selected evaluation; None if nothing is selected.
        search: the search to act on; None over a run folder, which is read-only.
        clock: seconds; for tests.
    """

    name = "candidate"

    def __init__(
        self,
        space: Any,
        selected: Callable[[], int | None],
        search: Any = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._space, self._selected, self._clock = space, selected, clock
        self._search = search if isinstance(search, Steering) else None
        self._refused, self._done = "", 0
        self._waiting: dict[Architecture, int] = {}
        """Queued architecture -> the number by which the page refers to it. Entries stay, so that numbers are never
        reused.
        """
        self.clear()

    # --- what happened -----------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all evaluations."""
        self._trials: list[Evaluated] = []
        self._shown: dict[str, Any] | None = None
        self._shown_of: tuple[int | None, int] = (None, 0)
        self._shown_at, self._look_up_seconds = -SELDOM, 0.0

    def take(self, *events: Event) -> None:
        self._trials += [event for event in events if isinstance(event, Evaluated)]

    @property
    def due(self) -> bool:
        number = self._selected()
        return number is not None and self._shown_of != (number, len(self._trials))

    # --- to the page -------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """Returns the names of the acts: none if there is no search to act on."""
        acts = self._search.acts if self._search is not None else {}
        return {"acts": [name for name in (*TENDING, "add", "withdraw") if name in acts]}

    def state(self) -> dict[str, Any]:
        number = self._selected()
        told = self._look_up(number)
        return {
            "number": number,
            "told": told,
            "hand": self._hand(told),
            "waiting": self._queue(),
            "refused": self._refused,
            "done": self._done,
        }

    def _look_up(self, number: int | None) -> dict[str, Any] | None:
        """Returns the details of a candidate: at once if another is selected, else at most every `SELDOM` seconds."""
        trials = self._trials
        now, wanted = self._clock(), (number, len(trials))
        early = now - self._shown_at < max(SELDOM, self._look_up_seconds / SHARE)
        if wanted == self._shown_of or (number == self._shown_of[0] and early):
            return self._shown
        began = time.perf_counter()
        try:
            told = None if number is None else self._described(candidate(list(trials), number))
        except SpecError:  # the search was rewound to before this candidate
            told = None
        self._look_up_seconds = time.perf_counter() - began
        self._shown, self._shown_of, self._shown_at = told, wanted, now
        return told

    def _described(self, found: Candidate) -> dict[str, Any]:
        stride = -(-len(found.curve) // POINTS) or 1
        return {
            "candidate": found.number,
            "fate": found.fate,
            "children": [[each.number, each.fitness] for each in found.children[:RELATIVES]],
            "brood": len(found.children),
            "curve": [*found.curve[:-1:stride], *found.curve[-1:]],
            "ends": [part.epochs for part in found.trainings if part.epochs is not None],
            "text": self._written(found.architecture),
        }

    def _written(self, architecture: Architecture) -> str:
        """Returns the choices by name as JSON, one per line, for the user to edit."""
        try:
            return json.dumps(self._space.answers(architecture), indent=1, ensure_ascii=False)
        except Exception:  # a user's own space, whose class has changed since the run began
            return json.dumps(list(architecture.choices))

    def _hand(self, told: Mapping[str, Any] | None) -> dict[str, Any]:
        """Returns whether it is alive, protected or was killed by the user, and which acts the next step will apply."""
        if told is None or self._search is None or "kill" not in self._search.acts:
            return {"alive": False, "protected": False, "killed": False, "wished": []}
        number, sampler = told["candidate"], cast(Any, self._search.searcher).sampler
        wishes = [wish for wish in self._search.wished if wish.act and wish.name in TENDING]
        return {
            "alive": number in [member.number for member in sampler.population],
            "protected": number in sampler.protected,
            "killed": number in sampler.killed,
            "wished": [wish.name for wish in wishes if wish.given["candidate"] == number],
        }

    def _queue(self) -> list[dict[str, Any]]:
        """Returns the architectures added by the user and not proposed yet; `pending`: taken up by the next step."""
        if self._search is None or "add" not in self._search.acts:
            return []
        wished: dict[str, list[Architecture]] = {"add": [], "withdraw": []}
        for wish in self._search.wished:
            if wish.act and wish.name in wished:
                wished[wish.name].append(self._space.architecture(wish.given["architecture"]))
        lines = [
            (each, each in wished["withdraw"], "withdraw") for each in cast(Any, self._search.searcher).sampler.waiting
        ]
        lines += [(each, True, "add") for each in wished["add"]]
        told = []
        for each, pending, act in lines:
            key = self._waiting.setdefault(each, len(self._waiting))
            told.append({"key": key, "text": self._short(each), "pending": pending, "act": act})
        return told

    def _short(self, architecture: Architecture) -> str:
        return ", ".join(map(str, architecture.choices))

    # --- from the page -----------------------------------------------------------------------------

    def on_message(self, message: Mapping[str, Any]) -> None:
        self._refused = ""
        try:
            if self._do(message):
                self._done += 1
        except NaslabError as error:
            self._refused = str(error)
        except Exception as error:  # raised by a user's own space
            self._refused = f"{type(error).__name__}: {error}"

    def _do(self, message: Mapping[str, Any]) -> bool:
        """Returns True if a typed architecture was accepted: the page may then clear its text field."""
        do, search = message.get("do"), self._search
        if search is None or not isinstance(do, str) or do not in {*TENDING, "add", "again", "withdraw", "back"}:
            return False
        if do in TENDING:
            search.act(do, candidate=message.get("candidate"))
        elif do == "again":
            search.act("add", architecture=self._architecture_of(message.get("candidate")))
        elif do == "add":
            search.act("add", architecture=read(self._space, message.get("text")))
            return True
        elif do == "withdraw":
            search.act("withdraw", architecture=self._waiting_one(message.get("key")))
        else:
            self._take_back(search, message)
        return False

    def _architecture_of(self, number: Any) -> Architecture:
        return candidate(list(self._trials), number).architecture

    def _waiting_one(self, key: Any) -> Architecture:
        found = [each for each, number in self._waiting.items() if type(key) is int and number == key]
        if not found:
            raise SpecError(
                f"expected the number of a queued architecture, got {key!r:.100}; it may be proposed by now"
            )
        return found[0]

    def _take_back(self, search: Steering, message: Mapping[str, Any]) -> None:
        """Withdraw an act that the next step has not applied yet."""
        name = message.get("act")
        if name in ("add", "withdraw"):
            given = {"architecture": list(self._waiting_one(message.get("key")).choices)}
        else:
            given = {"candidate": message.get("candidate")}
        pending = [one for one in search.ledger if one.pending and (one.name, one.told) == (name, given)]
        if not pending:
            raise SpecError("this act is not pending; the ledger lists the acts that can be undone")
        search.undo(pending[-1].number)


def read(space: Any, text: Any) -> Architecture:
    """Returns the architecture that a user typed, checked.

    Args:
        text: JSON with the choices by name (`{"cell/1/from_0": "none", ...}`), in order, or as written by
            `Architecture.to_json`; or the published notation, if the space reads one (`space.parse`).

    Raises:
        SpecError: the text has none of these forms, or is not an architecture of the space.
    """
    forms = 'JSON, the choices by name, {"name": choice, ...}, or in order, [choice, ...]'
    parse = getattr(space, "parse", None)
    expected = f"expected an architecture as {forms}{', or the published notation' if parse else ''}"
    if not isinstance(text, str) or not (text := text.strip()):
        raise SpecError(f"{expected}; nothing was written")
    if len(text) > LONGEST:
        raise SpecError(f"{expected}; {len(text):,} characters are more than {LONGEST:,}")
    if text[0] not in "[{":
        if parse is None:
            raise SpecError(f"{expected}, not {markup.clean(text, 80)!r}")
        return space.architecture(parse(text))
    try:
        choices = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{expected}; this is not valid JSON: {error}") from None
    if isinstance(choices, dict) and choices.keys() == {"space", "choices"}:
        return space.check(Architecture.from_record(choices))
    return space.architecture(choices)
