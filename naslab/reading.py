"""What others have packed, unpacked only as far as there is room for it."""

from __future__ import annotations

import zlib

from naslab.errors import DataError


def gunzipped(data: bytes, most: int, what: str) -> bytes:
    """The unpacked content of a gzip file, if it is within the limit; `DataError` otherwise.

    Args:
        what: the data is from, for the message.
    """
    found = bytearray()
    while data:
        machine = zlib.decompressobj(wbits=31)
        try:
            found += machine.decompress(data, most + 1 - len(found))
        except zlib.error as error:
            raise DataError(f"{what} cannot be read: it is not packed with gzip, or damaged: {error}") from None
        if len(found) > most:
            raise DataError(f"{what} unpacks to more than {most} bytes, and that is more than it may hold")
        if not machine.eof:
            raise DataError(f"{what} cannot be read: it is cut short")
        data = machine.unused_data.lstrip(b"\0")  # a file may have several parts, and zeros behind them
    return bytes(found)
