"""Work that waits for a search to end, shown in place, while the kernel stays free.

    await lab.on_finish(job)     # as the last line of a cell

With somebody looking, the cell is done at once and its panel fills when the search has ended and as the job goes
on. Without a front end (a test, a converted notebook) the cell waits and shows the result.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import ipywidgets

from naslab import markup
from naslab_widgets.display import Displayed, RestoreHint, html_of, text_of

PATIENCE = 10
"""Seconds that a page may take to load."""


class Deferred(Displayed):
    """A job, its state and its newest result.

    Args:
        job: called without arguments in a thread of its own. It may be a generator: each value it yields replaces
            the one before in the panel, and the last one is the result.
        ready: called in that thread first; returns when the job may begin. It may be a generator, which says what it
            waits for.
    """

    def __init__(self, job: Callable[[], Any], ready: Callable[[], object]) -> None:
        self._job, self._ready = job, ready
        self._changes = 0
        self._value: Any = None
        self._error: BaseException | None = None
        self._state = "waiting for the search to end"
        self.panel = ipywidgets.HTML().add_class("naslab-later")
        self._show()
        self._thread = threading.Thread(target=self._work, daemon=True, name="naslab-later")
        self._thread.start()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job, and give its (last) value or raise its error."""
        self.join(timeout)
        if not self.done:
            raise TimeoutError(f"not done after {timeout} s: {self._state}")
        if self._error is not None:
            raise self._error
        return self._value

    def join(self, timeout: float | None = None) -> None:
        """Wait for the job, whatever comes of it."""
        self._thread.join(timeout)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            if isinstance(waits := self._ready(), Iterator):
                for words in waits:
                    self._tell(f"waiting for {words}", None)
            self._tell("at work", None)
            outcome = self._job()
            if isinstance(outcome, Iterator):
                for value in outcome:
                    self._tell("at work", value)
            else:
                self._value = outcome
            self._tell("done", self._value)
        except BaseException as error:
            self._error = error
            self._tell(f"{type(error).__name__}: {error}", self._value)

    def _tell(self, state: str, value: Any) -> None:
        self._state, self._value = state, value
        self._show()

    def _show(self) -> None:
        told = [] if self._state == "done" else [markup.element("p", f"{self._state} …", class_="naslab-later-state")]
        self.panel.value = markup.html_of(*told) + "".join(map(html_of, _parts(self._value)))
        self._changes += 1
        self._update_still(self.settled)

    @property
    def settled(self) -> bool:
        """Whether nothing more will come."""
        return self._state == "done" or self._error is not None

    def _still_key(self) -> Hashable:
        return self._changes

    def _still(self) -> tuple[Any, ...]:
        state = [] if self._state == "done" else [f"{self._state} …"]
        return (*state, *_parts(self._value))

    def _about(self) -> str:
        return ""

    def _restore_hint(self) -> RestoreHint:
        if self.settled:
            return RestoreHint("")
        return RestoreHint("This result was still to come: run its cell again, after those that it needs.")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(self.panel._repr_mimebundle_(**kwargs) or {})
        pictures = [part for part in _parts(self._value) if hasattr(part, "_repr_svg_")]
        if pictures:
            bundle["image/svg+xml"] = pictures[0]._repr_svg_()
        return {**bundle, "text/plain": repr(self)}

    def __repr__(self) -> str:
        if self._state != "done":
            return markup.printable(f"<Deferred: {self._state}>")
        return "\n".join(text_of(part) for part in _parts(self._value))


async def after(
    job: Callable[[], Any], before: Deferred | None, view: Any, runner: Any, clock: Callable[[], float]
) -> Deferred:
    """The job, to be done when what a runner drives has ended; with nobody looking, when it is done.

    Args:
        before: a job that is to be done first.
        view: what somebody may look at; says so by `listening`.
    """

    def ready() -> Iterator[str]:
        yield "the search to end"
        runner.wait_for_the_end()
        if before is not None and not before.done:
            yield "the result above it, which is still at work"
            before.join()

    later = Deferred(job, ready)
    patience = clock() + PATIENCE
    while not later.done and not view.listening:
        if not runner.busy and not runner.ended and clock() > patience:
            raise runner.error or RuntimeError(f"it stands still at {runner.standing}: play() it first")
        await asyncio.sleep(0.05)
    if later.done:
        later.result()
    return later


async def to_the_end(view: Any, runner: Any, clock: Callable[[], float]) -> None:
    """Until what a runner drives has ended or was stopped, through pauses, while somebody looks who can end them.

    Raises the error that it stands still for.
    """
    patience = clock() + PATIENCE
    while not runner.ended:
        if not runner.busy:
            if runner.error is not None:
                raise runner.error
            if not view.listening and clock() > patience:
                raise RuntimeError(f"it stands still at {runner.standing}: play() it first")
        await asyncio.sleep(0.05)


def _parts(value: Any) -> tuple[Any, ...]:
    """What a job gave, one below the other: a tuple is several things."""
    return value if isinstance(value, tuple) else () if value is None else (value,)
