"""`StreamView`: a widget that shows something while it moves, on a page that may come late, reload, lag or go away.

The life of a view:

1. *Hello.* A page sends `{"type": "hello"}` when it begins to show the view: it was opened or reloaded, or has lost a
   message. Nothing is sent before the first hello.
2. *Snapshot.* The next message is `fresh`: it holds everything that the page needs, thinned to a bounded size, and
   replaces everything that was sent before.
3. *Increments.* From then on each message holds what is new, at most `hz` a second. The page acknowledges what it has
   drawn; when it lags (`naslab_widgets.wire.WINDOW`), nothing is sent until it has caught up, and when more rows wait
   for it than a snapshot would have, it gets a snapshot instead. Each message has a number, by which the page notices
   that one was lost.
4. *Moment.* When the page looks back to a step whose rows it has not kept, it asks by
   `{"type": "moment", "step": step}` and gets the rows around that step, at once and without a number.

Three threads meet here: the runner's thread calls `take`, a `Publisher`'s thread calls `publish`, and the kernel's main
thread receives the messages from the page. `_lock` guards all state of the view. A view is only a cache: everything
that it shows can be rebuilt from the events.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from naslab_widgets.moments import Recall
from naslab_widgets.page import PageWidget
from naslab_widgets.sections import Section, Sections
from naslab_widgets.wire import FlowControl

MOST_QUEUED = 2000
"""Rows of a table that may wait for the next message. A snapshot has no more, so that beyond this it is smaller."""

Message = tuple[dict[str, Any], Sequence[Any]]
"""The content of a message as JSON, and its tables of numbers."""


class StreamView(PageWidget):
    """A view that is fed by `take` and sends by `publish`; both may be called from any thread.

    A subclass says what it shows, in methods that are called with the lock held:

    - `_message`: builds a message. The only required one.
    - `_take`, `_forget`: keep what the events add to the view; drop all of it.
    - `_status`: values shown beside the rows; a message is sent whenever they change.
    - `_news`, `_more`: True if there is something to send; True if more will follow without further events.

    And in methods that are called without the lock, in the kernel's main thread: `_look_back`, which returns the rows
    around an earlier step, and `_on_request`, for messages of the page that only this view knows.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        *,
        poke: Callable[[], None],
        panel: str = "",
        sections: Sequence[Section] | None = None,
        recall: Recall = lambda first, last: (),
        complain: Callable[[Exception], None] = lambda error: None,
        hz: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Calls `clear`, and so `_forget`: a subclass sets the attributes that those need before it calls this.

        Args:
            description: constant description of the view, as JSON, which the page gets when it opens.
            poke: requests a call of `publish`, after the page has asked for something; takes microseconds.
            panel: the name by which the widgets of one panel find one another on the page.
            sections: parts of the page with a state of their own; None if the page has no place for them.
            recall: returns the events from a first step to a last, for earlier steps.
            complain: called with the exception that a section raised.
            hz: messages a second, at most.
            clock: seconds; for tests.
        """
        self._sections = Sections(sections or ())
        self._sectioned = sections is not None
        described = {"panel": panel, **description}
        if self._sectioned:
            described["sections"] = self._sections.about()
        self._poke, self._recall, self._complain = poke, recall, complain
        self._clock, self._flow = clock, FlowControl(hz, clock)
        self._lock = threading.Lock()
        self._fresh = True
        """True if the next message is a snapshot."""
        self._queued: defaultdict[int, list[np.ndarray]] = defaultdict(list)
        """Number of a table -> its rows for the next message, unless that is a snapshot."""
        super().__init__(described)
        self.clear()

    @property
    def listening(self) -> bool:
        """True once a page has shown the view."""
        return self._flow.listening

    # --- what happened ---------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget all events; the page gets a new snapshot."""
        with self._lock:
            self._begin_anew()
            self._forget()

    def take(self, *events: Any) -> None:
        """Add events, which the next message will show. Any thread."""
        with self._lock:
            self._take(events)

    def _begin_anew(self) -> None:
        """Make the next message a snapshot."""
        self._fresh = True
        self._queued.clear()

    def _queue(self, rows: Sequence[np.ndarray], table: int = 0) -> None:
        """Queue rows of one table for the next message.

        Nothing is queued while no page is open or a snapshot is due: snapshots come from the view's own history.
        """
        if self._fresh or not self.listening:
            return
        self._queued[table] += rows
        if len(self._queued[table]) > MOST_QUEUED:
            self._begin_anew()

    # --- to the page -----------------------------------------------------------------------------

    def publish(self, status: dict[str, Any]) -> bool:
        """Send what is new, unless the last message is too recent or the page lags. Any thread.

        Args:
            status: progress of the search as JSON: "state", "step", "total", ...

        Returns:
            True if it must be called again, because something waits to be sent.
        """
        if not self._flow.open:
            return False
        states = self._sections.states()  # without the lock: a section has its own, and may call this view
        with self._lock:
            if not self._flow.open:  # the page may have left meanwhile
                return False
            status = self._status(status)
            changed = self._sections.news(states, self._fresh)
            if not (self._fresh or changed or self._news or self._flow.changed(status)):
                return self._more
            if self._flow.early:
                return True
            content, tables = self._message(self._fresh, status)
            if self._sectioned:
                content["sections"] = changed
            self._sections.sent(changed)
            self._fresh = False
            self._queued.clear()
            self.tell({**content, **self._flow.next(status)}, tables)
            return self._more

    # --- from the page ---------------------------------------------------------------------------

    def _on_message(self, kind: str, message: Mapping[str, Any]) -> None:
        with self._lock:
            self._flow.on_message(kind, message)
            if kind == "hello":
                self._begin_anew()
        if kind == "section":
            self._act(message)
        elif kind != "moment":
            self._on_request(kind, message)
        elif type(step := message.get("step")) is int and (answer := self._look_back(step)) is not None:
            content, tables = answer
            self.tell({"type": "moment", "step": step, **content}, tables)
        self._poke()

    def _act(self, message: Mapping[str, Any]) -> None:
        """Pass a message to its section. Errors are shown on the page, and never reach the kernel."""
        self._sections.on_message(message, self._complain)

    # --- for subclasses --------------------------------------------------------------------------

    @abstractmethod
    def _message(self, fresh: bool, status: dict[str, Any]) -> Message:
        """Returns the content, with its "type", and the tables of the next message.

        Args:
            fresh: True for a snapshot, which replaces everything that the page has; otherwise only what is new.
            status: the status that is sent along.
        """
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop everything kept of the events. Also called once when the view is created."""

    def _take(self, events: Sequence[Any]) -> None:
        """Keep what the view shows of these events. Not needed if each message is read from the subject."""

    def _status(self, status: dict[str, Any]) -> dict[str, Any]:
        """Returns the status to send, from the one that was published."""
        return status

    @property
    def _news(self) -> bool:
        """True if there is something new besides status and sections."""
        return any(self._queued.values())

    @property
    def _more(self) -> bool:
        """True if something rate-limited will be sent soon, even without further events."""
        return self._sections.due

    def _look_back(self, step: int) -> Message | None:
        """Returns the message that shows an earlier step; None if the view cannot show one."""
        return None

    def _on_request(self, kind: str, message: Mapping[str, Any]) -> None:
        """Handle a message that only this view knows; it may be any JSON. "hello" and "ack" arrive here as well."""
