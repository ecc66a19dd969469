"""What the documents list is what the code has."""

import re
from pathlib import Path

from bloodnet_model.reasons import FAULTS, REASONS
from client.policy import POLICY_REFUSALS
from client.remedies import REMEDIES
from simulation.public_data.registry import DATA_SETS
from simulation.settings import FOLDER, PARTITIONS, SYNTHETIC

DOCS = Path(__file__).parent.parent / "docs"


def test_every_reason_of_the_ledger_is_documented_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", (DOCS / "hospital-data.md").read_text(), re.MULTILINE)
    documented = {code: meaning for code, meaning in rows if code in REASONS or "-" in code}
    assert documented == REASONS


def test_every_data_set_and_partition_is_documented() -> None:
    named = re.findall(r"^\| `([a-z][a-z0-9-]+)` \|", (DOCS / "public-data.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted([*DATA_SETS, FOLDER, SYNTHETIC, *PARTITIONS])


def test_every_reason_has_a_remedy_that_is_known() -> None:
    assert REMEDIES.keys() <= REASONS.keys()
    assert FAULTS.keys() <= REMEDIES.keys()


def test_every_refusal_by_policy_is_documented_in_its_own_words() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| .+ \|$", (DOCS / "hospital-it.md").read_text(), re.MULTILINE)
    assert dict(rows) == POLICY_REFUSALS
