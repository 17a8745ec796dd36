"""The line that warns when a search collapses to skip connections, explains why, and offers remedies.

The search's thread calls `take`, the publisher's thread `state`; `_lock` guards the watch and the count of
interventions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from naslab.analysis.collapse import EIGENVALUE, CollapseWatch, Standing
from naslab.analysis.remedies import Remedy, remedies
from naslab.events import Acted, Changed, Event
from naslab_widgets.sections import Section

MOST_TURNS = 100
"""Changes of the level that the page gets: the last ones."""


class CollapseLine(Section):
    """Shows a `CollapseWatch` over one search. `take` may be called from any thread.

    Args:
        search: the search whose events it takes.
        measure: starts the measurement of that name; its result comes as an event.
        fork: starts a fork with a remedy.
    """

    name = "watch"

    def __init__(self, search: Any, measure: Callable[[str], None], fork: Callable[[Remedy], None]) -> None:
        self._search, self._measure, self._fork = search, measure, fork
        known = getattr(getattr(search, "ranking", None), "known", None)
        self._watch = CollapseWatch(search.space, known)
        self._lock = threading.Lock()
        self._measures = EIGENVALUE in getattr(search.searcher, "measurable", ())
        self._remedies: tuple[Any, Sequence[Remedy]] = (None, ())
        """(what the remedies depend on, the remedies): computed again only when the first part changes."""
        self._interventions = 0
        """Interventions of the user so far: each may change which remedies apply."""

    def clear(self) -> None:
        """Forget all events: the search was rewound."""
        with self._lock:
            self._watch.clear()
            self._interventions += 1

    def take(self, *events: Event) -> None:
        """Events in their order."""
        with self._lock:
            self._watch.take(*events)
            self._interventions += sum(isinstance(event, Changed | Acted) for event in events)

    @property
    def standing(self) -> Standing:
        """The current diagnosis."""
        with self._lock:
            return self._watch.standing

    @property
    def turns(self) -> Sequence[Standing]:
        """The diagnosis at each change of level."""
        with self._lock:
            return list(self._watch.turns)

    @property
    def remedies(self) -> Sequence[Remedy]:
        """The remedies that apply now."""
        standing = self.standing
        depends_on = (standing.level == "grey", standing.calm, self._interventions)
        if self._remedies[0] != depends_on:
            self._remedies = depends_on, remedies(standing, self._search.settings)
        return self._remedies[1]

    def state(self) -> dict[str, Any]:
        standing = self.standing
        return {
            "level": standing.level,
            "sentence": standing.sentence,
            "why": [list(reason) for reason in standing.why],
            "turns": [[turn.step, turn.level, turn.sentence] for turn in self.turns[-MOST_TURNS:]],
            "remedies": [[one.name, one.sentence, one.source, one.link, one.step] for one in self.remedies],
            "measures": self._measures and bool(standing.why),
        }

    def on_message(self, message: Mapping[str, Any]) -> None:
        if message.get("do") == "measure" and self._measures:
            self._measure(EIGENVALUE)
        elif message.get("do") == "remedy":
            for remedy in self.remedies:
                if remedy.name == message.get("name"):
                    self._fork(remedy)
