"""NAS-Bench-101 and HW-NAS-Bench from files in their official formats, written here byte by byte."""

import base64
import json
import pickle
import struct

import numpy as np
import pytest

import naslab as nl
from naslab.benchmarks import tfrecord
from naslab.errors import DataError, SpecError

OPERATIONS = ("input", "conv3x3-bn-relu", "maxpool3x3", "output")
MATRIX = [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
SIMPLE = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("data", "checksum"),  # RFC 3720, B.4
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"123456789", 0xE3069283)],
)
def test_crc32c(data, checksum):
    assert tfrecord.crc32c(data) == checksum


def bitwise(data):
    """CRC-32C bit by bit, masked as TFRecord has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", bitwise(length)) + data + struct.pack("<I", bitwise(data))


def varint(number):
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def evaluation(epoch, seconds, train, valid, test):
    message = b"".join(
        bytes([field << 3 | 1]) + struct.pack("<d", value)
        for field, value in enumerate((epoch, seconds, train, valid, test), start=1)
    )
    path = b"/model.ckpt-0"
    return message + bytes([6 << 3 | 2, len(path)]) + path


def record(matrix, operations, epochs, test, seconds=1000.0, parameters=1_000_000, key=None):
    space = nl.spaces.NASBench101()
    key = key or space.canonical(space.from_cell(matrix, operations))
    steps = [
        (0, 0.0, 0.1, 0.1, 0.1),
        (epochs / 2, seconds / 2, 0.5, 0.5, 0.5),
        (epochs, seconds, 1.0, test + 0.01, test),
    ]
    message = b""
    for step in steps:
        data = evaluation(*step)
        message += b"\x0a" + varint(len(data)) + data
    message += b"\x10" + varint(parameters) + b"\x19" + struct.pack("<d", 2 * seconds)
    bits = "".join(str(edge) for row in matrix for edge in row)
    return json.dumps([key, epochs, bits, ",".join(operations), base64.b64encode(message).decode()]).encode()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nasbench.tfrecord"
    simple = ("input", "conv1x1-bn-relu", "output")
    rows = [record(MATRIX, OPERATIONS, epochs, 0.9 + run / 100) for epochs in (4, 108) for run in range(3)]
    rows += [record(SIMPLE, simple, epochs, 0.8, 50.0, 77) for epochs in (4, 108) for _ in range(3)]
    path.write_bytes(b"".join(map(framed, rows)))
    return path


def test_nasbench101(file):
    table = nl.benchmarks.NASBench101(file)
    assert len(table) == 2
    best = table.best()
    assert (best.epochs, best.parameters, best.seconds) == (108, 1_000_000, 1000.0)
    assert best.test_accuracy == pytest.approx(91)
    assert best.valid_accuracy == pytest.approx(92)
    assert best.train_accuracy == pytest.approx(100)
    assert table.query(1, epochs=4).seconds == 50.0
    swapped = table.space.of.from_cell(MATRIX, ("input", "maxpool3x3", "conv3x3-bn-relu", "output"))
    assert table.query(swapped) == best
    assert nl.benchmarks.from_spec(table.spec()).fingerprint() == table.fingerprint()
    with pytest.raises(SpecError, match="after 108, 4 epochs, not after 12"):
        table.query(0, epochs=12)
    search = nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=10)
    assert all(event.status == "done" for event in search)


def test_nasbench101_cut_short(file):
    """Between two records is where a shorter file would end just so; everywhere else it is noticed."""
    whole = file.read_bytes()
    ends = set(np.cumsum([len(framed(data)) for data in tfrecord.records(file)]).tolist())
    for length in [*range(1, len(whole), 41), len(whole) - 1]:
        if length not in ends:
            file.write_bytes(whole[:length])
            with pytest.raises(DataError, match="cut short"):
                nl.benchmarks.NASBench101(file)


def test_nasbench101_any_flipped_bit_is_noticed(file):
    whole = file.read_bytes()
    for place in range(0, len(whole), 23):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DataError, match="checksum"):
            nl.benchmarks.NASBench101(file)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no records"),
        ([b"{}"], "is not one of NAS-Bench-101"),
        ([b"[1, 2, 3, 4, 5]"], "is not one of NAS-Bench-101"),
        ([b"\xff"], "is not one of NAS-Bench-101"),
        ([b"[" * 100_000], "is not one of NAS-Bench-101"),
        ([record(MATRIX, OPERATIONS, 108, 1.7)], "is not one of NAS-Bench-101"),
        ([record(MATRIX, OPERATIONS, 108, float("nan"))], "is not one of NAS-Bench-101"),
        ([record(MATRIX, OPERATIONS, 108, 0.9, parameters=0)], "is not one of NAS-Bench-101"),
        ([record(MATRIX, OPERATIONS, 108, 0.9, key="0" * 32)], "is not that of its cell"),
        (
            [record(MATRIX, OPERATIONS, 108, 0.9), record(SIMPLE, (*OPERATIONS[:2], "output"), 4, 0.9)],
            "no training of",
        ),
    ],
)
def test_nasbench101_foreign_records(tmp_path, rows, message):
    path = tmp_path / "foreign.tfrecord"
    path.write_bytes(b"".join(map(framed, rows)))
    with pytest.raises(DataError, match=message):
        nl.benchmarks.NASBench101(path)


def test_nasbench101_no_file_and_no_tfrecord(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        nl.benchmarks.NASBench101(tmp_path / "nowhere")
    (tmp_path / "text").write_text("this is no TFRecord file at all")
    with pytest.raises(DataError, match="not a TFRecord file"):
        nl.benchmarks.NASBench101(tmp_path / "text")
    length = struct.pack("<Q", 2**60)
    (tmp_path / "huge").write_bytes(length + struct.pack("<I", bitwise(length)))
    with pytest.raises(DataError, match="at most"):
        nl.benchmarks.NASBench101(tmp_path / "huge")


# --- HW-NAS-Bench ----------------------------------------------------------------------------------


def hardware(cells=15625):
    rng = np.random.default_rng(0)
    lists = {name: rng.random(cells).tolist() for name in ("raspi4_latency", "edgegpu_energy", "average_hw_metric")}
    lists["eyeriss_arithmetic_intensity"] = [np.float64(value) for value in rng.random(cells)]
    lists["config"] = [{"arch_str": "x", "C": 16}] * cells
    return {"nasbench201": {"cifar10": lists, "ImageNet16-120": lists}, "fbnet": {"cifar100": {}}}


@pytest.fixture(scope="module")
def hw(tmp_path_factory):
    path = tmp_path_factory.mktemp("hw") / "HW-NAS-Bench-v1_0.pickle"
    content = hardware()
    path.write_bytes(pickle.dumps(content))
    return path, content["nasbench201"]["cifar10"]


@pytest.mark.slow
def test_hw_nas_bench(hw):
    path, lists = hw
    table = nl.benchmarks.HWNASBench(path)
    assert table.metrics == ("latency/raspi4", "energy/edgegpu", "average_hw_metric", "arithmetic_intensity/eyeriss")
    assert table.objective == "latency/raspi4"
    assert table.column("energy/edgegpu").tolist() == lists["edgegpu_energy"]
    assert table.column("arithmetic_intensity/eyeriss").tolist() == lists["eyeriss_arithmetic_intensity"]
    assert table.best().index == int(np.argmin(lists["raspi4_latency"]))
    assert table.at(6111) == nl.benchmarks.NASBench201().at(6111)
    again = nl.benchmarks.from_spec(table.spec())
    assert again.fingerprint() == table.fingerprint()
    assert nl.benchmarks.HWNASBench(path, objective="energy/edgegpu").fingerprint() != table.fingerprint()
    with pytest.raises(SpecError, match="unknown metric"):
        nl.benchmarks.HWNASBench(path, objective="latency/raspi5")
    with pytest.raises(DataError, match="is not HW-NAS-Bench"):
        nl.benchmarks.HWNASBench(path, "cifar100")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (hardware(100), "100 numbers, not 15625 finite ones"),
        ({"nasbench201": {"cifar10": {"raspi4_latency": [float("nan")] * 15625}}}, "finite"),
        ({"nasbench201": {"cifar10": {"raspi4_latency": ["fast"]}}}, "is not HW-NAS-Bench"),
        ({"nasbench201": {"cifar10": {}}}, "is not HW-NAS-Bench"),
        ([1, 2], "is not HW-NAS-Bench"),
        (print, "only plain data"),
    ],
    ids=str,
)
def test_hw_nas_bench_foreign_files(tmp_path, content, message):
    path = tmp_path / "HW.pickle"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message):
        nl.benchmarks.HWNASBench(path)


def test_hw_nas_bench_missing(tmp_path):
    with pytest.raises(DataError, match="expected HW-NAS-Bench"):
        nl.benchmarks.HWNASBench(tmp_path / "nowhere")
