"""The run folder: opening, damage, other versions, other processes, full disks."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from recordings import newest, said, steps

import naslab as nl
from naslab import snapshot
from naslab.errors import RunError, RunPaused
from naslab.runs import places, processes
from naslab.runs.store import OLDER_KEPT, kept

# --- opening ---------------------------------------------------------------------------------------


def test_opened_it_goes_on_bit_for_bit(run, calm, state_of):
    search = nl.Search.open(run)
    assert search.step == 9
    assert search.run == run
    list(search)
    assert (state_of(search), steps(search)) == calm


def test_closed_it_opens_without_doing_anything_again(small, tmp_path, state_of):
    with nl.Search(small(), run=tmp_path / "run") as search:
        for _ in range(7):
            next(search)
    assert (tmp_path / "run" / "snapshots" / "step-00000007.snapshot").exists()
    assert not (tmp_path / "run" / "driver.json").exists()
    again = nl.Search.open(tmp_path / "run")
    assert list(again.events) == list(search.events)
    assert state_of(again) == state_of(search)


def test_steps_done_again_are_said(run):
    for name in ("step-00000009", "step-00000006"):
        (run / "snapshots" / f"{name}.snapshot").unlink()
    assert said(nl.Search.open(run)) == ["broken off at step 9; 6 steps done again"]


def test_without_any_snapshot_the_spec_is_enough(run, calm, state_of):
    shutil.rmtree(run / "snapshots")
    search = nl.Search.open(run)
    list(search)
    assert (state_of(search), steps(search)) == calm


def test_there_is_a_run_already(run, small):
    with pytest.raises(RunError, match=r"Search.open\(.*nl.runs.fresh"):
        nl.Search(small(), run=run)
    (run.parent / "other").mkdir()
    (run.parent / "other" / "thesis.tex").touch()
    with pytest.raises(RunError, match="in use for something else"):
        nl.Search(small(), run=run.parent / "other")
    assert (run.parent / "other" / "thesis.tex").exists()


def test_there_is_no_run(run):
    with pytest.raises(RunError, match=r"there is no run at .*; runs beside it: .*run"):
        nl.Search.open(run.parent / "rum")


def test_fresh_takes_the_first_free_number(tmp_path):
    assert nl.runs.fresh(tmp_path / "darts") == tmp_path / "darts-1"
    (tmp_path / "darts-1").mkdir()
    (tmp_path / "darts-2").touch()
    assert nl.runs.fresh(tmp_path / "darts") == tmp_path / "darts-3"


def test_other_data_is_refused(run, small, digits):
    with pytest.raises(RunError, match="the data is not the data of the run"):
        nl.Search.open(run, task=digits.subset(train=500))


def test_nothing_is_left_of_a_run_that_could_not_be_made(small, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"no run could be made .*No space left.* MB are free"):
        nl.Search(small(), run=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_creation_left_is_swept(small, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f".run.{dead.pid}.new").mkdir()
    (tmp_path / f".run.{os.getppid()}.new").mkdir()  # somebody else, at work
    nl.Search(small(), run=tmp_path / "run").close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".run.{os.getppid()}.new", "run"]


def test_the_log_beside_an_emptied_file_is_left(run):
    """SQLite would remove it, and the last steps with it."""
    (run / "events.sqlite").write_bytes(b"")
    (run / "events.sqlite-wal").write_bytes(b"what is left")
    for use in (lambda: nl.Search.open(run), lambda: nl.runs.read(run).events()):
        with pytest.raises(RunError, match="the file is empty"):
            use()
    assert (run / "events.sqlite-wal").read_bytes() == b"what is left"


# --- where it is -----------------------------------------------------------------------------------


def test_another_working_directory_changes_nothing(small, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    search = nl.Search(small(total=12), run="run", snapshot_every=2)
    reader = nl.runs.read("run")
    next(search)
    monkeypatch.chdir(tmp_path / "elsewhere")
    list(search)
    assert search.run == tmp_path / "run"
    assert len(reader.events()) == 12
    fork = search.fork("fork", step=3)
    monkeypatch.chdir(tmp_path)
    next(fork)
    fork.close()
    search.close()
    assert nl.Search.open(search.run).step == 12
    assert nl.Search.open("elsewhere/fork").step == 4
    assert nl.runs.read(fork.run).parent["path"] == str(tmp_path / "run")


def test_the_home_folder(small, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    search = nl.Search(small(), run="~/run-1")
    assert search.run == tmp_path / "home" / "run-1"
    assert nl.runs.fresh("~/run") == tmp_path / "home" / "run-2"
    search.fork("~/fork").close()
    search.close()
    fork = nl.Search.open("~/fork")
    assert fork.run == tmp_path / "home" / "fork"
    assert nl.runs.read("~/fork").closed is False
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_run_inside_a_run_is_refused(small, tmp_path):
    search = nl.Search(small(), run=tmp_path / "run")
    next(search)
    for inside in (tmp_path / "run", tmp_path / "run" / "fork", tmp_path / "x" / ".." / "run" / "fork"):
        with pytest.raises(RunError, match="inside the run that is forked; take a folder outside"):
            search.fork(inside)
    with pytest.raises(RunError, match=r"inside the run at .*; take a folder outside it"):
        nl.Search(small(), run=tmp_path / "run" / "deep" / "other")
    assert not (tmp_path / "run" / "deep").exists()
    assert next(search).step == 2


# --- who drives ------------------------------------------------------------------------------------


def test_a_newer_search_of_the_process_takes_over(small, tmp_path):
    older = nl.Search(small(), run=tmp_path / "run")
    next(older)
    newer = nl.Search.open(tmp_path / "run")
    with pytest.raises(RunError, match="a newer Search of this process has taken over"):
        next(older)
    assert next(newer).step == 2
    older.close()
    del older
    assert next(newer).step == 3
    assert not nl.runs.read(tmp_path / "run").closed


def test_a_search_that_is_forgotten_lets_go(small, tmp_path):
    search = nl.Search(small(), run=tmp_path / "run")
    next(search)
    del search
    assert processes.driver(tmp_path / "run") is None
    assert nl.Search.open(tmp_path / "run").step == 1


def test_a_folder_that_was_removed_is_noticed(small, tmp_path):
    older = nl.Search(small(), run=tmp_path / "run")
    next(older)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(RunPaused, match="No such file"):
        next(older)
    newer = nl.Search(small(), run=tmp_path / "run")
    with pytest.raises(RunError, match="its folder was removed"):
        next(older)
    assert next(newer).step == 1


@pytest.mark.parametrize("damage", ["removed", "replaced"])
def test_a_run_whose_folder_is_gone_is_saved_by_a_fork(small, tmp_path, calm, state_of, damage):
    search = nl.Search(small(total=12), run=tmp_path / "run", snapshot_every=3)
    for step in range(7):
        if step == 4:
            search.set("w_lr", 0.3)
        next(search)
    os.rename(tmp_path / "run", tmp_path / "away")
    if damage == "replaced":
        shutil.copytree(tmp_path / "away", tmp_path / "run")
    said = "the folder is gone" if damage == "removed" else "replaced by another file"
    for _ in range(2):
        with pytest.raises(RunPaused, match=rf"step 8 could not be written to .*{said}.*put it back.*search.fork\(new"):
            next(search)
    fork, early = search.fork(tmp_path / "fork"), search.fork(tmp_path / "early", step=5)
    assert (fork.step, early.step, search.step) == (8, 5, 7)
    for saved in (fork, early):
        list(saved)
        assert (state_of(saved), steps(saved)) == calm
        saved.close()
        again = nl.Search.open(saved.run)
        assert (state_of(again), steps(again)) == calm
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    os.rename(tmp_path / "away", tmp_path / "run")
    list(search)
    assert (state_of(search), steps(search)) == calm


@pytest.mark.slow
def test_two_processes(harness, tmp_path):
    found = harness("two_processes", folder=tmp_path)
    assert f"is being driven by process {found['pid']} on " in found["refused"]
    assert "Lab.watch(" in found["refused"]
    assert (found["closed"], found["seen"]) == (False, 1)
    assert (found["dead"], found["step"]) == (True, 1)


@pytest.mark.slow
def test_a_forked_child_does_not_drive(harness, tmp_path):
    found = harness("forked_use", folder=tmp_path)
    assert "a forked process cannot drive it" in found["said"][0]
    assert "is being driven by process" in found["said"][1]
    assert found["step"] == 2


@pytest.mark.parametrize(
    ("mount", "place", "kind"),
    [("/home/me", "/home/me/runs", "nfs4"), ("/home/me", "/home/meg", "ext4"), ("/a b", "/a b/c", "fuse.sshfs")],
)
def test_file_systems_are_told_apart(tmp_path, mount, place, kind):
    mounts = tmp_path / "mounts"
    source = "nfs4" if mount == "/home/me" else "fuse.sshfs"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nhost:/x {mount.replace(' ', chr(92) + '040')} {source} rw 0 0\n")
    assert places.file_system(Path(place), mounts) == kind


def test_on_a_network_file_system_it_warns_and_works(small, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "file_system", lambda path: "nfs4")
    with pytest.warns(UserWarning, match="network file system"):
        search = nl.Search(small(), run=tmp_path / "run")
    next(search)
    assert not (tmp_path / "run" / "events.sqlite-wal").exists()
    assert len(nl.runs.read(tmp_path / "run").events()) == 1


# --- snapshots -------------------------------------------------------------------------------------


def test_old_snapshots_thin_out():
    standing: set[int] = set()
    for step in range(0, 5001, 50):
        standing = kept({*standing, step}, 50)
        assert {0, step, max(step - 50, 0)} <= standing
        assert len(standing) <= OLDER_KEPT + 3
    ordered = sorted(standing)
    assert max(later - earlier for earlier, later in itertools.pairwise(ordered)) <= 5000 / 6


def test_thinning_on_disk(small, tmp_path, state_of):
    search = nl.Search(small(total=40), run=tmp_path / "run", snapshot_every=1)
    moments = {event.step: state_of(search) for event in search}
    assert len(list((tmp_path / "run" / "snapshots").iterdir())) <= OLDER_KEPT + 3
    search.rewind(23)
    assert state_of(search) == moments[23]
    assert all(int(path.stem[5:]) <= 23 for path in (tmp_path / "run" / "snapshots").iterdir())


# --- full disks ------------------------------------------------------------------------------------


def test_a_snapshot_that_does_not_fit_pauses_the_run(small, tmp_path, monkeypatch, calm, state_of):
    search = nl.Search(small(total=12), run=tmp_path / "run", snapshot_every=6)
    for step in range(5):
        if step == 4:
            search.set("w_lr", 0.3)
        next(search)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for _ in range(2):
        with pytest.raises(RunPaused, match=r"step 6 could not be written to .*No space left"):
            next(search)
    monkeypatch.undo()
    assert list((tmp_path / "run" / "snapshots").iterdir()) == [
        tmp_path / "run" / "snapshots" / "step-00000000.snapshot"
    ]
    assert next(search).step == 6
    assert newest(tmp_path / "run").name == "step-00000006.snapshot"
    list(search)
    assert (state_of(search), steps(search)) == calm


@pytest.mark.slow
def test_files_that_may_not_grow(harness, tmp_path):
    assert harness("file_size_limit", folder=tmp_path) == {"paused": [3, 20, 41, 76], "same": True}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a tmpfs needs root")
@pytest.mark.parametrize("full_at", [1, 3, 5, 6])
def test_a_full_disk_pauses_the_run(small, tmp_path, calm, state_of, full_at):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this root may not mount; test_files_that_may_not_grow covers it")
    try:
        search = nl.Search(small(total=12), run=disk / "run", snapshot_every=3)
        for step in range(full_at):
            if step == 4:
                search.set("w_lr", 0.3)
            next(search)
        if full_at == 4:
            search.set("w_lr", 0.3)
        before = {path.name: path.read_bytes() for path in (disk / "run" / "snapshots").iterdir()}
        fill(disk / "filler")
        reached = None
        with pytest.raises(RunPaused, match=r"could not be written to .*run.* 0.0 MB are free there. Nothing is lost"):
            for _ in range(12):  # SQLite has room for some steps yet in what it took before
                if search.step == 4:
                    search.set("w_lr", 0.3)
                reached = next(search).step
        with pytest.raises(RunPaused):
            next(search)
        assert search.step in (reached or full_at, (reached or full_at) + 1)
        for name, data in before.items():
            path = disk / "run" / "snapshots" / name
            assert not path.exists() or path.read_bytes() == data
        assert newest(disk / "run").name >= max(before)
        snapshot.read(newest(disk / "run"))
        (disk / "filler").unlink()
        while search.step < 12 or search._pending:
            if search.step == 4:
                search.set("w_lr", 0.3)
            next(search)
        assert (state_of(search), steps(search)) == calm
        search.close()
        again = nl.Search.open(disk / "run")
        assert (state_of(again), steps(again)) == calm
        again.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
