"""Restoring the state of a search: after an interrupted step, when a run is opened, and on a rewind.

The state after any step is that of the newest snapshot before it, with the steps from there repeated: a searcher is a
function of its spec and of the changes that were made to it (settings, acts), so that a killed process loses nothing.
Repeated steps are compared with the journal bit for bit (`naslab.runs.replay`). Copies of the state in memory, about
one for each second of work, keep the number of repeated steps small (`naslab.runs.ring`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from naslab.runs.driving import Driving
from naslab.runs.event_log import EventLog
from naslab.runs.replay import Cost, Differs, Follow, Restored, cost, restore_to
from naslab.runs.ring import Copy
from naslab.runs.rounding import why_not_exact
from naslab.searchers import Stepper, from_spec


class Restoring(Driving):
    """The part of `naslab.Search` that restores the state after any step that is done."""

    if TYPE_CHECKING:

        @property
        def events(self) -> EventLog: ...

        @property
        def task(self) -> Any: ...

    def cost_of_going_back(self, step: int) -> Cost:
        """Returns the expected cost of `rewind` to a step, or of a fork from it: steps that are repeated, seconds, and
        the steps that a rewind would abandon.
        """
        step = self._check_step(step)
        return cost(step, end=self.step, store=self._store, ring=self._ring, pace=self._pace)

    def rewind(
        self,
        step: int,
        *,
        progress: Callable[[int, int], object] | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        """Go back to the state after `step`, exactly. Later steps stay in the run as abandoned.

        Where the device does not compute the same bits twice, the state may differ by rounding; and if repeated steps
        come out differently, it is that of the nearest stored state before `step`. Both are said in a warning.

        Args:
            step: a step that is done.
            progress: called with the number of steps repeated so far and their total, in the thread that rewinds.
            cancel: once it is set, from any thread, the search stays where it is.

        Raises:
            Cancelled: `cancel` was set. As after any other error on the way, also one of `progress`, the search is
                in the state that it was in, bit for bit, and nothing is lost.
        """
        with self._mine():
            self._write()
            step = self._check_step(step)
            restored = self._go(step, Follow(progress, cancel))
            self._pending = []
            self._leave_after(restored.step)
            self._wishes.clear()
            self._lost = False
            if note := self._difference(restored, step):
                self._warn(note)
        self.moved()

    def _leave_after(self, step: int) -> None:
        """Let the steps after one be abandoned."""
        # Before the store: if the rest is interrupted, copies of later steps must not be used, for other steps
        # may follow now.
        self._ring.cut(step)
        with self._disk(f"going back to step {step}"):
            self._store.abandon(step)
            self._events = [event for event in self._events if event.step <= step]

    def _difference(self, restored: Restored, wished: int) -> str:
        """Returns the note about repeated steps that differ from the logged ones; "" if they are equal."""
        left = ", and keeps the steps after it as abandoned" if restored.step < wished else ""
        return restored.difference and restored.difference + left

    def _go(self, step: int, follow: Follow) -> Restored:
        """Restore the state after a step, or keep the current one on an error. `_lost` stays set until `rewind` has
        made the events agree with the new state.
        """
        here = None if self._lost else Copy.of(self.step, self.searcher.state_dict())
        self._lost = True
        try:
            return self._restore_to(self.searcher, step, follow)
        except BaseException:
            if here is not None:
                self.searcher.load_state_dict(here.state)
                self._lost = False
            raise

    def _restore(self) -> None:
        """After an interrupted advance, restore the state after the last finished step; or after an earlier one, if the
        steps from there to the last one are not repeatable on this device.
        """
        if self._lost:
            _, notes = self._restored()
            self._lost = False
            for note in notes:
                self._warn(note)

    def _recover(self, notes: Sequence[str], *, strict: bool) -> None:
        """Restore the last step of a run that was opened, and report what was damaged.

        Args:
            notes: warnings from opening the folder.
            strict: raise `Differs` if a repeated step differs; False goes on from the snapshot before it instead.
        """
        self._lost = True
        try:
            start, found = self._restored()
        except Differs as error:
            if strict:
                error.args = ("; ".join([str(error), *notes]),)  # they may give the reason
                raise
            start, found = error.start, [f"{error.what}; the run goes on from the snapshot of step {error.start}"]
            self.rewind(error.start)
        self._lost = False
        for note in [*notes, *found]:
            self._warn(note)
        if done := self.step - start:
            self._note(f"broken off at step {self.step}; {done} steps done again")

    def _restored(self) -> tuple[int, list[str]]:
        """Restore the last step, or an earlier one; returns the step of the stored state, and notes."""
        restored = self._restore_to(self.searcher, wished := self.step)
        if restored.step < wished:
            self._leave_after(restored.step)
        return restored.start, [note for note in (*restored.damaged, self._difference(restored, wished)) if note]

    def _restore_to(self, searcher: Stepper, step: int, follow: Follow | None = None) -> Restored:
        """See `naslab.runs.replay.restore_to`."""
        return restore_to(
            searcher,
            step,
            store=self._store,
            ring=self._ring,
            events=self.events,
            begin=self._rebuild,
            run=self.run if step == self.step else None,
            pace=self._pace,
            follow=follow or Follow(),
            inexact=self._elsewhere or why_not_exact(searcher),
        )

    def _rebuild(self) -> Stepper:
        """Returns a new searcher from the spec, in the state before its first step."""
        given = (getattr(self.searcher, name, None) for name in ("estimator", "executor"))
        return from_spec(self.spec, self.task, *given)
