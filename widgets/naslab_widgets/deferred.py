"""Jobs that start when a search ends and show their result in place, while the kernel stays free.

    await lab.on_finish(job)     # as the last line of a cell

If a page shows the lab, the cell returns at once; its panel fills in when the search has ended, and with each value
that the job yields. Without a front end (a test, a converted notebook) the cell waits for the result.

Each job has a thread of its own (`naslab-later`), which alone writes its state and value.
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
"""Seconds to wait for a page to load before a paused search counts as an error."""


class Deferred(Displayed):
    """A job, its state and its newest result.

    Args:
        job: called without arguments in a thread of its own. It may be a generator: each value that it yields replaces
            the previous one in the panel, and the last one is the result.
        ready: called in that thread first; returns when the job may start. It may be a generator that yields what it
            is waiting for.
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
        """Wait for the job; returns its (last) value or raises its error.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: the job is not done by then.
        """
        self.join(timeout)
        if not self.done:
            raise TimeoutError(f"not done after {timeout} s: {self._state}")
        if self._error is not None:
            raise self._error
        return self._value

    def join(self, timeout: float | None = None) -> None:
        """Wait for the job to end, successfully or not."""
        self._thread.join(timeout)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            if isinstance(waits := self._ready(), Iterator):
                for words in waits:
                    self._tell(f"waiting for {words}", None)
            self._tell("running", None)
            outcome = self._job()
            if isinstance(outcome, Iterator):
                for value in outcome:
                    self._tell("running", value)
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
        state = [] if self._state == "done" else [markup.element("p", f"{self._state} …", class_="naslab-later-state")]
        self.panel.value = markup.html_of(*state) + "".join(map(html_of, _parts(self._value)))
        self._changes += 1
        self._update_still(self.settled)

    @property
    def settled(self) -> bool:
        """True if the job is done or has failed."""
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
        return RestoreHint("This result was not finished: run its cell again, after the cells that it depends on.")

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
    """Returns the deferred job; without a page, only when it is done.

    Args:
        job: starts when the search of the runner has ended, and `before` as well.
        before: the previous job of the same search, if there is one.
        view: its `listening` tells whether a page is open.
        clock: seconds.

    Raises:
        RuntimeError: no page is open, and the search is paused, so that nobody would ever resume it.
    """

    def ready() -> Iterator[str]:
        yield "the search to end"
        runner.wait_for_the_end()
        if before is not None and not before.done:
            yield "the result above, which is still running"
            before.join()

    later = Deferred(job, ready)
    patience = clock() + PATIENCE
    while not later.done and not view.listening:
        if not runner.busy and not runner.ended and clock() > patience:
            raise runner.error or RuntimeError(f"the search is paused at {runner.progress}: call play() first")
        await asyncio.sleep(0.05)
    if later.done:
        later.result()
    return later


async def to_the_end(view: Any, runner: Any, clock: Callable[[], float]) -> None:
    """Wait until the search of a runner has ended or was stopped; through pauses, too, if a page is open to end them.

    Raises:
        RuntimeError: the search is paused and no page is open. If an error paused it, that error is raised.
    """
    patience = clock() + PATIENCE
    while not runner.ended:
        if not runner.busy:
            if runner.error is not None:
                raise runner.error
            if not view.listening and clock() > patience:
                raise RuntimeError(f"the search is paused at {runner.progress}: call play() first")
        await asyncio.sleep(0.05)


def _parts(value: Any) -> tuple[Any, ...]:
    """Returns the parts of a result, top to bottom: a tuple counts as several results."""
    return value if isinstance(value, tuple) else () if value is None else (value,)
