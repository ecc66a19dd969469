"""Which elements of a DICOM file the rules read, and how their raw values are understood.

Both readers, the fast one and pydicom, hand over the same: values as little-endian bytes. A conversion of values by
pydicom costs more than finding them, and the rules look for ASCII words and numbers only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MEDIA_CLASS: Final = 0x00020002
TRANSFER_SYNTAX: Final = 0x00020010
IMAGE_TYPE: Final = 0x00080008
SOP_CLASS: Final = 0x00080016
SOP_UID: Final = 0x00080018
ACCESSION_NUMBER: Final = 0x00080050
MODALITY: Final = 0x00080060
MANUFACTURER: Final = 0x00080070
SERIES_DESCRIPTION: Final = 0x0008103E
MODEL: Final = 0x00081090
PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
BIRTH_DATE: Final = 0x00100030
BIRTH_NAME: Final = 0x00101005
ADDRESS: Final = 0x00101040
MOTHERS_NAME: Final = 0x00101060
TELEPHONE: Final = 0x00102154
CONTRAST_AGENT: Final = 0x00180010
THICKNESS: Final = 0x00180050
KERNEL: Final = 0x00181210
STUDY_UID: Final = 0x0020000D
SERIES_UID: Final = 0x0020000E
INSTANCE_NUMBER: Final = 0x00200013
POSITION: Final = 0x00200032
ORIENTATION: Final = 0x00200037
SAMPLES: Final = 0x00280002
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
SPACING: Final = 0x00280030
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
PIXEL_REPRESENTATION: Final = 0x00280103
PADDING: Final = 0x00280120
BURNED_IN: Final = 0x00280301
INTERCEPT: Final = 0x00281052
SLOPE: Final = 0x00281053
PIXEL_DATA: Final = 0x7FE00010

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
LARGEST_VALUE_BYTES: Final = 8192
"""A longer value counts as missing: none of ours is so long, and junk must not be read into memory."""

_NUMBER_VRS: Final = frozenset({b"US", b"SS", b"UN"})
_TEXT_VRS: Final = frozenset(
    {b"AE", b"AS", b"CS", b"DA", b"DS", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"TM", b"UC", b"UI", b"UN", b"UT"}
)
_TEXTS: Final = (
    IMAGE_TYPE,
    SOP_CLASS,
    SOP_UID,
    ACCESSION_NUMBER,
    MODALITY,
    MANUFACTURER,
    SERIES_DESCRIPTION,
    MODEL,
    PATIENT_NAME,
    PATIENT_ID,
    BIRTH_DATE,
    BIRTH_NAME,
    ADDRESS,
    MOTHERS_NAME,
    TELEPHONE,
    CONTRAST_AGENT,
    THICKNESS,
    KERNEL,
    STUDY_UID,
    SERIES_UID,
    INSTANCE_NUMBER,
    POSITION,
    ORIENTATION,
    FRAMES,
    SPACING,
    BURNED_IN,
    INTERCEPT,
    SLOPE,
)
_NUMBERS: Final = (
    SAMPLES,
    ROWS,
    COLUMNS,
    BITS_ALLOCATED,
    BITS_STORED,
    PIXEL_REPRESENTATION,
    PADDING,
)
WANTED: Final[Mapping[int, frozenset[bytes]]] = {
    **dict.fromkeys(_TEXTS, _TEXT_VRS),
    **dict.fromkeys(_NUMBERS, _NUMBER_VRS),
}
"""Tags with the value representations under which their bytes are what they should be."""


@dataclass(frozen=True, slots=True)
class Elements:
    """What a reader found in one file."""

    values: Mapping[int, bytes]
    syntax: str
    """Transfer syntax in which the file is really written."""
    part10: bool
    """Whether the file begins as PS3.10 says."""
    pixels_at: int | None
    """Where the value of PixelData starts; counted as if inflated where the file is deflated."""
    pixels_bytes: int | None
    """Length of PixelData as announced; None where there is none."""

    def text(self, tag: int) -> str:
        """The value as text; every repertoire a scanner may use has ASCII at its base."""
        return self.values.get(tag, b"").decode("latin-1").strip(" \0")

    def numbers(self, tag: int, count: int) -> tuple[float, ...] | None:
        """`count` finite decimal numbers; None where they are missing, fewer, more or no numbers."""
        return finite_numbers(self.text(tag).split("\\"), count)

    def number(self, tag: int) -> float | None:
        """One finite decimal number."""
        found = self.numbers(tag, 1)
        return found[0] if found else None

    def ushort(self, tag: int) -> int:
        """A 16-bit number; 0 where it is missing."""
        return int.from_bytes(self.values.get(tag, b"")[:2], "little")


def finite_numbers(parts: list[str], count: int) -> tuple[float, ...] | None:
    """`count` finite numbers of as many texts, or None."""
    try:
        values = tuple(map(float, parts))
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None
