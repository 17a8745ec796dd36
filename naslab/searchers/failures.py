"""Why candidates have no fitness, and whether one mistake fails them all: then somebody should hear of it early."""

from __future__ import annotations

from typing import Any

from naslab.estimators.objectives import TooMuch

FIRST = 3
"""So many alike, and nothing that succeeded before them: most likely the estimator is at fault."""
NEVER = 5
"""So many with an error of the same kind, whatever its details, while none has succeeded."""
LATER = 10
"""So many alike in a row, although others succeeded before."""
KINDS = 50
"""Different reasons that are counted."""


ADVICE = (
    "The search goes on, and each counts as a step; if it is a mistake in the estimator, stop here, mend it and begin "
    "again"
)


class Failures:
    """Counts reasons; each row of failures that are alike is pointed out once."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._row = 0
        self._last = ""
        self._succeeded = False
        self._pointed_out: set[str] = set()

    def note(self, status: str, message: str) -> str | None:
        """Take in what came of a candidate; what should be said about it now, if anything.

        Args:
            status: "done", or that of a failure.
            message: why it failed; empty for one that did not.
        """
        if status == "done":
            self._row, self._succeeded = 0, True
            return None
        why = message or status
        if why in self._counts or len(self._counts) < KINDS:
            self._counts[why] = self._counts.get(why, 0) + 1
        self._row = self._row + 1 if why == self._last else 1
        self._last = why
        if self._row >= (LATER if self._succeeded else FIRST) and why not in self._pointed_out:
            self._pointed_out |= {why, _kind(why)}
            which = "the last" if self._succeeded or sum(self._counts.values()) > self._row else "the first"
            return f"{which} {self._row} candidates failed alike: {why}. {ADVICE}"
        kind = _kind(why)
        if self._succeeded or kind in self._pointed_out or kind == TooMuch.__name__:  # limits are there to refuse many
            return None
        alike = sum(count for other, count in self._counts.items() if _kind(other) == kind)
        if alike < NEVER:
            return None
        self._pointed_out.add(kind)
        return f"none has succeeded, and {alike} candidates failed with {kind}, the last of them: {why}. {ADVICE}"

    def __str__(self) -> str:
        """The commonest reason, with how often; empty without failures."""
        if not self._counts:
            return ""
        why, count = max(self._counts.items(), key=lambda one: one[1])
        whole = sum(self._counts.values())
        if count == whole:
            return f"all of them: {why}"
        if count > 1:
            return f"most often, {count} times: {why}"
        kinds = {_kind(other) for other in self._counts}
        alike = f"all of them with {kinds.pop()}" if len(kinds) == 1 else "no two of them alike"
        return f"{alike}, the last: {self._last}"

    def memory(self) -> Any:
        """JSON; what was pointed out is not in it, and is said again to whoever opens the run."""
        return [[list(one) for one in self._counts.items()], self._row, self._last, self._succeeded]

    def remember(self, memory: Any) -> None:
        """Take back what `memory` gave."""
        counts, self._row, self._last, self._succeeded = memory
        self._counts = dict(counts)


def _kind(why: str) -> str:
    """A reason without its details: "ValueError" of "ValueError: there is no 7"."""
    return why.partition(":")[0]
