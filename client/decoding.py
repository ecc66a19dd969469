"""Pixels of one slice, from their place in the file to HU."""

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bloodnet_model.errors import UnusableSlice
from client.archives import reading
from client.codecs import Disagreement, Undecodable, decompress, inflate, is_compressed
from client.elements import UNDEFINED_LENGTH
from client.encapsulation import BrokenOff, frame_stream
from client.header_scan import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, RLE, Surprised, data_set_start
from client.slice_header import PixelLayout, SliceHeader, require_ct_pixels

_NATIVE: Final = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
_LARGEST_DEFLATED_BYTES: Final = 1 << 28


def decode_hu(header: SliceHeader) -> NDArray[np.float32]:
    """The slice in HU, (rows, columns): stored values by RescaleSlope and RescaleIntercept, any modality LUT ignored.

    Of a multi-frame file only the header's frame is read. Raises UnusableSlice where there is no such slice: what
    `require_ct_pixels` says, "unreadable", "bad-archive", "undecodable", "truncated" or "wrong-shape".
    """
    slope, intercept = require_ct_pixels(header)
    name = header.path.name
    try:
        stored = _stored(header)
    except Undecodable as error:
        syntax = _name_of(header.transfer_syntax)
        raise UnusableSlice("undecodable", f"{name}: {syntax} cannot be decoded: {error}.") from None
    except Disagreement as error:
        raise UnusableSlice("wrong-shape", f"{name}: {error}.") from None
    except BrokenOff:
        raise UnusableSlice("truncated", f"{name}: ends within its pixels; export it again.") from None
    return _in_hu(stored, header.pixels, slope, intercept)


def _stored(header: SliceHeader) -> NDArray[Any]:
    """Stored values, (rows, columns), of whatever integer type holds them."""
    layout, shape = header.pixels, (header.rows, header.columns)
    if layout.offset is None:
        raise Undecodable("its pixels have no place")
    if header.transfer_syntax in _NATIVE:
        return _without_unused_bits(_native(header), layout)
    if not is_compressed(header.transfer_syntax):
        raise Undecodable("no decoder knows it")
    with reading(header.path, checked=True) as file:
        stream = frame_stream(file, layout.offset, header.frame or 0, layout.frames)
    values = decompress(header.transfer_syntax, stream, shape, layout.bits_allocated)
    if header.transfer_syntax == RLE:
        return _without_unused_bits(values.view(f"i{values.itemsize}") if layout.signed else values, layout)
    if values.shape != shape:
        raise Disagreement(f"decodes to {values.shape}, announces {shape}")
    return _signed_as_announced(values, layout)


def _native(header: SliceHeader) -> NDArray[Any]:
    """Uncompressed pixels, straight from their place in the file."""
    layout = header.pixels
    if layout.bits_allocated not in (8, 16, 32):
        raise Undecodable(f"{layout.bits_allocated} bits allocated")
    if layout.bytes == UNDEFINED_LENGTH:
        raise Undecodable("its pixels are encapsulated all the same")
    order = ">" if header.transfer_syntax == BIG_ENDIAN else "<"
    dtype = np.dtype(f"{order}{'i' if layout.signed else 'u'}{layout.bits_allocated // 8}")
    count = header.rows * header.columns
    needed = count * dtype.itemsize
    start = needed * (header.frame or 0)
    present = max(0, min(needed, (layout.bytes or 0) - start))  # not into whatever follows short pixel data
    data = _read(header, (layout.offset or 0) + start, present)
    if len(data) < needed:
        raise UnusableSlice(
            "truncated", f"{header.path.name}: {len(data)} of {needed} bytes of pixels; export it again."
        )
    return np.frombuffer(data, dtype, count).reshape(header.rows, header.columns)


def _read(header: SliceHeader, at: int, count: int) -> bytes:
    """So many bytes of the file, of a deflated one once it is inflated; fewer where it ends before."""
    with reading(header.path, checked=True) as file:
        if header.transfer_syntax != DEFLATED:
            file.seek(at)
            return file.read(count)
        data = file.read(_LARGEST_DEFLATED_BYTES)
    try:
        start = data_set_start(data)
    except (Surprised, struct.error):
        raise Undecodable("the file is no longer what its header said") from None
    return inflate(data[start:], at - start + count)[at - start : at - start + count]


def _without_unused_bits(stored: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """The bits above BitsStored may hold anything (PS3.5 8.1.1); of signed values the sign takes their place."""
    unused = layout.bits_allocated - layout.bits_stored
    return stored << unused >> unused if 0 < unused < layout.bits_allocated else stored


def _signed_as_announced(values: NDArray[Any], layout: PixelLayout) -> NDArray[Any]:
    """Values of a stream that knows no sign, or another than the header, as the header reads their bits."""
    if (values.dtype.kind == "i") == layout.signed or 8 * values.itemsize < layout.bits_stored:
        return values
    unused = 8 * values.itemsize - layout.bits_stored
    return values.view(f"{'i' if layout.signed else 'u'}{values.itemsize}") << unused >> unused


def _in_hu(stored: NDArray[Any], layout: PixelLayout, slope: float, intercept: float) -> NDArray[np.float32]:
    """Rescaled values, after one known fault is mended.

    Some 12-bit scanners' files (RSNA 2019 holds many) were shifted by 1000 and wrapped at 4096, and announce an
    intercept near 0 on unsigned values, which no head in air can have.
    """
    if layout.bits_stored == 12 and not layout.signed and intercept > -100:
        stored = (stored.astype(np.int32) + 1000) % 4096
        intercept = -1000.0
    hu = stored.astype(np.float32)
    if slope != 1:
        hu *= np.float32(slope)
    hu += np.float32(intercept)
    return hu


def _name_of(syntax: str) -> str:
    from pydicom.uid import UID  # a name is wanted once a fault is found, and only then

    return UID(syntax).name or "no transfer syntax"
