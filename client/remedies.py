"""What hospital IT can do about each reason of the ledger; those that need nothing done are not listed."""

from collections.abc import Mapping
from typing import Final

_EXPORT_FILES: Final = "Export these files from the PACS again."
_EXPORT_SERIES: Final = "Export the original series from the PACS or the scanner; this copy lost what is needed."
_MASK: Final = "Correct the mask, or take its path out of the labels table."

REMEDIES: Final[Mapping[str, str]] = {
    "missing-file": "Export the file, or take it off the list.",
    "unreadable": "Give the user who runs this the right to read it; check the disk or the network share.",
    "changed": "Wait until the export is complete, then check again.",
    "bad-archive": "Unpack the archive next to where it lies, or export it again.",
    "bad-header": _EXPORT_FILES,
    "no-pixels": _EXPORT_FILES,
    "not-greyscale": "Nothing, if these are screenshots; else export the original series.",
    "no-rescale": _EXPORT_SERIES,
    "no-spacing": _EXPORT_SERIES,
    "no-orientation": _EXPORT_SERIES,
    "no-position": _EXPORT_SERIES,
    "undecodable": "Export without compression (Explicit VR Little Endian) or with a lossless one.",
    "truncated": _EXPORT_FILES + " The last transfer broke off.",
    "wrong-shape": _EXPORT_FILES,
    "no-files": "Export these studies too, or take their rows out of the labels table.",
    "bad-label": "Correct the row in the labels table.",
    "label-conflict": "Correct the rows in the labels table: they cannot both be true.",
    "no-label": "Add a row to the labels table for each that should be used.",
    "without-study": "Export the study, or correct the identifier in the row.",
    "duplicate-pixels": "Nothing, if the study was exported twice; else find out which of the two labels is right.",
    "too-few-readable": "Mend the faults of its files, which are listed here too.",
    "too-few-slices": "Look whether the export is complete; `minimum_slices` in site.yaml says how many are needed.",
    "not-axial": "Export the axial series too; `largest_tilt_degrees` in site.yaml says how oblique it may be.",
    "derived": "Export the original series too, or set `derived: true` in site.yaml.",
    "excluded": "Take the word off `exclude` in site.yaml if the series should be used.",
    "not-a-head": "Look at the study; its label belongs to another one if it shows no head.",
    "gap": "Look whether the export is complete.",
    "mask-missing": "Put the mask there, or correct its path in the labels table.",
    "mask-unreadable": _MASK,
    "mask-values": _MASK,
    "mask-size": "Draw the mask on the series that the ledger names as used, or take its path out.",
    "mask-geometry": "Draw the mask on the series that the ledger names as used, or take its path out.",
    "mask-contradicts": "Correct the mask or the label: they cannot both be true.",
    "mask-slice-conflict": "Correct the mask or the label of the slice: they cannot both be true.",
}
