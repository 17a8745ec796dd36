"""Feature maps of the operations of an edge for one example, as a contact sheet of small pictures."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

import numpy as np

from naslab.analysis.feature_maps import FeatureMaps
from naslab.errors import SpecError
from naslab_widgets.figures import svg

LEFT, TOP, GAP, FIELD = 128.0, 30.0, 4, 44
"""Pixels: margin left of and above the maps, gap between two maps, side length of a map."""


def png(pixels: np.ndarray) -> bytes:
    """Returns [H, W] uint8 as a greyscale PNG file."""
    if pixels.ndim != 2 or pixels.dtype != np.uint8 or not pixels.size:
        raise SpecError(f"a grey picture is [H, W] uint8, not {list(pixels.shape)} {pixels.dtype}")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each row begins with its filter type; 0 is no filter
    # IHDR: width, height, 8 bits, colour type 0 (greyscale), no interlace.
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def data_url(pixels: np.ndarray) -> str:
    """Returns [H, W] uint8 as a data URL, for the `src` of an image."""
    return f"data:image/png;base64,{b64encode(png(pixels)).decode()}"


def contact_sheet(maps: FeatureMaps, channels: int = 8) -> svg.Drawing:
    """Draws a row per operation with its name and its share, a column per channel; the first row is the input of the
    edge. Each map has its own grey scale, from black for its lowest value to white.

    Args:
        maps: result of `naslab.analysis.feature_maps`.
        channels: number of channels shown, from the first on.
    """
    sheet = maps.sheet(channels, gap=0)
    rows = len(maps.operations) + 1
    columns = min(channels, max(len(maps.reads), maps.maps.shape[1]))
    high, wide = sheet.shape[0] // rows, sheet.shape[1] // columns
    size = FIELD + GAP
    title = f"edge {maps.row} of {maps.part}: one example, the first {columns} channels"
    root = svg.document(LEFT + size * columns + 12, TOP + size * rows + 6, title)
    svg.add(root, "text", title, x=12, y=19, font_size=12, fill=svg.INK)
    for row, name in enumerate(("what it reads", *maps.operations)):
        y = TOP + size * row
        beside = {"x": LEFT - 10, "text_anchor": "end"}
        svg.add(root, "text", svg.short(name), **beside, y=y + FIELD / 2 + 1, font_size=11, fill=svg.INK)
        if row:
            share = f"{100 * float(maps.shares[row - 1]):.1f} %"
            svg.add(root, "text", share, **beside, y=y + FIELD / 2 + 14, font_size=10, fill=svg.FAINT)
        for column in range(columns):
            field = sheet[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            box = {"x": LEFT + size * column, "y": y, "width": FIELD, "height": FIELD}
            look = {"preserveAspectRatio": "none", "style": "image-rendering: pixelated"}
            svg.add(root, "image", href=data_url(field), **box, **look)
    return svg.drawing(root)
