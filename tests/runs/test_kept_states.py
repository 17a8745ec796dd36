"""States that are kept beside the events: given back bit for bit or not at all, wherever the run goes."""

import pytest
import torch

import naslab as nl
from naslab.blobs import Blobs
from naslab.errors import RunError, RunPaused, SnapshotDamaged, SpecError
from naslab.events import Saved
from naslab.searchers import RandomSearch

STATE = {"weight": torch.arange(6, dtype=torch.float64).reshape(2, 3), "steps": 3, "name": "naïve", "rate": 0.1}
OTHER = {"weight": torch.zeros(2), "steps": 4}


@pytest.fixture
def begin(table):
    def begin(run=None, searcher=RandomSearch):
        return nl.Search(searcher(table.space, seed=1), run, estimator=table, budget=6)

    return begin


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == other[name].dtype
            assert torch.equal(value, other[name])
        else:
            assert value == other[name]
    return True


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_a_state_comes_back_by_its_name_and_by_its_checksum(begin, tmp_path, where):
    search = begin(tmp_path / "run" if where == "folder" else None)
    next(search)
    first = search.keep("archive", STATE)
    next(search)
    second = search.keep("archive", OTHER)
    assert same(search.kept("archive"), OTHER)
    assert same(search.kept(first), STATE)
    assert search.events[1] == Saved(step=1, name="archive", digest=first)
    assert search.keep("again", STATE) == first != second
    search.kept("archive")["weight"].fill_(7)
    assert same(search.kept("archive"), OTHER)
    search.rewind(1)
    assert same(search.kept("archive"), STATE)
    with pytest.raises(RunError, match="unknown name of a kept state 'again'"):
        search.kept("again")
    assert [event.step for event in search if event.kind == "evaluated"] == [2, 3, 4, 5, 6]


def test_it_is_there_when_the_run_is_opened_and_looked_at(begin, tmp_path):
    search = begin(tmp_path / "run")
    digest = search.keep("archive", STATE)
    list(search)
    search.close()
    assert [path.name for path in (tmp_path / "run" / "blobs").iterdir()] == [f"{digest}.snapshot"]
    assert same(nl.runs.read(tmp_path / "run").kept("archive"), STATE)
    with nl.Search.open(tmp_path / "run") as again:
        assert same(again.kept("archive"), STATE)
        assert same(again.kept(digest), STATE)


@pytest.mark.parametrize("source", ["memory", "folder"])
@pytest.mark.parametrize("target", ["memory", "folder"])
def test_a_fork_takes_it_along(begin, tmp_path, source, target):
    search = begin(tmp_path / "run" if source == "folder" else None)
    next(search)
    digest = search.keep("archive", STATE)
    next(search)
    fork = search.fork(tmp_path / "fork" if target == "folder" else None, step=1)
    search.close()
    assert same(fork.kept("archive"), STATE)
    fork.close()
    if target == "folder":
        assert same(nl.Search.open(tmp_path / "fork").kept(digest), STATE)


def test_what_is_damaged_or_gone_is_told(begin, tmp_path):
    search = begin(tmp_path / "run")
    digest, other = search.keep("archive", STATE), search.keep("other", OTHER)
    file, second = (tmp_path / "run" / "blobs" / f"{each}.snapshot" for each in (digest, other))
    file.write_bytes(second.read_bytes())
    with pytest.raises(SnapshotDamaged, match="another state than its name says"):
        search.kept("archive")
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(SnapshotDamaged, match="checksum"):
        search.kept("archive")
    fork = search.fork(tmp_path / "fork")
    assert same(fork.kept("other"), OTHER)
    with pytest.raises(RunError, match="no state with the checksum"):
        fork.kept("archive")
    assert search.keep("archive", STATE) == digest
    assert same(search.kept("archive"), STATE)
    file.unlink()
    with pytest.raises(RunError, match="no state with the checksum"):
        search.kept("archive")


def test_no_other_file_is_read_and_no_link_followed(begin, tmp_path):
    search = begin(tmp_path / "run")
    digest = search.keep("archive", STATE)
    blobs = Blobs(tmp_path / "run" / "blobs")
    for name in ("../snapshots/step-00000000", "", "a" * 63, 7):
        with pytest.raises(RunError, match="no state with the checksum"):
            blobs.get(name)
    search.close()
    (tmp_path / "run" / "blobs").rename(tmp_path / "elsewhere")
    (tmp_path / "run" / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="a folder is expected"):
        nl.Search.open(tmp_path / "run")
    assert (tmp_path / "elsewhere" / f"{digest}.snapshot").exists()


@pytest.mark.parametrize("name", ["", 3, "a" * 64])
def test_names_that_are_none(begin, name):
    with pytest.raises(SpecError, match="a text, and no checksum"):
        begin().keep(name, STATE)


def test_a_state_of_something_else(begin, tmp_path):
    search = begin(tmp_path / "run")
    with pytest.raises(SpecError, match="tensors, numbers and strings"):
        search.keep("archive", {"list": [1]})
    assert list(search.events) == []
    next(search)


def test_a_full_disk_pauses(begin, tmp_path, monkeypatch):
    search = begin(tmp_path / "run")
    next(search)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(nl.snapshot, "write_bytes", full)
        with pytest.raises(RunPaused, match="the state 'archive' could not be written"):
            search.keep("archive", STATE)
    assert [event.kind for event in search.events] == ["evaluated"]
    search.keep("archive", STATE)
    assert same(search.kept("archive"), STATE)


class Hoarder(RandomSearch):
    """Keeps what it has seen after every other proposal, and says so in the origin of the next."""

    name = "hoarder"

    def begin(self):
        super().begin()
        self._last = "random"

    def propose(self):
        suggestion = super().propose()
        if self.asked % 2:
            self._last = self.keep({"asked": self.asked, "seen": torch.full((2,), float(self.asked))})
        return suggestion._replace(origin=self._last)

    def algorithm_state(self):
        return [super().algorithm_state(), self._last]

    def load_algorithm_state(self, state):
        super().load_algorithm_state(state[0])
        self._last = state[1]


def test_a_searcher_keeps_states_that_its_events_refer_to(begin, tmp_path):
    search = begin(tmp_path / "run", Hoarder)
    list(search)
    refered = {event.origin for event in search.events} - {"random"}
    assert sorted(refered) == sorted(path.stem for path in (tmp_path / "run" / "blobs").iterdir())
    assert {int(search.kept(digest)["asked"]) for digest in refered} == {1, 3, 5}
    search.close()
    again = nl.Search.open(tmp_path / "run")
    again.rewind(2)
    assert list(again) == list(search.events)[2:]
    memory = begin(None, Hoarder)
    assert list(memory) == list(search.events)
    assert all(same(memory.kept(digest), again.kept(digest)) for digest in refered)
    sampler = Hoarder(again.space, seed=1)
    sampler.ask(), sampler.ask()
    assert same(sampler.kept(sampler._last), again.kept(sampler._last))
