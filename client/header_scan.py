"""The elements of a well-formed file, found by walking over its first kilobytes; pydicom is not even imported.

Little-endian files with preamble, explicit or implicit, deflated or compressed: nearly all that a hospital exports.
Whatever looks otherwise, and every doubt, is left to pydicom (`client.header_reference`): the walker gives exactly
what pydicom would give, or says that it is `Surprised`. Measured against pydicom's `specific_tags` and dicomsdl in
`benchmarks/headers.py`; dicomsdl is a seventh faster at best, and a malformed file can end its process.
"""

import struct
import zlib
from typing import BinaryIO, Final

from client.elements import (
    LARGEST_VALUE_BYTES,
    MEDIA_CLASS,
    PIXEL_DATA,
    TRANSFER_SYNTAX,
    UNDEFINED_LENGTH,
    WANTED,
    Elements,
)

EXPLICIT: Final = "1.2.840.10008.1.2.1"
IMPLICIT: Final = "1.2.840.10008.1.2"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
RLE: Final = "1.2.840.10008.1.2.5"
JPEG_FAMILY: Final = "1.2.840.10008.1.2.4."

HEAD_BYTES: Final = (1 << 14, 1 << 18, 1 << 22)
"""How much is read: nearly all headers end within the first step, those with icons or large private elements later."""

_META_START: Final = 132
_DEEPEST: Final = 16
_LARGEST_INFLATION: Final = 16
_END: Final = struct.pack("<HH2sHI", 0x7FE1, 0, b"UN", 0, 0)
"""An element behind the pixels: put at the end of a whole file, it stops a walk that found none."""
_LONG_LENGTH: Final = {
    **dict.fromkeys(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split(), True),
    **dict.fromkeys(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split(), False),
}
"""Value representations by whether their length takes four bytes (PS3.5 7.1.2)."""


def _in_file_order(tag: int) -> int:
    """The tag as one little-endian number reads its two: the element before the group."""
    return (tag & 0xFFFF) << 16 | tag >> 16


_WANTED: Final = {
    _in_file_order(tag): (tag, vrs) for tag, vrs in {**WANTED, MEDIA_CLASS: {b"UI"}, TRANSFER_SYNTAX: {b"UI"}}.items()
}
_PIXELS: Final = _in_file_order(PIXEL_DATA)
_PIXEL_GROUP: Final = PIXEL_DATA >> 16
_ITEM, _ITEM_END, _SEQUENCE_END = map(_in_file_order, (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))

_explicit_element = struct.Struct("<I2sH").unpack_from
_implicit_element = struct.Struct("<II").unpack_from
_long = struct.Struct("<I").unpack_from


class Surprised(Exception):
    """Something that only pydicom may judge."""


def scan(file: BinaryIO) -> Elements:
    """Elements up to PixelData, from the file's start.

    Raises Surprised, ValueError for a deflated file that makes no sense inflated, and what reading `file` raises.
    """
    data = b""
    for limit in HEAD_BYTES:
        data += file.read(limit - len(data))
        try:
            return _elements(data, complete=len(data) < limit)
        except struct.error:  # the header goes on beyond what was read
            if len(data) < limit:
                break
    raise Surprised


def data_set_start(data: bytes) -> int:
    """Where the meta group of a file that begins as PS3.10 says is over."""
    return _meta(data)[1]


def _elements(data: bytes, complete: bool) -> Elements:
    if data[128:132] != b"DICM":
        raise Surprised
    values, at = _meta(data)
    syntax = values.pop(TRANSFER_SYNTAX, b"").decode("latin-1")
    if syntax == DEFLATED:
        return _deflated_elements(data, at, values)
    if syntax == IMPLICIT:
        place = _walk_implicit(data + _END if complete else data, at, values)
    elif syntax in (EXPLICIT, RLE) or syntax.startswith(JPEG_FAMILY):
        place = _walk_explicit(data + _END if complete else data, at, values)
    else:
        raise Surprised
    if (place[0] or 0) > len(data):
        raise Surprised  # the file ends within the head of its last element
    return Elements(values, syntax, True, *place)


