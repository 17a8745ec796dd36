"""Plain data comes out as `pickle` would give it; whatever would run something is refused, and nothing runs."""

import collections
import contextlib
import os
import pickle
import resource
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from naslab.benchmarks import pickled
from naslab.errors import DataError

CANARY = "canary"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "data",
    [
        None,
        True,
        [1, -1, 255, 256, 65535, 65536, 2**31, -(2**40), 2**200],
        [0.0, -1.5, float("inf"), 1e300],
        {"a": [1, 2, {"b": (3,)}], ("c", 4): None, 5: (1, 2, 3, 4)},
        ["x" * 300, "é", ""],
        ((), (1,), (1, 2), (1, 2, 3)),
        collections.OrderedDict([("one", 1), ("two", [2])]),
        {"same": [[0]] * 3},
        [np.float64(1.25), np.float32(0.5), np.int64(-7), np.bool_(True)],
    ],
    ids=repr,
)
def test_plain_data(data, protocol):
    raw = pickle.dumps(data, protocol)
    assert pickled.read(raw, "it") == pickle.loads(raw)


@pytest.mark.parametrize("data", [{1, 2}, frozenset("ab"), b"bytes"], ids=["set", "frozenset", "bytes"])
def test_sets_and_bytes(data):
    assert pickled.read(pickle.dumps(data, 4), "it") == data


