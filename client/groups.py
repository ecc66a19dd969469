"""In which groups a site's studies may be counted: by scanner, or as its labels file says. A group's name travels."""

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

GroupedBy = Literal["none", "scanner", "label"]

UNKNOWN_GROUP: Final = "unknown"
"""Of a study whose header names no scanner, or of which the labels file names no group."""

_LONGEST: Final = 32
_WORD: Final = re.compile("[a-z0-9]+")
_COMPANY: Final = re.compile(
    "ag|co|company|corp|corporation|gmbh|health|healthcare|healthineers|inc|ltd|mec|medical|systems?"
)
"""What a maker's name has beside the name."""


class Groups(NamedTuple):
    """One study's groups, whichever of them counts."""

    scanner: str = UNKNOWN_GROUP
    label: str = UNKNOWN_GROUP


@lru_cache(maxsize=256)  # a site has few scanners and a million files
def scanner_group(manufacturer: str, model: str) -> str:
    """A scanner's group, of Manufacturer and ManufacturerModelName: `ge-revolution-ct`.

    Always of the pattern `bloodnet_model.study.GROUP_NAME`, whatever the header holds.
    """
    maker = [word for word in _WORD.findall(manufacturer.lower()) if not _COMPANY.fullmatch(word)]
    kind = [word for word in _WORD.findall(model.lower()) if word not in maker]
    return "-".join((*maker, *kind))[:_LONGEST].strip("-") or UNKNOWN_GROUP
