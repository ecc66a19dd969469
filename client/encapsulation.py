"""The bytes of one frame among the fragments of encapsulated PixelData (PS3.5 A.4)."""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from client.codecs import Undecodable

_ITEM: Final = 0xE000FFFE
_SEQUENCE_END: Final = 0xE0DDFFFE
_LARGEST_FRAGMENT_COUNT: Final = 1 << 16
_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff")
"""How the stream of a JPEG, JPEG-LS or JPEG 2000 image begins."""


class BrokenOff(Exception):
    """The file ends within a fragment."""


def frame_stream(file: BinaryIO, at: int, frame: int, frames: int) -> bytes:
    """The compressed stream of one frame; `at` is where the value of PixelData starts.

    Only the fragments of that frame are read. Raises BrokenOff, and Undecodable where fragments and frames do not
    match.
    """
    table, *fragments = _items(file, at)
    chosen = fragments if frames == 1 else _of_frame(file, table, fragments, frame, frames)
    return b"".join(_read(file, place) for place in chosen)


def _items(file: BinaryIO, at: int) -> Sequence[tuple[int, int]]:
    """Place and length of every item; the first is the offset table, perhaps empty."""
    items = list(_walk(file, at, file.seek(0, os.SEEK_END)))
    if len(items) < 2:
        raise Undecodable("no fragment of pixels")
    return items


def _walk(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int]]:
    for _ in range(_LARGEST_FRAGMENT_COUNT):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:  # the file lacks the delimiter at its end, and all fragments before it are whole
            return
        tag, length = struct.unpack("<II", head)
        if tag == _SEQUENCE_END:
            return
        if tag != _ITEM:
            raise Undecodable("something other than a fragment among the pixels")
        at += 8
        if at + length > end:
            raise BrokenOff
        yield at, length
        at += length
    raise Undecodable("more fragments than an image has")


def _of_frame(
    file: BinaryIO, table: tuple[int, int], fragments: Sequence[tuple[int, int]], frame: int, frames: int
) -> Sequence[tuple[int, int]]:
    if len(fragments) == frames:
        return fragments[frame : frame + 1]
    starts = _starts_by_table(file, table, fragments) or _starts_by_content(file, fragments)
    if len(starts) != frames:
        raise Undecodable(f"{len(fragments)} fragments for {frames} frames")
    return fragments[starts[frame] : ([*starts, len(fragments)])[frame + 1]]


def _starts_by_table(file: BinaryIO, table: tuple[int, int], fragments: Sequence[tuple[int, int]]) -> list[int]:
    """Index of each frame's first fragment, from the offset table; empty where there is none or it points astray."""
    data = _read(file, table)
    offsets = struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
    index = {start - fragments[0][0]: number for number, (start, _) in enumerate(fragments)}
    return [index[offset] for offset in offsets] if offsets and all(offset in index for offset in offsets) else []


def _starts_by_content(file: BinaryIO, fragments: Sequence[tuple[int, int]]) -> list[int]:
    return [k for k, (start, length) in enumerate(fragments) if _read(file, (start, min(length, 3))) in _STARTS]


def _read(file: BinaryIO, place: tuple[int, int]) -> bytes:
    file.seek(place[0])
    return file.read(place[1])
