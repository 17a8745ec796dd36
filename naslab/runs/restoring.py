"""How the state of a search is brought back: after a step that was broken off, when a run is opened, on going back.

The state after any step is the newest snapshot before it, and the steps from there done again: a searcher is a
function of its spec and of what a hand did to it (settings, acts), so that nothing is lost with a process that is
killed. What is computed again is compared with the journal bit for bit. So that little has to be, there are copies of
the state in memory, too (`naslab.runs.ring`), about one a second.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from naslab.events import Recovered
from naslab.runs.driving import Driving
from naslab.runs.event_log import EventLog
from naslab.runs.replay import Cost, Differs, Follow, bring, cost
from naslab.runs.ring import Copy
from naslab.searchers import Stepper, from_spec


class Restoring(Driving):
    """Brings the searcher to any step that is done: the newest snapshot before it, and the steps from there again."""

    if TYPE_CHECKING:

        @property
        def events(self) -> EventLog: ...

        @property
        def task(self) -> Any: ...

    def cost_of_going_back(self, step: int) -> Cost:
        """What `rewind` to a step, or a fork of it, would take, told before: the steps that are done again, about how
        many seconds, and what would be left behind.
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
        """Back to the moment after `step`, exactly. What came later stays in the run as abandoned.

        Args:
            step: one that is done.
            progress: called with the steps done again so far, and how many there are, in the thread that rewinds.
            cancel: once it is set, from any thread, the search stays where it is.

        Raises:
            Cancelled: `cancel` was set. As after any other error on the way, also one of `progress`, the search is
                where it was, bit for bit, and nothing is lost.
        """
        with self._mine():
            self._write()
            step = self._check_step(step)
            self._go(step, Follow(progress, cancel))
            self._pending = []
            self._ring.cut(step)  # first, for if the rest is broken off, other steps come than those that were there
            with self._disk(f"going back to step {step}"):
                self._store.abandon(step)
                self._events = [event for event in self._events if event.step <= step]
            self._wishes.clear()
            self._lost = False
        self.moved()

    def _go(self, step: int, follow: Follow) -> None:
        """Bring the searcher to a step, or leave it where it is. It counts as lost until the events agree."""
        here = None if self._lost else Copy.of(self.step, self.searcher.state_dict())
        self._lost = True
        try:
            self._bring(self.searcher, step, follow)
        except BaseException:
            if here is not None:
                self.searcher.load_state_dict(here.state)
                self._lost = False
            raise

    def _restore(self) -> None:
        """Undo an advance that was broken off."""
        if self._lost:
            _, notes = self._bring(self.searcher, self.step)
            self._lost = False
            for note in notes:
                self._warn(note)

    def _recover(self, notes: Sequence[str], *, strict: bool) -> None:
        """Bring a run that was opened to its last step, and say what was not as it should be."""
        self._lost = True
        try:
            start, found = self._bring(self.searcher, self.step)
        except Differs as error:
            if strict:
                error.args = ("; ".join([str(error), *notes]),)  # perhaps they say why
                raise
            start, found = error.start, [f"{error.what}; the run goes on from the snapshot of step {error.start}"]
            self.rewind(error.start)
        self._lost = False
        for note in [*notes, *found]:
            self._warn(note)
        if done := self.step - start:
            self._say(Recovered(step=self.step, message=f"broken off at step {self.step}; {done} steps done again"))

    def _bring(self, searcher: Stepper, step: int, follow: Follow | None = None) -> tuple[int, list[str]]:
        """See `naslab.runs.replay.bring`."""
        return bring(
            searcher,
            step,
            store=self._store,
            ring=self._ring,
            events=self.events,
            begin=self._again,
            run=self.run,
            pace=self._pace,
            follow=follow or Follow(),
        )

    def _again(self) -> Stepper:
        """What is driven, as it was before its first step."""
        given = (getattr(self.searcher, name, None) for name in ("estimator", "executor"))
        return from_spec(self.spec, self.task, *given)
