"""Paths are read in one way wherever one is taken, and a place is tried before anything is computed."""

import os
import sys
from pathlib import Path

import pytest

import naslab as nl
from naslab.errors import NaslabError, RunError, RunPaused, SpecError
from naslab.paths import check_writable, path_of
from naslab.trainers.loop import TrainingLoop
from naslab_widgets import Compare, Lab, draw

FIT = sys.modules["naslab.trainers.fit"]  # the function of this name hides the module
SPACE = nl.spaces.NASBench201(channels=4, cells=1)
TABLE = nl.benchmarks.NASBench201("cifar10")
NO_PATHS = (None, 5, b"a", "", "  ", "~nobody-is-called-so/a", "a\0b", ["a"], "\ud800")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, and a working directory beside it in which no folder named `~` is to be made."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    yield home
    assert not (here / "~").exists()


@pytest.fixture(scope="module")
def task():
    return nl.tasks.Digits().subset(64, 20)


def train(task, checkpoint, **changes):
    options = {"epochs": 1, "batch_size": 32, "progress": False, **changes}
    return nl.trainers.fit(SPACE.build(SPACE.at(5), task), task, checkpoint=checkpoint, **options)


def takers(task):
    """Whatever takes a path, by name."""
    return {
        "fit": lambda path: train(task, path),
        "compare": lambda path: nl.trainers.compare({"a": [SPACE.at(5)]}, SPACE, task, checkpoint=path, progress=False),
        "Search": lambda path: nl.Search(nl.searchers.RandomSearch(SPACE), estimator=len, budget=1, run=path),
        "Search.open": nl.Search.open,
        "Race": lambda path: nl.Race({"a": nl.searchers.RandomSearch}, TABLE, budget=1, run=path),
        "Race.open": nl.Race.open,
        "fresh": nl.runs.fresh,
        "read": nl.runs.read,
        "found": lambda path: nl.runs.found([path]),
        "from_csv": lambda path: nl.benchmarks.from_csv(path, SPACE, "accuracy"),
        "NASBench101": nl.benchmarks.NASBench101,
        "HWNASBench": nl.benchmarks.HWNASBench,
        "NATSBench": nl.benchmarks.NATSBench,
        "CIFAR10": nl.tasks.CIFAR10,
        "FashionMNIST": lambda path: nl.tasks.FashionMNIST(root=path),
        "from_folder": nl.tasks.Images.from_folder,
        "save": draw(SPACE.at(5), SPACE).save,
        "Lab.watch": Lab.watch,
        "Compare.watch": lambda path: Compare.watch([path, "runs/a"]),
    }


OPTIONAL = ("fit", "compare", "Search", "Race", "FashionMNIST")
"""Those that take None for no path."""


def test_what_is_no_path_is_said_in_a_sentence_everywhere(task, home):
    for name, take in takers(task).items():
        for given in NO_PATHS:
            if given is None and name in OPTIONAL:
                continue
            with pytest.raises(NaslabError):
                take(given)
    assert not os.listdir(Path.cwd())


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """A place in which this process may not even ask what is there: `/secret`, wherever it is looked for."""
    real, place = (
        {name: getattr(os, name) for name in ("stat", "lstat", "scandir", "listdir", "open", "mkdir")},
        tmp_path,
    )
    for name, call in real.items():

        def refuse(path, *given, call=call, **options):
            if isinstance(path, str | Path) and str(path).startswith(str(place / "secret")):
                raise PermissionError(13, "Permission denied", str(path))
            return call(path, *given, **options)

        monkeypatch.setattr(os, name, refuse)
    return place / "secret"


@pytest.mark.slow
def test_a_place_that_cannot_be_looked_at_is_said_in_a_sentence_everywhere(task, home, tmp_path, refused):
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    for place in (refused / "in", tmp_path / "ring" / "x", tmp_path / ("x" * 300), "/" + "a/" * 3000):
        for name, take in takers(task).items():
            if name == "fresh":
                continue
            with pytest.raises(NaslabError):
                take(f"{place}.svg" if name == "save" else place)
    assert sorted(os.listdir(tmp_path)) == ["here", "home", "ring"]


