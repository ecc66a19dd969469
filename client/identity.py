"""Whether a header still names the patient: what a site should know before anybody looks over its shoulder."""

import re
from typing import Final

from client.elements import ADDRESS, BIRTH_DATE, BIRTH_NAME, MOTHERS_NAME, PATIENT_NAME, TELEPHONE, Elements

_PLACEHOLDER: Final = re.compile(
    r"anon|de-?ident|de-?id\b|pseudo|removed?\b|redacted|masked|blank|unknown|unnamed|none\b|no[ -]?name|null\b"
    r"|n/?a\b|not[ -]|test|phantom|synthetic|patient|subject|case|volunteer|x+\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_YEAR_ONLY: Final = re.compile(r"\d{4}0101|(0000|1900)\d{4}")
"""Birth dates as de-identification leaves them; who was born on a first of January is overlooked."""


def is_identified(elements: Elements) -> bool:
    """Whether a name, address, telephone number or full birth date of the patient is there and no placeholder.

    A name with digits is a code: people have none. Names in escaped repertoires (PS3.5 6.1.2.5) are names.
    """
    birth_date = elements.text(BIRTH_DATE)
    if re.fullmatch(r"\d{8}", birth_date) and not _YEAR_ONLY.fullmatch(birth_date):
        return True
    if any(_is_name(elements.text(tag)) for tag in (PATIENT_NAME, BIRTH_NAME, MOTHERS_NAME)):
        return True
    return any(text and not _PLACEHOLDER.match(text) for text in (elements.text(ADDRESS), elements.text(TELEPHONE)))


def _is_name(text: str) -> bool:
    if "\x1b" in text:
        return True
    words = text.replace("^", " ").strip()
    return bool(_WORD.search(words)) and not re.search(r"\d", words) and not _PLACEHOLDER.match(words)
