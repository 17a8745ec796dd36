import threading

from naslab_widgets.pulse import GRACE, Pulse


class Time:
    """A clock that `wait` turns, and work that may be done meanwhile."""

    def __init__(self, held=(), working=True):
        self.now = self.worked = 0.0
        self._held, self._working = list(held), working
        self.beats = 0
        self.after = {}

    def wait(self, seconds):
        late = self._held.pop(0) if self._held else 0.0
        self.now += seconds + late
        self.worked += late if self._working else 0.0
        self.beats += 1
        self.after.get(self.beats, lambda: None)()

    def pulse(self):
        return Pulse(lambda: self.now, lambda: self.worked, self.wait)


class Listener:
    def __init__(self):
        self.told = []

    def tell(self, message):
        self.told.append(message)


def ended(pulse):
    if (thread := pulse._thread) is not None:
        thread.join(10)
    assert pulse._thread is None


def test_beats_once_a_second_while_a_page_is_there_and_then_the_thread_ends():
    time, page = Time(), Listener()
    pulse = time.pulse()
    pulse.heard(page)
    ended(pulse)
    assert len(page.told) == GRACE
    assert page.told[0] == {"type": "beat", "held": 0.0}
    assert not pulse.reaches(page)
    before = threading.active_count()
    pulse.heard(page)
    ended(pulse)
    assert len(page.told) == 2 * GRACE
    assert threading.active_count() <= before


def test_goes_on_while_a_cell_runs_since_nothing_can_be_heard_then():
    class Events:
        def __init__(self):
            self.calls = {}

        def register(self, name, call):
            self.calls[name] = call

    class Shell:
        events = Events()

    time, page = Time(), Listener()
    pulse = time.pulse()
    pulse.follow_cells(Shell)
    time.after[500] = Shell.events.calls["post_run_cell"]
    pulse.heard(page)
    ended(pulse)
    assert len(page.told) == 500 + GRACE


def test_an_operation_that_holds_the_interpreter_is_told_and_a_stopped_process_is_not():
    time, page = Time(held=[0.0, 9.0, 2.0]), Listener()
    pulse = time.pulse()
    pulse.heard(page)
    ended(pulse)
    assert [message["held"] for message in page.told[:5]] == [0.0, 0.0, 9.0, 9.0, 9.0]
    time, page = Time(held=[0.0, 20.0], working=False), Listener()
    pulse = time.pulse()
    pulse.heard(page)
    ended(pulse)
    assert {message["held"] for message in page.told} == {0.0}


def test_a_page_that_without_fidelities_is_forgotten():
    class Closed(Listener):
        def tell(self, message):
            raise OSError("closed")

    time, page = Time(), Listener()
    pulse = time.pulse()
    time.after[3] = lambda: pulse.heard(Closed())
    pulse.heard(page)
    ended(pulse)
    assert len(page.told) == GRACE
