"""Counts failure reasons, and warns early when every candidate fails for the same one."""

from __future__ import annotations

from typing import Any

from naslab.estimators.objectives import TooMuch

FIRST = 3
"""Identical failures in a row that give a warning while no candidate has succeeded: most likely the estimator is at
fault."""
NEVER = 5
"""Failures with the same kind of error, whatever its details, that give a warning while no candidate has succeeded."""
LATER = 10
"""Identical failures in a row that give a warning although other candidates have succeeded."""
KINDS = 50
"""Largest number of different reasons that are counted."""


ADVICE = (
    "The search goes on, and each counts as a step; if it is a mistake in the estimator, stop here, fix it and begin "
    "again"
)


class Failures:
    """Counts failure reasons, and gives one warning for each run of failures that are alike."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._row = 0
        self._last = ""
        self._succeeded = False
        self._pointed_out: set[str] = set()

    def note(self, status: str, message: str) -> str | None:
        """Counts the outcome of one candidate; returns the warning that is due now, or None.

        Args:
            status: "done", or the status of a failure.
            message: why the candidate failed; empty for one that did not.
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
        """The most frequent reason and its count; empty if there were no failures."""
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

    def state_dict(self) -> Any:
        """The counts as JSON, without the warnings given, so that they are given again when the run is opened."""
        return [[list(one) for one in self._counts.items()], self._row, self._last, self._succeeded]

    def load_state_dict(self, state: Any) -> None:
        """Restores what `state_dict` returned."""
        counts, self._row, self._last, self._succeeded = state
        self._counts = dict(counts)


def _kind(why: str) -> str:
    """The reason without its details: "ValueError" for "ValueError: there is no 7"."""
    return why.partition(":")[0]