def _deflated_elements(data: bytes, at: int, values: dict[int, bytes]) -> Elements:
    """pydicom would inflate all of the file, however much that is; so nothing odd is left to it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = data[:at] + inflater.decompress(data[at:], _LARGEST_INFLATION * len(data))
        if inflater.eof:
            inflated += _END
        return Elements(values, DEFLATED, True, *_walk_explicit(inflated, at, values))
    except (zlib.error, Surprised):
        raise ValueError("the deflated data set is malformed") from None


def _meta(data: bytes) -> tuple[dict[int, bytes], int]:
    """Wanted values of the meta group, which is always explicit, and where the data set starts (PS3.10 7.1)."""
    values: dict[int, bytes] = {}
    at = _META_START
    while data[at : at + 2] == b"\2\0":
        tag, vr, length = _explicit_element(data, at)
        at += 8
        is_long = _LONG_LENGTH.get(vr)
        if is_long is None:
            raise Surprised
        if is_long:
            (length,) = _long(data, at)
            at += 4
        if tag in _WANTED:
            values[_WANTED[tag][0]] = data[at : at + length].strip(b" \0")
        at += length
    return values, at


def _walk_explicit(data: bytes, at: int, values: dict[int, bytes]) -> tuple[int | None, int | None]:
    """Fill `values`; place and length of PixelData. Raises struct.error where `data` ends before the header."""
    while True:
        tag, vr, length = _explicit_element(data, at)
        at += 8
        is_long = _LONG_LENGTH.get(vr)
        if is_long:
            (length,) = _long(data, at)
            at += 4
        elif is_long is None:
            raise Surprised
        if tag & 0xFFFF >= _PIXEL_GROUP and (tag >> 16 >= 0x0010 or tag & 0xFFFF > _PIXEL_GROUP):
            return (at, length) if tag == _PIXELS else (None, None)
        if length == UNDEFINED_LENGTH and is_long:
            if vr != b"SQ":
                raise Surprised
            at = _after_items(data, at, True, 0)
            continue
        if tag in _WANTED:
            name, vrs = _WANTED[tag]
            if vr not in vrs:
                raise Surprised
            values[name] = data[at : at + length] if length <= LARGEST_VALUE_BYTES else b""
        at += length


def _walk_implicit(data: bytes, at: int, values: dict[int, bytes]) -> tuple[int | None, int | None]:
    """As `_walk_explicit`, for elements that do not say of what kind they are."""
    if _LONG_LENGTH.get(data[at + 4 : at + 6]) is not None:
        raise Surprised  # explicit after all
    while True:
        tag, length = _implicit_element(data, at)
        at += 8
        if tag & 0xFFFF >= _PIXEL_GROUP and (tag >> 16 >= 0x0010 or tag & 0xFFFF > _PIXEL_GROUP):
            return (at, length) if tag == _PIXELS else (None, None)
        if length == UNDEFINED_LENGTH:
            at = _after_items(data, at, False, 0)
            continue
        if tag in _WANTED:
            values[_WANTED[tag][0]] = data[at : at + length] if length <= LARGEST_VALUE_BYTES else b""
        at += length


def _after_items(data: bytes, at: int, explicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends (PS3.5 7.5.2)."""
    if depth > _DEEPEST:
        raise Surprised
    while True:
        tag, length = _implicit_element(data, at)
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise Surprised
        at = _after_item(data, at, explicit, depth) if length == UNDEFINED_LENGTH else at + length


def _after_item(data: bytes, at: int, explicit: bool, depth: int) -> int:
    """Where an item of undefined length ends."""
    while True:
        tag, vr, length = _explicit_element(data, at)
        if tag == _ITEM_END:
            return at + 8
        if explicit:
            at += 8
            is_long = _LONG_LENGTH.get(vr)
            if is_long is None:
                raise Surprised
            if is_long:
                (length,) = _long(data, at)
                at += 4
        else:
            (length,) = _long(data, at + 4)
            at += 8
        if length != UNDEFINED_LENGTH:
            at += length
        elif explicit and vr != b"SQ":
            raise Surprised
        else:
            at = _after_items(data, at, explicit, depth + 1)
