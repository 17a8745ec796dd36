"""Files of others cost no more than they may, whatever they say of themselves."""

import bz2
import gzip
import os
import struct
import tracemalloc

import pytest

import naslab as nl
from naslab import reading
from naslab.benchmarks import nats_bench, tfrecord
from naslab.errors import DataError, SpecError
from naslab.tasks.bundled import FashionMNIST

MEGA = 2**20


@pytest.fixture
def peak():
    """How many bytes were held at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def test_what_is_packed_is_unpacked_as_far_as_it_may(peak):
    small = gzip.compress(b"a" * 1000)
    assert reading.gunzipped(small, 1000, "it") == b"a" * 1000
    assert reading.gunzipped(small + gzip.compress(b"b") + b"\0\0", 1001, "it") == b"a" * 1000 + b"b"
    assert reading.gunzipped(b"", 10, "it") == b""
    bomb = gzip.compress(bytes(64 * MEGA))
    before = peak()
    for bad, why in ((bomb, "more than 1000 bytes"), (small + bomb, "more than"), (small[:-4], "cut short")):
        with pytest.raises(DataError, match=why):
            reading.gunzipped(bad, 1000, "it")
    with pytest.raises(DataError, match="gzip"):
        reading.gunzipped(b"no gzip", 1000, "it")
    assert peak() - before < MEGA


def test_a_bz2_bomb(peak):
    bomb = bz2.compress(bytes(32 * MEGA))
    before = peak()
    with pytest.raises(DataError, match="unpacks to more than"):
        nats_bench.unpacked(bomb, "it")
    assert peak() - before < 16 * MEGA


def test_an_official_file_that_is_a_bomb(tmp_path, peak):
    """136 bytes of bz2, a megabyte of pickle, gigabytes of copies."""
    text = lambda raw: b"X" + struct.pack("<I", len(raw)) + raw  # noqa: E731
    copies = b"h\x02h\x00h\x01\x86R" * 1500
    program = b"\x80\x02" + text(b"a" * MEGA) + b"q\x00" + text(b"latin1") + b"q\x01c_codecs\nencode\nq\x02(" + copies
    (tmp_path / "000000.pickle.pbz2").write_bytes(bz2.compress(program + b"t."))
    before = peak()
    with pytest.raises(DataError, match="only plain data"):
        nl.benchmarks.NATSBench(tmp_path)
    assert peak() - before < 100 * MEGA


def test_idx_files(tmp_path, peak, monkeypatch):
    monkeypatch.setattr("naslab.tasks.bundled.MAX_BYTES", 4 * MEGA)
    name = "train-images-idx3-ubyte"
    head = b"\0\0\x08\x03" + struct.pack(">3i", 2**30, 2**20, 2**20)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(head))
    with pytest.raises(DataError, match="cut short or too long"):
        FashionMNIST(tmp_path)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(head + bytes(32 * MEGA), 1))
    before = peak()
    with pytest.raises(DataError, match="unpacks to more than"):
        FashionMNIST(tmp_path)
    assert peak() - before < 12 * MEGA


@pytest.mark.parametrize("length", [2**17 + 1, 2**40, 2**64 - 1])
def test_the_length_of_a_record_is_looked_at_first(tmp_path, peak, length):
    head = struct.pack("<Q", length)
    file = tmp_path / "bomb.tfrecord"
    file.write_bytes(head + struct.pack("<I", tfrecord.masked(head)) + b"x")
    with pytest.raises(DataError, match="at most"):
        list(tfrecord.records(file))
    assert peak() < MEGA


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "table.csv")
    os.mkfifo(tmp_path / "000000.pickle.pbz2")
    for read in (
        lambda: nl.benchmarks.from_csv(tmp_path / "table.csv", nl.spaces.NASBench201(), "accuracy"),
        lambda: nl.benchmarks.NATSBench(tmp_path),
        lambda: nl.benchmarks.NASBench101(tmp_path / "table.csv"),
        lambda: nl.benchmarks.HWNASBench(tmp_path / "table.csv"),
    ):
        with pytest.raises(DataError, match="pipe"):
            read()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no endless device")
def test_a_device_is_not_read(tmp_path):
    (tmp_path / "table.csv").symlink_to("/dev/zero")
    with pytest.raises(DataError, match="device"):
        nl.benchmarks.from_csv(tmp_path / "table.csv", nl.spaces.NASBench201(), "accuracy")


def test_a_link_to_a_table_is_followed(tmp_path):
    (tmp_path / "real.csv").write_text("architecture,accuracy\nx,1\n")
    (tmp_path / "table.csv").symlink_to(tmp_path / "real.csv")
    with pytest.raises((DataError, SpecError), match="no architecture"):
        nl.benchmarks.from_csv(tmp_path / "table.csv", nl.spaces.NASBench201(), "accuracy")


def test_tables_with_odd_fields(tmp_path):
    space, file = nl.spaces.NASBench201(), tmp_path / "table.csv"
    for header, row in (
        ("architecture,accuracy" + ",a" * 500_000, ""),  # columns that are all alike
        ("architecture," + ",".join(map(str, range(20_000))), ""),
        ("architecture,accuracy", f'"{"[" * 100_000}",1'),  # a deep list
        ("architecture,accuracy", f'"[{"9" * 100_000}]",1'),  # a long number
        ("architecture,accuracy", f'"[""none""]",{"9" * 100_000}'),
        ("architecture,accuracy", f'"{"a" * 10_000_000}",1'),  # a long field
        ("architecture," + "a" * 100_000, ""),
    ):
        file.write_text(f"{header}\n{row}\n")
        with pytest.raises((DataError, SpecError)) as error:
            nl.benchmarks.from_csv(file, space, "accuracy")
        assert len(str(error.value)) < 3000
