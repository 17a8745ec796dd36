"""Decompression of foreign data with a limit: a small file may unpack to more than the memory holds."""

from __future__ import annotations

import zlib

from naslab.errors import DataError


def gunzipped(data: bytes, most: int, what: str) -> bytes:
    """Returns the content of a gzip file; `DataError` if it is damaged, or larger than `most` bytes.

    Args:
        data: the compressed bytes.
        most: largest size of the content.
        what: name of the data, for the error.
    """
    found = bytearray()
    while data:
        machine = zlib.decompressobj(wbits=31)  # 15 for the largest window, + 16 for the gzip format
        try:
            found += machine.decompress(data, most + 1 - len(found))
        except zlib.error as error:
            raise DataError(f"{what} cannot be read: it is not packed with gzip, or damaged: {error}") from None
        if len(found) > most:
            raise DataError(f"{what} unpacks to more than {most} bytes, and that is more than it may hold")
        if not machine.eof:
            raise DataError(f"{what} cannot be read: it is cut short")
        data = machine.unused_data.lstrip(b"\0")  # several members are allowed, and padding with zeros
    return bytes(found)
