"""Why something in a hospital's data is not used, or is used with a remark: the whole list.

The codes travel as counts, so every room reads them here; the ledger that names the items stays at the site.
"""

from collections.abc import Mapping
from typing import Final

FAULTS: Final[Mapping[str, str]] = {
    "missing-file": "A list or a link names this file, and it is not there.",
    "unreadable": "The operating system could not read the file.",
    "changed": "The file changed while it was read; the next run reads it again.",
    "bad-archive": "The zip file is broken, encrypted or holds more than it says; unpack it and keep the folder.",
    "bad-header": "The header lacks an identifier or holds a malformed one.",
    "no-pixels": "The file is a CT by its header and holds no pixel data.",
    "not-greyscale": "A colour picture (a screenshot or report), which holds no HU.",
    "no-rescale": "RescaleSlope or RescaleIntercept is missing, so HU are unknown.",
    "no-spacing": "PixelSpacing is missing, so nothing can be measured.",
    "no-orientation": "ImageOrientationPatient is missing, and nothing says that the image is axial.",
    "no-position": "The slice's place in the stack is unknown.",
    "undecodable": "No decoder could read the compressed pixels.",
    "truncated": "The pixel data is shorter than the header announces.",
    "wrong-shape": "The pixels decode to another size than the header announces.",
    "no-files": "The labels file names this study, and none of its CT files is here.",
    "bad-label": "The row cannot be read: not 0, 1 or nothing; no such split or group; or a missing cell.",
    "label-conflict": "Rows of the labels file contradict each other, or a row itself, on this study.",
}
"""Quarantined: something is broken, and somebody can mend it."""

RULES: Final[Mapping[str, str]] = {
    "not-dicom": "The file is not DICOM.",
    "dicomdir": "An index of other files, which are found without it.",
    "not-ct": "The file or series is of another modality, or no image (a dose report, a presentation state).",
    "localizer": "A localizer (scout, topogram).",
    "secondary": "A secondary capture, projection or map computed from other images.",
    "derived": "A series derived from another one (ImageType says DERIVED).",
    "not-axial": "The plane lies too far from axial; `largest_tilt_degrees` says how far it may.",
    "mixed-geometry": "The orientation, matrix or spacing differs from that of most of the series.",
    "duplicate-file": "Another file with this SOPInstanceUID is kept.",
    "duplicate-position": "Another slice of the series at this position is kept.",
    "duplicate-pixels": "Another study with the same pixels is kept.",
    "too-few-slices": "The series has fewer distinct positions than `minimum_slices`.",
    "angiography": "A CT angiography or perfusion series.",
    "contrast": "The header says that contrast agent was given.",
    "bone": "A bone or lung reconstruction.",
    "excluded": "The site's own `exclude` words name the series.",
    "not-a-head": "The HU show no head: air, soft tissue and bone in the places and sizes of one.",
    "other-series": "The series is usable; another of the same study fits better.",
    "too-few-readable": "Fewer slices than `minimum_slices` could be decoded.",
    "no-label": "No row of the labels file says anything of the study.",
    "without-study": "No usable header of this site has the row's identifiers.",
    "not-used": "The row's study or slice is not among those used.",
    "repeated": "An equal row stands further up.",
}
"""Skipped: nothing is broken; a rule leaves it out."""

REMARKS: Final[Mapping[str, str]] = {
    "by-instance-number": "No slice of the series has a position; InstanceNumber ordered them.",
    "gap": "The distance between two slices is wider than the series' own: slices may be missing.",
    "overlap": "Slices lie closer to each other than they are thick.",
    "mixed-thickness": "The slices of the series are not all of one thickness.",
    "mask-missing": "The mask file is not there; the study is used without it.",
    "mask-unreadable": "The mask cannot be read as NIfTI or DICOM SEG; the study is used without it.",
    "mask-values": "The mask holds other values or segments than the classes; the study is used without it.",
    "mask-size": "The mask does not cover the chosen series' slices; the study is used without it.",
    "mask-geometry": "The mask lies on another grid than the chosen series; the study is used without it.",
    "mask-contradicts": "The mask shows what the study's labels exclude, or is empty where they see blood; "
    "the study is used without it.",
    "mask-slice-conflict": "The mask shows blood on a slice that the labels call negative, or the reverse; "
    "the mask is not used on that slice.",
}
"""Used all the same, and worth a look."""

REASONS: Final[Mapping[str, str]] = {**FAULTS, **RULES, **REMARKS}
