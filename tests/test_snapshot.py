"""A snapshot is there whole or not at all, and no damage to it goes unseen."""

import errno
import os
import random

import pytest
import torch
from safetensors.torch import load as load_tensors

from naslab import snapshot
from naslab.errors import SnapshotDamaged, SpecError


def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "w": torch.randn(32, 9, generator=generator),
        "transposed": torch.randn(4, 3, generator=generator).T,
        "mask": torch.tensor([True, False]),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "half": torch.randn(5, generator=generator).bfloat16(),
        "step": 120,
        "w_lr": 0.1 + 0.2,
        "name": "naïve",
    }


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        if isinstance(value, torch.Tensor):
            assert found[name].dtype == value.dtype
            assert torch.equal(found[name], value)
        else:
            assert found[name] == value
            assert type(found[name]) is type(value)


def test_comes_back_bit_for_bit(tmp_path):
    snapshot.write(tmp_path / "s", state())
    assert_same(snapshot.read(tmp_path / "s"), state())


def test_tensors_that_share_memory_come_back_apart(tmp_path):
    x = torch.arange(4.0)
    snapshot.write(tmp_path / "s", {"a": x, "b": x[:2]})
    found = snapshot.read(tmp_path / "s")
    found["a"].add_(1)
    assert found["b"].tolist() == [0, 1]


def test_not_a_number_is_kept(tmp_path):
    snapshot.write(tmp_path / "s", {"x": torch.tensor([float("nan")]), "y": float("inf")})
    found = snapshot.read(tmp_path / "s")
    assert found["x"].isnan().all()
    assert found["y"] == float("inf")


def test_the_tensors_are_plain_safetensors(tmp_path):
    snapshot.write(tmp_path / "s", {"w": torch.ones(2), "step": 3})
    header, plain, *_ = (tmp_path / "s").read_bytes().split(b"\n", 1)
    assert header.startswith(b"naslab snapshot 1 ")
    assert load_tensors(plain.removeprefix(b'{"step": 3}'))["w"].tolist() == [1, 1]


def test_digest_tells_states_apart():
    assert snapshot.digest(state()) == snapshot.digest(dict(reversed(state().items())))
    assert snapshot.digest(state()) != snapshot.digest({**state(), "step": 121})
    moved = state()
    moved["w"][31, 8] = torch.nextafter(moved["w"][31, 8], torch.tensor(9.0))
    assert snapshot.digest(state()) != snapshot.digest(moved)


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, object()])
def test_refuses_what_json_would_not_bring_back(tmp_path, value):
    with pytest.raises(SpecError, match="'odd'"):
        snapshot.write(tmp_path / "s", {"odd": value})
    assert list(tmp_path.iterdir()) == []


def mutations(data, other, rng, count):
    """Damaged copies of `data`: (what was done, bytes)."""
    kinds = ("bit", "page", "truncated", "longer", "swapped", "doubled", "mixed")
    while count:
        kind = kinds[rng.randrange(len(kinds))]
        at = rng.randrange(len(data))
        size = rng.choice([1, 16, 128, 512])
        if kind == "bit":
            damaged = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == "page":
            damaged = data[:at] + bytes(len(data[at : at + size])) + data[at + size :]
        elif kind == "truncated":
            damaged = data[:at]
        elif kind == "longer":
            damaged = data + rng.randbytes(size)
        elif kind == "swapped":
            damaged = data[at:] + data[:at]
        elif kind == "doubled":
            damaged = data[:at] + data[at : at + size] * 2 + data[at + size :]
        else:  # the head of one and the tail of another
            damaged = data[:at] + other[at:]
        if damaged not in (data, other):
            count -= 1
            yield f"{kind} at {at}", damaged


@pytest.mark.slow
def test_no_damage_is_silent(tmp_path):
    rng, silent = random.Random(0), []
    snapshot.write(tmp_path / "s", state())
    data = (tmp_path / "s").read_bytes()
    snapshot.write(tmp_path / "s", {**state(), "step": 121})
    other = (tmp_path / "s").read_bytes()
    for what, damaged in mutations(data, other, rng, 2000):
        (tmp_path / "s").write_bytes(damaged)
        try:
            snapshot.read(tmp_path / "s")
            silent.append(what)
        except SnapshotDamaged:
            pass
    assert silent == []


def test_every_bit_of_the_first_line_counts(tmp_path):
    snapshot.write(tmp_path / "s", {"step": 1})
    data = (tmp_path / "s").read_bytes()
    for bit in range(8 * (data.index(b"\n") + 1)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "s").write_bytes(damaged)
        with pytest.raises(SnapshotDamaged):
            snapshot.read(tmp_path / "s")


def test_another_format_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "FORMAT", 7)
    snapshot.write(tmp_path / "s", {"step": 1})
    monkeypatch.undo()
    with pytest.raises(SnapshotDamaged, match="has format 7, this naslab reads format 1"):
        snapshot.read(tmp_path / "s")


@pytest.mark.parametrize("data", [b"", b"\x80\x04cos\nsystem\n", b"PK\x03\x04", b"naslab snapshot 1 "])
def test_foreign_files_are_refused(tmp_path, data):
    (tmp_path / "s").write_bytes(data)
    with pytest.raises(SnapshotDamaged, match="not a snapshot of naslab"):
        snapshot.read(tmp_path / "s")


def test_nothing_there_and_a_folder_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        snapshot.read(tmp_path / "s")
    with pytest.raises(SnapshotDamaged, match="cannot be read"):
        snapshot.read(tmp_path)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch, call):
    snapshot.write(tmp_path / "s", {"step": 1})

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        snapshot.write(tmp_path / "s", {"step": 2})
    monkeypatch.undo()
    assert snapshot.read(tmp_path / "s") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_write_that_the_system_cuts_short_is_completed(tmp_path, monkeypatch):
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole(file, bytes(data)[:100]))
    snapshot.write(tmp_path / "s", state())
    assert_same(snapshot.read(tmp_path / "s"), state())


@pytest.mark.parametrize("state", [None, [1], {3: torch.ones(1)}, {None: 1}])
def test_what_has_no_names_is_no_state(state, tmp_path):
    with pytest.raises(SpecError, match="by name, in a dictionary"):
        snapshot.write(tmp_path / "state.snapshot", state)
    assert not list(tmp_path.iterdir())
