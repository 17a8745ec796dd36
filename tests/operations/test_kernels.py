"""The machinery of compiled kernels: compiled once, shared between threads, absent without loss."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from naslab.operations import kernels
from naslab.threads import torch_threads

needs_a_compiler = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")


@pytest.mark.parametrize(
    ("threads", "count", "size", "parts"), [(1, 10, 10**6, 1), (3, 10, 10**6, 3), (3, 2, 10**6, 2)]
)
def test_the_parts_make_the_whole(threads, count, size, parts):
    seen = {}
    with torch_threads(threads):
        kernels.in_parts(count, size, lambda part, first, end: seen.update({part: range(first, end)}))
    assert sorted(seen) == list(range(parts))
    assert [i for part in sorted(seen) for i in seen[part]] == list(range(count))


def test_few_numbers_stay_in_one_thread():
    where = []
    with torch_threads(3):
        kernels.in_parts(10, 10, lambda *_: where.append(threading.get_ident()))
    assert where == [threading.get_ident()]


def test_an_error_in_a_thread_comes_out():
    def fail(part, first, end):
        if part == 1:
            raise ArithmeticError("here")

    with torch_threads(2), pytest.raises(ArithmeticError, match="here"):
        kernels.in_parts(10, 10**6, fail)


def test_channels_that_there_is_no_code_for():
    assert kernels.kernel("blend", 6, torch.float32) is None
    assert kernels.kernel("blend", 8, torch.bfloat16) is None


STEPS = """
import os, pathlib, sys
from naslab.operations import kernels

def available(**environment):
    if not (child := os.fork()):
        os.environ.update(environment)
        os._exit(0 if kernels.available() else 7)
    return {0: True, 7: False}[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]

folder = pathlib.Path(sys.argv[1])
cache = folder / "cache"
assert available(NASLAB_CACHE=str(cache))
(compiled,) = cache.iterdir()
before = compiled.stat().st_mtime_ns
assert available(NASLAB_CACHE=str(cache))
assert compiled.stat().st_mtime_ns == before, "it is compiled once"
whole = compiled.read_bytes()
compiled.write_bytes(whole[: len(whole) // 2])  # which would kill the process that runs it
assert available(NASLAB_CACHE=str(cache))
assert compiled.read_bytes() == whole
assert not available(NASLAB_KERNELS="0")
assert not available(NASLAB_CACHE=str(folder / "none"), CC="no-such-compiler")
assert not available(NASLAB_CACHE=str(folder / "other"), CC="false"), "a compiler that fails"
assert list((folder / "other").iterdir()) == []
print("all there")
"""
"""Each question is asked in a fork of its own: torch is imported once, and no kernel is loaded before."""


@needs_a_compiler
@pytest.mark.slow
def test_absent_without_loss(tmp_path):
    given = [sys.executable, "-c", STEPS, str(tmp_path)]
    done = subprocess.run(given, env=dict(os.environ), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "all there\n"), done.stderr


@pytest.mark.parametrize(
    "harm", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:5000] + b"\0" + data[5001:]]
)
def test_what_is_not_what_was_written_is_made_again(tmp_path, harm):
    command = ["sh", "-c", 'for last; do :; done; printf "%s" compiled > "$last"']  # a quick compiler
    path = kernels._compile(tmp_path, "blend-0", command)
    assert path.read_bytes() == b"compiled"
    assert kernels._find(tmp_path, "blend-0") == path
    path.write_bytes(harm(b"compiled" * 1000))
    assert kernels._find(tmp_path, "blend-0") is None
    assert list(tmp_path.iterdir()) == []  # it is gone, and makes nobody trouble
    assert kernels._find(tmp_path, "blend-0") is None
    assert kernels._compile(tmp_path, "blend-0", command) == path == kernels._find(tmp_path, "blend-0")


@pytest.mark.parametrize("what", ["a link", "a pipe", "a folder", "a device"])
def test_what_is_no_file_is_not_loaded(tmp_path, what):
    whole = kernels._compile(tmp_path, "blend-0", ["sh", "-c", 'for last; do :; done; printf "%s" compiled > "$last"'])
    aside = tmp_path / "aside"
    whole.rename(aside)
    if what == "a link":
        whole.symlink_to(aside)
    elif what == "a pipe":
        os.mkfifo(whole)
    elif what == "a folder":
        whole.mkdir()
    else:
        whole.symlink_to("/dev/zero")
    assert kernels._find(tmp_path, "blend-0") is None
    assert aside.read_bytes() == b"compiled"


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch):
    told, usual, own = tmp_path / "told", tmp_path / "usual", tmp_path / "own"
    for folder in (told, usual, own):
        folder.mkdir(mode=0o700)
    monkeypatch.setenv("NASLAB_CACHE", str(told))
    monkeypatch.setenv("XDG_CACHE_HOME", str(usual))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(own))
    assert kernels._folder() == told
    told.chmod(0o777)
    assert kernels._folder() == usual / "naslab"
    (usual / "naslab").chmod(0o720)
    assert kernels._folder() == own / f"naslab-{os.getuid()}"
    monkeypatch.setattr("os.getuid", lambda: 12345)  # all of them belong to somebody else
    monkeypatch.setattr(kernels, "_temporary_folder", lambda: tmp_path / "for now")
    assert kernels._folder() == tmp_path / "for now"
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("NASLAB_CACHE", str(file))  # no folder at all
    assert kernels._folder() == tmp_path / "for now"
