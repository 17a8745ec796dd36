"""Reader of TFRecord files and the Protocol Buffers messages in them, without TensorFlow.

A file is a sequence of records, each: its length (8 bytes), a checksum of the length (4), the data, a checksum of the
data (4); all little-endian (https://www.tensorflow.org/tutorials/load_data/tfrecord). The checksum is CRC-32C, rotated
and offset. A message is a sequence of fields, each a number, a type and a value
(https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from naslab import files
from naslab.errors import DataError

MAX_RECORD = 2**17
"""Largest record in bytes. Those of NAS-Bench-101 have some hundreds; decoding takes up to 100 times the memory."""


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli polynomial, bit-reversed
        table.append(byte)
    return tuple(table)


TABLE = _table()


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C checksum (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """Returns the masked CRC-32C that TFRecord files store: rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    """Yields the data of each record. Raises `DataError` if the file is damaged, truncated or not a TFRecord file."""
    try:
        with files.opened(path, links=True) as file:
            yield from _records(file, path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    number = 0
    while head := file.read(12):
        where = f"{path}, record {number}"
        if len(head) < 12:
            raise DataError(f"{where}: the file is cut short")
        length, checksum = struct.unpack("<QI", head)
        if checksum != masked(head[:8]):
            raise DataError(f"{where}: this is not a TFRecord file, or it is damaged: a checksum is wrong")
        if length > MAX_RECORD:
            raise DataError(f"{where} has {length} bytes; at most {MAX_RECORD} are read")
        body = file.read(length + 4)
        if len(body) < length + 4:
            raise DataError(f"{where}: the file is cut short")
        if struct.unpack("<I", body[length:])[0] != masked(body[:length]):
            raise DataError(f"{where} is damaged: its checksum is wrong")
        yield body[:length]
        number += 1


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yields (number, value) of each field: integers, doubles and bytes. Raises `ValueError` for any other type."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = 0
        for shift in range(0, 70, 7):
            if place >= len(message):
                break
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("no whole number")

    def take(count: int) -> bytes:
        nonlocal place
        taken = message[place : place + count]
        if len(taken) < count:
            raise ValueError("a message is cut short")
        place += count
        return taken

    while place < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        elif kind == 1:
            yield key >> 3, struct.unpack("<d", take(8))[0]
        elif kind == 2:
            yield key >> 3, take(varint())
        else:
            raise ValueError(f"a field of kind {kind}")
