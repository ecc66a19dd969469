"""Compressed slices to stored values, by one library: imagecodecs (BSD-3), as fast as any for every syntax or faster.

What a stream announces is compared with what the DICOM header announces before a decoder sees it. The decoders are C:
a wrong size asks them for gigabytes or hours, and an RLE header that points outside its stream ends the process. A
JPEG stream must also end with its end marker, because its decoder fills up what is missing without a word. Decoders
that were tried and left out, since mutated streams end their process or keep it for ever: OpenJPH (HTJ2K at twice
OpenJPEG's speed), liblj92 and jpg_0XC3 (JPEG Lossless, slower than libjpeg-turbo).
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from client.header_scan import JPEG_FAMILY, RLE

_START_OF_FRAME: Final = frozenset(
    {*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7}
)
"""Markers of the segment that holds a JPEG's size (ITU-T T.81 B.1.1.3), and of that of a JPEG-LS (T.87 C.2.2)."""
_END_OF_IMAGE: Final = b"\xff\xd9"
_ROOM_BEHIND_PIXELS: Final = 1 << 16
_LARGEST_TILE_COUNT: Final = 1 << 12

Shape = tuple[int, int]
Codec = Callable[[bytes, Shape], NDArray[Any]]


class Undecodable(Exception):
    """Why a stream cannot be decoded, in a few words."""


class Disagreement(Exception):
    """The stream holds an image of another size than the header says."""


def is_compressed(syntax: str) -> bool:
    """Whether the pixels are encapsulated (PS3.5 A.4): a fragment or several for each frame."""
    return syntax == RLE or syntax.startswith(JPEG_FAMILY)


def decompress(syntax: str, stream: bytes, shape: Shape, bits_allocated: int) -> NDArray[Any]:
    """One frame's values, (rows, columns), signed only where the stream says so. Raises Undecodable, Disagreement."""
    try:
        if syntax == RLE:
            return _run_lengths(stream, shape, bits_allocated)
        codec = _CODECS.get(syntax.removeprefix(JPEG_FAMILY))
        if codec is None:
            raise Undecodable("no decoder knows it")
        return codec(stream, shape)
    except (RuntimeError, ValueError, MemoryError) as error:  # as imagecodecs derives its own
        raise Undecodable(str(error) or type(error).__name__) from None


def inflate(deflated: bytes, needed: int) -> bytes:
    """The first `needed` bytes of an inflated stream at least, or all where it has fewer."""
    try:
        return bytes(imagecodecs.deflate_decode(deflated, raw=True, out=needed + _ROOM_BEHIND_PIXELS))
    except RuntimeError:  # longer than this room, or damaged: zlib gives what comes before
        pass
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, needed)
    except zlib.error as error:
        raise Undecodable(str(error)) from None


def _run_lengths(stream: bytes, shape: Shape, bits_allocated: int) -> NDArray[Any]:
    """PS3.5 G: a segment a byte of the values, the highest first."""
    if bits_allocated not in (8, 16, 32):
        raise Undecodable(f"{bits_allocated} bits allocated")
    size = bits_allocated // 8
    if len(stream) < 64:
        raise Undecodable("no RLE header")
    count, *offsets = struct.unpack_from("<16I", stream)
    used = [*offsets[:size], len(stream)]
    if count != size or used[0] != 64 or used != sorted(set(used)):
        raise Undecodable(f"an RLE header of {count} segments that do not follow each other")
    decoded = imagecodecs.dicomrle_decode(stream, f"<u{size}")
    if len(decoded) < size * shape[0] * shape[1]:
        raise Undecodable(f"{len(decoded) // size} of {shape[0] * shape[1]} pixels")
    return np.frombuffer(decoded, f"<u{size}", shape[0] * shape[1]).reshape(shape)


def _jpeg(stream: bytes, shape: Shape) -> NDArray[Any]:
    _agree(_jpeg_size(stream), shape)
    _require_end(stream)
    return imagecodecs.jpeg8_decode(stream)


def _jpeg_ls(stream: bytes, shape: Shape) -> NDArray[Any]:
    _agree(_jpeg_size(stream), shape)
    _require_end(stream)  # CharLS takes seconds to find that it lacks
    return imagecodecs.jpegls_decode(stream)


def _jpeg_2000(stream: bytes, shape: Shape) -> NDArray[Any]:
    _agree(_jpeg_2000_size(stream), shape)
    return imagecodecs.jpeg2k_decode(stream, numthreads=1)


_CODECS: Final[Mapping[str, Codec]] = {
    **dict.fromkeys(("50", "51", "53", "55", "57", "70"), _jpeg),
    **dict.fromkeys(("80", "81"), _jpeg_ls),
    **dict.fromkeys(("90", "91", "201", "202", "203"), _jpeg_2000),
}
"""By the last number of the transfer syntax (PS3.6 A)."""


def _agree(size: tuple[int, int, int], shape: Shape) -> None:
    rows, columns, samples = size
    if (rows, columns) != shape or samples != 1:
        raise Disagreement(f"{rows} x {columns} of {samples} samples in the stream, {shape[0]} x {shape[1]} announced")


def _jpeg_size(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples from the frame header of a JPEG or JPEG-LS."""
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 10 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4])
        if marker in _START_OF_FRAME:
            rows, columns, samples = struct.unpack_from(">HHB", stream, at + 5)
            return rows, columns, samples
        at += 1 if marker == 0xFF else 2 + length
    raise Undecodable("no JPEG frame header")


def _require_end(stream: bytes) -> None:
    if not stream.rstrip(b"\0").endswith(_END_OF_IMAGE):
        raise Undecodable("the stream breaks off")


def _jpeg_2000_size(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples from the SIZ segment (ITU-T T.800 A.5.1), which comes first in a codestream."""
    at = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # some files wrap the codestream in a JP2 container
    if at < 0 or len(stream) < at + 45:
        raise Undecodable("no JPEG 2000 codestream")
    width, height, left, top, tile_width, tile_height, _, _, samples = struct.unpack_from(">8IH", stream, at + 8)
    tiles = -(-width // max(tile_width, 1)) * -(-height // max(tile_height, 1))
    if left or top or not tile_width or not tile_height or tiles > _LARGEST_TILE_COUNT:
        raise Undecodable("a JPEG 2000 grid that no image needs")
    return height, width, samples
