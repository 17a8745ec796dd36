import threading

from naslab_widgets.publisher import Publisher


def alive():
    return [thread for thread in threading.enumerate() if thread.name == "naslab-publisher"]


def test_a_thread_exists_only_while_there_is_more_to_tell():
    calls = []

    def publish():
        calls.append(len(calls))
        return len(calls) < 4

    others = alive()  # of tests before this one
    publisher = Publisher(publish, period=0.001)
    assert set(alive()) <= set(others)
    publisher.poke()
    publisher.join(5)
    assert len(calls) >= 4
    assert set(alive()) <= set(others)


def test_a_poke_during_the_last_word_is_heard():
    first, again = threading.Event(), threading.Event()
    calls = []

    def publish():
        calls.append(1)
        first.set()
        again.wait(5)
        return False

    publisher = Publisher(publish, period=0.001)
    publisher.poke()
    first.wait(5)
    publisher.poke()
    again.set()
    publisher.join(5)
    assert len(calls) == 2


def test_an_error_does_not_silence_it_for_good(monkeypatch):
    calls, told = [], threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: told.set())

    def publish():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the wire is cut")
        return False

    publisher = Publisher(publish, period=0.001)
    publisher.poke()
    assert told.wait(5)
    publisher.poke()
    publisher.join(5)
    assert len(calls) == 2