class Runs:
    """Pickles as a call of anything."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(path):
    """Programs that would leave a file behind, or worse."""
    command = f"touch {path}"
    name = lambda module, what: b"\x80\x02c" + f"{module}\n{what}\n".encode()  # noqa: E731
    text = b"X" + struct.pack("<I", len(command)) + command.encode()
    yield pickle.dumps(Runs(os.system, command))
    yield pickle.dumps(Runs(eval, f"open({str(path)!r}, 'w')"))
    yield pickle.dumps(Runs(exec, f"open({str(path)!r}, 'w')"))
    yield pickle.dumps(Runs(open, str(path), "w"))
    yield pickle.dumps({"deep": [{"deeper": (1, Runs(os.system, command))}]})
    yield pickle.dumps(Runs(getattr, Runs(__import__, "os"), "system"))
    yield pickle.dumps(Runs(getattr, collections.OrderedDict, "__init__"))
    yield pickle.dumps(collections.OrderedDict(key=Runs(os.system, command)))
    yield name("os", "system") + text + b"\x85R."
    yield name("posix", "system") + text + b"\x85R."
    yield name("builtins", "getattr") + b"."
    yield name("collections", "OrderedDict.__init__.__globals__") + b"."
    yield name("collections", "abc") + b"."
    yield name("numpy", "load") + text + b"\x85R."
    yield name("numpy.core.multiarray", "_reconstruct") + b"."
    yield name("numpy.f2py", "main") + b"."
    yield b"(S'" + command.encode() + b"'\nios\nsystem\n."  # INST
    yield b"(cos\nsystem\nS'" + command.encode() + b"'\no."  # OBJ
    yield b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R."
    yield b"\x80\x02" + text + text + b"\x85R."  # a call of a text
    yield name("collections", "OrderedDict") + b"]\x85R."  # of more than nothing
    yield name("collections", "OrderedDict") + b")\x81."  # NEWOBJ
    yield name("collections", "OrderedDict") + b")R}b."  # BUILD: attributes
    yield name("numpy", "dtype") + b"X\x01\x00\x00\x00O\x85R."
    yield name("numpy", "dtype") + b"]\x85R."
    yield name("_codecs", "encode") + text + b"X\x05\x00\x00\x00rot13\x86R."
    yield b"\x80\x02P1\n."  # PERSID
    yield b"\x80\x02K\x01Q."  # BINPERSID
    yield b"\x80\x02\x82\x01."  # EXT1
    yield b"\x80\x05\x97."  # NEXT_BUFFER


@pytest.mark.parametrize("number", range(30))
def test_hostile_pickles_run_nothing(tmp_path, number):
    canary = tmp_path / CANARY
    programs = list(hostile(canary))
    assert len(programs) == 30
    before = set(sys.modules)
    with pytest.raises(DataError, match=r"only plain data|damaged"):
        pickled.read(programs[number], "a table")
    assert not canary.exists()
    assert set(sys.modules) - before <= {"pickle"}


def test_the_corpus_would_run_in_pickle(tmp_path):
    """Some of them at least really are live."""
    for number in (0, 4, 8, 9, 18):
        canary = tmp_path / f"{CANARY}{number}"
        pickle.loads(list(hostile(canary))[number])
        assert canary.exists(), number


def greedy():
    """Small programs that ask for much."""
    yield b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01."  # LONG4 of two gigabytes
    yield b"\x80\x02\x8b" + struct.pack("<i", -5) + b"."
    yield b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b"."  # a number of 2040 bits
    yield b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."  # BINBYTES8
    yield b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x."
    yield b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x."  # BYTEARRAY8
    yield b"\x80\x02" + b"]" * 1_000_001 + b"."  # containers
    yield b"\x80\x02]" + b"\x85" * 100_000 + b"\x940}h\x00K\x01s."  # a deep tuple as a key
    yield b"\x80\x04\x8f(" + b")" + b"\x85" * 100_000 + b"\x90."  # and in a set
    yield b"\x80\x02" + b"(" * 100_000 + b"."

    yield (
        b"\x80\x02"
        + text(b"a" * 2**20)
        + b"q\x00"
        + text(b"latin1")
        + b"q\x01c_codecs\nencode\nq\x02("
        + (
            b"h\x02h\x00h\x01\x86R" * 1500 + b"t."  # a copy of a text at each call
        )
    )
    yield b"\x80\x02(" + b"\x8f" * 900_000 + b"t."  # sets, of two hundred bytes each
    yield b"\x80\x02K\x01" + b"\x94" * 700_000 + b"."  # a place in the memo for each byte
    yield b"\x80\x02(" + b"K\x01" * 100_000 + b"tq\x00}(" + b"h\x00K\x01" * 100_000 + b"u."  # a long key, many times
    yield b"\x80\x02}(" + b"".join(number(k * (2**61 - 1)) + b"N" for k in range(1, 3000)) + b"u."  # keys of one hash
    yield laughs(b"(", b"t", 40)
    yield laughs(b"](", b"e", 40)
    yield b"\x80\x02]q\x00h\x00a."  # a list that holds itself
    yield b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."  # a deep list


def text(raw):
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    raw = value.to_bytes(20, "little")
    return b"\x8a" + bytes([len(raw)]) + raw


def laughs(opens, closes, times):
    """A tuple of ten of a tuple of ten of ...: a few hundred bytes that are 10**40 when they are walked through."""
    levels = b"".join(opens + b"h\x00" * 10 + closes + b"q\x00" for _ in range(times))
    return b"\x80\x02K\x01q\x00" + levels + b"."


@pytest.mark.parametrize("number", range(19))
@pytest.mark.slow
def test_greedy_pickles_get_nothing(number):
    programs = list(greedy())
    assert len(programs) == 19
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError):
        pickled.read(programs[number], "a table")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_a_far_memo_is_no_memory():
    assert pickled.read(b"\x80\x02K\x01r\xff\xff\xff\xff.", "it") == 1


def test_many_laughs_are_not_told():
    """A list in a list in ..., each twice: the message must not write it out."""
    program = b"\x80\x02]q\x00" + b"".join(
        b"](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(100)
    )
    with pytest.raises(DataError) as error:
        pickled.read(program + b"h\x00\x93.", "it")
    assert len(str(error.value)) < 300


def test_cut_short_and_changed():
    raw = pickle.dumps({"numbers": [1.5, 2, {"a": np.float64(3)}], "text": "abc"}, 4)
    for length in range(len(raw)):
        with pytest.raises(DataError):
            pickled.read(raw[:length], "it")
    rng = np.random.default_rng(0)
    for _ in range(3000):
        changed = bytearray(raw)
        changed[rng.integers(len(raw))] = rng.integers(256)
        with contextlib.suppress(DataError):
            pickled.read(bytes(changed), "it")


@pytest.mark.parametrize("raw", [b"", b".", b"PK\x03\x04zip", b"\x00" * 100, b"{}", Path(__file__).read_bytes()[:500]])
def test_what_is_no_pickle(raw):
    with pytest.raises(DataError):
        pickled.read(raw, "it")


def test_a_reader_may_say_how_much_room_there_is():
    data = {"losses": [float(number) for number in range(1000)]}
    assert pickled.read(pickle.dumps(data, 2), "it", room=100_000) == data
    with pytest.raises(DataError, match="more than 10000 bytes"):
        pickled.read(pickle.dumps(data, 2), "it", room=10_000)


@pytest.mark.slow
def test_plain_data_has_room_whatever_it_is_made_of():
    data = {
        "floats": [0.5 + number for number in range(20_000)],
        "small": [number % 50 for number in range(20_000)],
        "large": list(range(20_000)),
        "texts": {f"x-valid@{number}": number / 3 for number in range(20_000)},
        "empty": [[] for _ in range(5000)],
        "pairs": {(f"run {number}", number): (number, None) for number in range(5000)},
        "bytes": [bytes([number % 256]) * 10 for number in range(5000)],
    }
    for protocol in (2, 3, 4, 5):
        assert pickled.read(pickle.dumps(data, protocol), "it") == data
