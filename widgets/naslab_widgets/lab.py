"""The live view of a search: play, pause and steer it, and see what it does.

`Lab(search)` as the last line of a cell shows the panel; `lab.run(20)` needs no panel: twenty steps, then back.
"""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from naslab.errors import NaslabError
from naslab.events import Changed, Event
from naslab.searchers import Trials
from naslab_widgets.figures.svg import Drawing
from naslab_widgets.later import Later
from naslab_widgets.live import LiveView
from naslab_widgets.publisher import Publisher
from naslab_widgets.runner import Runner, State
from naslab_widgets.trials_view import TrialsView, no_edges
from naslab_widgets.watch import Watch

_LABS: weakref.WeakKeyDictionary[Any, weakref.ref[Lab]] = weakref.WeakKeyDictionary()
"""Search -> its lab: a search has one driver at a time."""


class Lab:
    """Drives a `naslab.Search` in a worker thread, so that the kernel stays free, and shows it as it moves.

    Buttons and methods of one name do the same. Everything works without a front end, too.
    """

    def __init__(self, search: Any, *, hz: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            search: a `naslab.Search`; a lab made earlier for the same search is stopped.
            hz: frames a second, at most.
            clock: seconds; for tests.
        """
        if not hasattr(search, "knobs"):
            raise TypeError(f"Lab shows a naslab.Search, not {search!r:.80}; Lab.watch(path) follows a run folder")
        if not hz > 0:
            raise ValueError(f"hz must be positive, not {hz!r}")
        older = _LABS.get(search)
        if older is not None and (lab := older()) is not None:
            lab.stop()
            lab._runner.join()
        _LABS[search] = weakref.ref(self)
        self.search, self._clock = search, clock
        self._later: Later | None = None
        self._seen = 0
        self._last_seen: Event | None = None
        self._told: BaseException | None = None
        self._shown: State | None = None
        self._publisher = Publisher(self._publish, period=1 / hz)
        self._runner = Runner(search, observe=self._observe, rested=self._publisher.poke, clock=clock)
        looks: dict[str, Any] = {"poke": self._publisher.poke, "hz": hz, "clock": clock}
        if isinstance(trials := search.searcher, Trials):
            looks["benchmark"] = getattr(trials.estimator, "benchmark", None)
            looks["population"] = getattr(trials.proposer.hyperparameters, "population", None)
        self.view = (TrialsView if isinstance(trials, Trials) or no_edges(search.space) else LiveView)(
            search.space, **looks
        )
        self._buttons = {
            "play": _button("Play", "Go on to the end of the search", self.play),
            "pause": _button("Pause", "Stand still after the step under way", self.pause),
            "step": _button("Step", "Do exactly one step", self.step),
            "stop": _button("Stop", "End this lab; the search itself stays usable", self.stop),
        }
        self._values: dict[str, float] = {}
        self._sliders = {name: self._slider(name, knob) for name, knob in search.knobs.items()}
        strip = ipywidgets.HBox([*self._buttons.values(), *self._sliders.values()])
        self.panel = ipywidgets.VBox([strip.add_class("naslab-strip"), self.view]).add_class("naslab-lab")
        self._observe()
        self._show_state(self.state)

    @classmethod
    def watch(cls, path: str | Path, **options: Any) -> Watch:
        """Follow a run folder that another process is writing; the view, without the controls."""
        return Watch(path, **options)

    @staticmethod
    def stop_all() -> None:
        """Stop every lab there is, also those whose names and panels are gone."""
        for reference in list(_LABS.values()):
            if (lab := reference()) is not None:
                lab.stop()

    # --- driving ---------------------------------------------------------------------------------

    def play(self) -> None:
        """Go on to the end, or until `pause`. Returns at once."""
        self._runner.play()
        self._publisher.poke()

    def step(self, n: int = 1) -> None:
        """Do n more steps, then stand still. Returns at once; `wait` waits for them."""
        self._runner.step(n)
        self._publisher.poke()

    def pause(self) -> None:
        """Stand still once the step under way is done."""
        self._runner.pause()
        self._publisher.poke()

    def stop(self) -> None:
        """End this lab. The search can still be asked, forked, or given to a new lab."""
        self._runner.stop()
        self._publisher.poke()

    def wait(self, timeout: float | None = None) -> None:
        """Until the search stands still; raises the error that it stands still for, if there is one."""
        self._runner.wait(timeout)

    def run(self, steps: int | None = None) -> None:
        """Do this many steps, or all that remain, and come back when they are done."""
        if steps is None:
            self.play()
        else:
            self.step(steps)
        try:
            self.wait()
        except KeyboardInterrupt:
            self.pause()
            raise

    async def then(self, job: Callable[[], Any]) -> Later:
        """Do the job when the search has ended, or was stopped, and the jobs before it are done; `await lab.then(job)`
        as the last line of a cell.

        With somebody looking, the cell is done at once and its panel fills later, so that the kernel stays free.
        Without a front end the cell waits for the result.

        Args:
            job: a function, or a generator whose every value replaces the one before in the panel.
        """
        before = self._later

        def ready() -> None:
            self._runner.wait_for_the_end()
            if before is not None:
                before.join()

        later = self._later = Later(job, ready)
        patience = self._clock() + 10  # for a page that is still loading
        while not later.done and not self.view.listening:
            if not self._runner.busy and not self._runner.ended and self._clock() > patience:
                raise self._runner.error or RuntimeError(
                    f"the search stands still at step {self.search.step} of {self.search.total}: play() it first"
                )
            await asyncio.sleep(0.05)
        if later.done:
            later.result()
        return later

    def set(self, name: str, value: float) -> None:
        """Turn a knob: acts on the next step, and is then an event of the search."""
        self.search.set(name, value)

    def measure(self, name: str) -> None:
        """Ask for a figure that is too dear for every step; it appears in the log, and in `search.events`."""
        self._runner.call(lambda: self.search.measure(name))
        self._publisher.poke()

    @property
    def state(self) -> State:
        return self._runner.state

    # --- showing ---------------------------------------------------------------------------------

    def picture(self) -> Drawing:
        """A static SVG of the moment: the cells and the curves, or the best cell and the trials.

        `lab.picture().save("lab.svg")` keeps it.
        """
        return self.view.picture()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The live panel; where widgets do not render, the picture."""
        self._publisher.poke()
        bundle = self.panel._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": repr(self), "image/svg+xml": str(self.picture())}

    def __repr__(self) -> str:
        return f"<Lab: {self.state}, step {self.search.step:,} of {self.search.total:,}>"

    def _observe(self) -> None:
        """Hand new events to the view; in the worker, or before there is one."""
        events = self.search.events
        if self._seen and (self._seen > len(events) or events[self._seen - 1] is not self._last_seen):
            self.view.clear()  # the search has gone back
            self._seen = 0
        if news := events[self._seen :]:
            self.view.take(*news)
            self._seen, self._last_seen = self._seen + len(news), news[-1]
        for event in news:
            if isinstance(event, Changed) and event.name in self._sliders:
                self._values[event.name] = self._sliders[event.name].value = event.new
        error = self._runner.error
        if error is not None and error is not self._told:
            self._told = error
            self.view.note(self.search.step, _sentence(error), error=True)

    def _publish(self) -> bool:
        state = self.state
        if state != self._shown:
            self._show_state(state)
        error, rate = self._runner.error, self._runner.rate
        remaining = self.search.total - self.search.step
        more = self.view.publish(
            {
                "state": state,
                "step": self.search.step,
                "total": self.search.total,
                "rate": rate if state == "running" else 0.0,
                "left": remaining / rate if rate and state == "running" else None,
                "message": _sentence(error) if error else "",
            }
        )
        return more or self._runner.busy

    def _show_state(self, state: State) -> None:
        self._shown = state
        over = state in ("stopped", "finished")
        for name, disabled in {
            "play": over or state == "running",
            "pause": state != "running",
            "step": over or state == "running",
            "stop": state == "stopped",
        }.items():
            self._buttons[name].disabled = disabled
        for slider in self._sliders.values():
            slider.disabled = over

    def _slider(self, name: str, knob: Any) -> ipywidgets.Widget:
        looks: dict[str, Any] = {
            "description": name,
            "tooltip": knob.description,
            "continuous_update": False,
            "readout_format": ".2g",
        }
        if knob.log and knob.low > 0:
            ends = {"min": math.log10(knob.low), "max": math.log10(knob.high), "step": 0.02}
            slider = ipywidgets.FloatLogSlider(value=knob.value, base=10, **ends, **looks)
        else:
            step = (knob.high - knob.low) / 100
            slider = ipywidgets.FloatSlider(value=knob.value, min=knob.low, max=knob.high, step=step, **looks)

        def turned(change: Any) -> None:
            value = min(max(float(change["new"]), knob.low), knob.high)
            if not math.isclose(value, self._values[name]):  # else the slider follows the search, not the other way
                self._values[name] = value
                try:
                    self.set(name, value)
                except NaslabError as error:  # the search has ended, or another object drives it
                    self.view.note(self.search.step, _sentence(error), error=True)

        self._values[name] = knob.value
        slider.observe(turned, "value")
        return slider


def _button(label: str, tooltip: str, action: Callable[[], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=label, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button.add_class(f"naslab-{label.lower()}")


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
