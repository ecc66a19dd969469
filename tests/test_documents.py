"""What the documents list is what the code has."""

import re
from pathlib import Path

from bloodnet_model.reasons import REASONS

DOCS = Path(__file__).parent.parent / "docs"


def test_every_reason_of_the_ledger_is_documented_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", (DOCS / "hospital-data.md").read_text(), re.MULTILINE)
    documented = {code: meaning for code, meaning in rows if code in REASONS or "-" in code}
    assert documented == REASONS