def test_the_home_folder_is_meant_by_a_tilde(task, home):
    train(task, "~/new/a.snapshot")
    nl.trainers.compare(
        {"a": [SPACE.at(5)]}, SPACE, task, epochs=1, batch_size=32, seeds=[0], checkpoint=Path("~/cmp"), progress=False
    )
    assert draw(SPACE.at(5), SPACE).save("~/pictures/x.svg") == home / "pictures" / "x.svg"
    assert (home / "new" / "a.snapshot").is_file()
    assert len(list((home / "cmp").iterdir())) == 1
    (home / "t.csv").write_text(f'architecture,accuracy\n"{SPACE.format(SPACE.at(5))}",0.5\n')
    table = nl.benchmarks.from_csv("~/t.csv", SPACE, "accuracy")
    assert table.spec()["path"] == str(home / "t.csv")
    search = nl.Search(nl.searchers.RandomSearch(SPACE), estimator=lambda a: 1.0, budget=1, run="~/runs/a")
    next(search)
    search.close()
    watch = Lab.watch("~/runs/a")
    assert watch.path == home / "runs" / "a"
    watch.stop()


def test_path_of_reads_a_path():
    class Own:
        def __fspath__(self):
            return "~/a"

    assert path_of("it", Own()) == Path.home() / "a"
    assert path_of("it", "a/~/b") == Path("a/~/b")
    for given in NO_PATHS:
        with pytest.raises(RunError, match="it"):
            path_of("it", given, error=RunError)


def test_a_checkpoint_that_cannot_be_written_is_found_before_the_first_epoch(task, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(TrainingLoop, "advance", lambda self: pytest.fail("an epoch was trained"))
    for checkpoint in ("/proc/nowhere/a.snapshot", tmp_path / "file" / "a.snapshot", tmp_path):
        with pytest.raises(RunError, match="the checkpoint") as caught:
            train(task, checkpoint)
        assert "before it" not in str(caught.value)
    check_writable("it", tmp_path / "new" / "a.snapshot")
    assert os.listdir(tmp_path / "new") == []


def test_a_disk_that_fills_later_tells_whether_there_is_a_checkpoint(task, tmp_path, monkeypatch):
    import naslab.snapshot

    write, written = naslab.snapshot.write, []

    def full(path, state):
        if len(written) == full.room:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, state)

    monkeypatch.setattr(naslab.snapshot, "write", full)
    full.room = 0
    with pytest.raises(RunPaused, match="there is none yet"):
        train(task, tmp_path / "a.snapshot")
    full.room = 1
    with pytest.raises(RunPaused, match="the one before it is still there"):
        train(task, tmp_path / "a.snapshot", epochs=2)


def test_a_finished_training_is_read_where_nothing_can_be_written(task, tmp_path, monkeypatch):
    first = train(task, tmp_path / "a.snapshot")
    monkeypatch.setattr(FIT, "check_writable", lambda *_: pytest.fail("it is finished"))
    assert train(task, tmp_path / "a.snapshot").history == first.history


@pytest.mark.parametrize("name", ["x.png", "x.pdf", "x.html", "x", "svg", ".svg", "x.svg.png"])
def test_a_drawing_is_saved_as_svg_or_not_at_all(name, tmp_path):
    with pytest.raises(SpecError, match=r"\.svg"):
        draw(SPACE.at(5), SPACE).save(tmp_path / name)
    assert not os.listdir(tmp_path)


def test_a_drawing_makes_the_folders_above_it(tmp_path):
    drawing = draw(SPACE.at(5), SPACE)
    assert drawing.save(tmp_path / "new" / "x.SVG").read_text(encoding="utf-8") == str(drawing)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        drawing.save(tmp_path / "file" / "x.svg")


@pytest.mark.parametrize(
    "change", [{"epochs": 2}, {"epochs": 2, "schedule_epochs": 2}, {"epochs": 2, "schedule": "constant"}]
)
def test_a_training_that_is_to_go_on_is_told_how_it_could_have(change, task, tmp_path):
    train(task, tmp_path / "a.snapshot")
    with pytest.raises(RunError, match=r"schedule_epochs=2 in both calls, or by schedule='constant'"):
        train(task, tmp_path / "a.snapshot", **change)
    train(task, tmp_path / "b.snapshot", schedule_epochs=2)
    assert len(train(task, tmp_path / "b.snapshot", schedule_epochs=2, epochs=2).history) == 2
